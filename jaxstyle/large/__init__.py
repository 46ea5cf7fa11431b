"""Pictures beyond memory: what is a sum over positions adds up in windows or on devices."""
