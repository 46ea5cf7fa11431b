"""Arrays on disk, for data that is written once and read in parts."""

import math
import os
import tempfile

import numpy as np
from numpy.typing import DTypeLike

from jaxstyle.errors import ResourceError


def scratch(shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> np.ndarray:
    """Makes an array in a temporary file, which is deleted with the last reference to it.

    Unlike ordinary memory, the system can write its pages to disk whenever memory is short.

    Args:
        shape: Shape of the array.
        dtype: Type of its elements.

    Raises:
        ResourceError: The disk is full.

    Examples:
        >>> scratch((2, 3)).shape
        (2, 3)
    """
    size = np.dtype(dtype).itemsize * math.prod(shape)
    try:
        with tempfile.TemporaryFile(prefix="jaxstyle-") as file:
            # Space that is missing later would end the process with a bus error.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, dtype, "w+", shape=shape)
    except OSError as error:
        room = f"{tempfile.gettempdir()}: {error.strerror}"
        raise ResourceError(
            f"{room}: tiles need {size / 1e9:.1f} GB there; free some, or set TMPDIR"
        ) from None
