"""The loss: its terms, their weights, and the objective."""
