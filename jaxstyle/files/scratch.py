"""Arrays on a disk, for what is written once and read in parts."""

import math
import os
import tempfile

import numpy as np
from numpy.typing import DTypeLike

from jaxstyle.errors import ResourceError


def scratch(shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> np.ndarray:
    """Makes an array in a file without a name: gone with the last who has it.

    The system takes its memory back whenever somebody needs it.

    Args:
        shape: Shape of the array.
        dtype: Type of its numbers.

    Raises:
        ResourceError: There is no room on the disk.

    Examples:
        >>> scratch((2, 3)).shape
        (2, 3)
    """
    size = np.dtype(dtype).itemsize * math.prod(shape)
    try:
        with tempfile.TemporaryFile(prefix="jaxstyle-") as file:
            # What is only promised would end the process when it is written to.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, dtype, "w+", shape=shape)
    except OSError as error:
        room = f"{tempfile.gettempdir()}: {error.strerror}"
        raise ResourceError(
            f"{room}: tiles keep {size / 1e9:.1f} GB there; free some, or set TMPDIR"
        ) from None
