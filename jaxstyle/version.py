"""The version, which pictures are marked with."""

__version__ = "0.1.0"
