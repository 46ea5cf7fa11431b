"""The loss: statistics of images, what they should become, and how far they are from it."""
