"""Images cut into windows, and what is summed over positions added up window by window."""
