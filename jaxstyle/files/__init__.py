"""Images on disk: all that comes in is sRGB in [0, 1], all that goes out is whole or not there.

``pixels`` decodes a file of any common format and depth, ``profiles`` turns its colours into sRGB,
``picture`` hands over the image together with its transparency, ``masks`` reads which region of the
styles guides which region of the content, and ``output`` writes results with their colour profile
and with the settings that made them.
"""

from jaxstyle.files.masks import Masks, load_masks
from jaxstyle.files.output import SUFFIXES, check_output, read_metadata, read_provenance, save_image
from jaxstyle.files.picture import Picture, has_picture_suffix, load_image, load_picture, read_shape
from jaxstyle.files.regions import MAX_REGIONS
from jaxstyle.files.samples import MAX_PIXELS

__all__ = [
    "MAX_PIXELS",
    "MAX_REGIONS",
    "SUFFIXES",
    "Masks",
    "Picture",
    "check_output",
    "has_picture_suffix",
    "load_image",
    "load_masks",
    "load_picture",
    "read_metadata",
    "read_provenance",
    "read_shape",
    "save_image",
]
