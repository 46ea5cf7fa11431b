"""Pictures beyond memory: one of them in tiles, or on many devices."""
