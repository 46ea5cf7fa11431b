"""Image files and checkpoints: loading, saving, and the settings that a picture carries.

Loaded images are sRGB in [0, 1]. Files that are saved appear whole or not at all.
"""

from jaxstyle.files.checkpoints import (
    has_checkpoints,
    load_checkpoint,
    remove_checkpoints,
    save_checkpoint,
)
from jaxstyle.files.masks import Masks, load_masks
from jaxstyle.files.metadata import Metadata, load_metadata
from jaxstyle.files.output import SUFFIXES, check_output, save_image
from jaxstyle.files.photo_info import PhotoInfo
from jaxstyle.files.picture import Picture, has_picture_suffix, load_image, load_picture, read_shape
from jaxstyle.files.regions import MAX_REGIONS
from jaxstyle.files.sample_values import MAX_PIXELS
from jaxstyle.files.scratch import scratch

__all__ = [
    "MAX_PIXELS",
    "MAX_REGIONS",
    "SUFFIXES",
    "Masks",
    "Metadata",
    "PhotoInfo",
    "Picture",
    "check_output",
    "has_checkpoints",
    "has_picture_suffix",
    "load_checkpoint",
    "load_image",
    "load_masks",
    "load_metadata",
    "load_picture",
    "read_shape",
    "remove_checkpoints",
    "save_checkpoint",
    "save_image",
    "scratch",
]
