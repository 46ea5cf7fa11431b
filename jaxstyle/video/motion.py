"""Motion between the frames of a film: optical flow, where it can be trusted, and cuts."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxstyle.arrays import Image, check_picture
from jaxstyle.compilation import jit
from jaxstyle.errors import InputError
from jaxstyle.ops.colour import luminance
from jaxstyle.ops.resize import resize
from jaxstyle.ops.warp import consistency, warp

FlowField = Float[Array, "h w 2"]
Flow = Callable[[Image, Image], Any]
"""Returns the optical flow from a frame to another, ``f32[h, w, 2]``, in pixels, to the right and
down: what is at ``p`` in the first frame is at ``p + flow(p)`` in the second."""

# A shorter motion cannot be seen, and its resampling would blur.
_STILL = 0.1
# A difference of luminance that the flow leaves means that it is wrong there.
_MISMATCH = 0.12
# At every third frame of two test films, at least 0.58 of a frame was explained within a scene, and
# at most 0.02 across a cut.
_EXPLAINED = 0.45


class Motion(NamedTuple):
    """The motion from a frame back to the previous one.

    Attributes:
        flow: ``f32[h, w, 2]``, in pixels; 0 where nothing moves.
        trust: ``f32[h, w]`` in [0, 1]: where the previous frame shows the same.
    """

    flow: FlowField
    trust: Float[Array, "h w"]


class Tracked(NamedTuple):
    """A frame and its motion.

    Attributes:
        frame: ``f32[h, w, 3]``, sRGB in [0, 1].
        motion: The motion from the previous frame; None for the first frame of a shot.
    """

    frame: Image
    motion: Motion | None


def dis_flow() -> Flow:
    """Returns OpenCV's optical flow by dense inverse search.

    Kroeger et al. 2016, "Fast Optical Flow using Dense Inverse Search".

    Raises:
        InputError: OpenCV is not installed.

    Examples:
        >>> import jax, jaxstyle as js
        >>> frame = jax.numpy.kron(jax.random.uniform(jax.random.key(0), (8, 8, 3)), jax.numpy.ones((6, 6, 1)))
        >>> flow = js.video.dis_flow()(frame, jax.numpy.roll(frame, 2, axis=1))
        >>> jax.numpy.median(flow[..., 0]).round().item()
        2.0
    """  # noqa: E501
    try:
        import cv2
    except ImportError:
        raise InputError(
            'video: optical flow needs OpenCV; pip install "jaxstyle[video]"'
        ) from None
    library: Any = cv2  # whose stubs lack the class
    dis = library.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def flow(first: Image, second: Image) -> Any:
        grey = (
            np.asarray(jnp.rint(255 * luminance(x)[..., 0]).astype(jnp.uint8))
            for x in (first, second)
        )
        return jnp.asarray(dis.calc(*grey, None))

    return flow


def track(frames: Iterable[Image], flow: Flow, shape: tuple[int, int]) -> Iterator[Tracked]:
    """Yields frames at a size, each with its motion from the previous one.

    Args:
        frames: Each ``f32[h, w, 3]``, sRGB in [0, 1].
        flow: Estimates the optical flow.
        shape: Height and width of the results.
    """
    previous = None
    for picture in frames:
        check_picture("frame", picture)
        frame = resize(jnp.asarray(picture, jnp.float32), shape)
        yield Tracked(frame, None if previous is None else motion_between(previous, frame, flow))
        previous = frame


def motion_between(previous: Image, frame: Image, flow: Flow) -> Motion | None:
    """Returns the motion from a frame to the previous one; None if there is a cut between them.

    Args:
        previous: ``f32[h, w, 3]``, sRGB in [0, 1].
        frame: The next frame, of the same size.
        flow: Estimates the optical flow.
    """
    motion = _trusted(previous, frame, flow(previous, frame), flow(frame, previous))
    return motion if float(motion.trust.mean()) > _EXPLAINED else None


@jit()
def _trusted(previous: Image, frame: Image, forward: FlowField, backward: FlowField) -> Motion:
    still = jnp.square(backward).sum(-1, keepdims=True) < _STILL**2
    backward = jnp.where(still, 0.0, backward)
    difference = luminance(frame) - luminance(warp(previous, backward, method="linear"))
    # The mean over 3×3 pixels: noise and sharp edges are no mismatch.
    padded = jnp.pad(jnp.abs(difference[..., 0]), 1, mode="edge")
    h, w = frame.shape[:2]
    mean = sum(padded[i : i + h, j : j + w] for i in range(3) for j in range(3)) / 9
    trust = consistency(forward, backward) * (mean < _MISMATCH)
    return Motion(backward, trust)
