"""Pure numerics of images and feature maps."""
