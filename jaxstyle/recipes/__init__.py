"""Recipes: every setting that decides how a picture is painted, as plain values."""
