"""Many jobs in one folder: what they are, what has become of them, and painting what is missing."""
