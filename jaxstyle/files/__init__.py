"""Images on disk: all that comes in is sRGB in [0, 1], all that goes out is whole or not there.

``pixels`` decodes a file of any common format and depth, ``profiles`` turns its colours into sRGB,
``picture`` hands over the image together with its transparency, ``masks`` reads which region of the
styles guides which region of the content, ``output`` writes results with their colour profile
and with the settings that made them, and ``metadata`` reads these back; ``checkpoints`` keeps
where a run stands, and ``scratch`` holds what does not have to be in memory.
"""

from jaxstyle.files.checkpoints import (
    has_checkpoints,
    load_checkpoint,
    remove_checkpoints,
    save_checkpoint,
)
from jaxstyle.files.masks import Masks, load_masks
from jaxstyle.files.metadata import Metadata, load_metadata, read_metadata
from jaxstyle.files.output import SUFFIXES, check_output, save_image
from jaxstyle.files.picture import Picture, has_picture_suffix, load_image, load_picture, read_shape
from jaxstyle.files.regions import MAX_REGIONS
from jaxstyle.files.samples import MAX_PIXELS
from jaxstyle.files.scratch import scratch

__all__ = [
    "MAX_PIXELS",
    "MAX_REGIONS",
    "SUFFIXES",
    "Masks",
    "Metadata",
    "Picture",
    "check_output",
    "has_checkpoints",
    "has_picture_suffix",
    "load_checkpoint",
    "load_image",
    "load_masks",
    "load_metadata",
    "load_picture",
    "read_metadata",
    "read_shape",
    "remove_checkpoints",
    "save_checkpoint",
    "save_image",
    "scratch",
]
