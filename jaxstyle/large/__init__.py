"""Pictures beyond one device's memory: evaluated in parts that add up to the whole."""
