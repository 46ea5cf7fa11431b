"""Runs: the image goes downhill, at one size or from coarse to fine."""
