"""Recipes: every setting that decides how a picture is painted, in plain values."""
