"""The three example pictures, computed from fixed seeds with NumPy and Pillow."""
