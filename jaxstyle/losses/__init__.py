"""The terms of the loss: what is minimised."""
