"""Runs: the optimisation of an image, at one size or from coarse to fine."""
