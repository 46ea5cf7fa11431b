"""Filters in the frequency domain. Pure, and bitwise reproducible on CPUs."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from jaxstyle.arrays import Image

# XLA's FFT on CPUs runs on one thread if called from one of XLA's threads, and on all threads
# otherwise. Its rounding differs if the lines of a thread do not fill whole vectors. So few lines
# are not divided between threads, or into two parts that fill vectors of four numbers.
_LINES = 8


def apply_filter(image: Image, amplitudes: Float[Array, "h _"]) -> Image:
    """Multiplies each frequency of an image by a number: ``F⁻¹(a · F(x))``.

    Args:
        image: ``f32[h, w, 3]``.
        amplitudes: ``f32[h, w // 2 + 1]``, one per frequency of ``rfft2``; an even function of the
            frequency along h.
    """
    if jax.default_backend() == "cpu":
        return _few_lines_at_a_time(image, amplitudes)
    spectrum = jnp.fft.rfft2(image, axes=(0, 1)) * amplitudes[..., None]
    return jnp.fft.irfft2(spectrum, s=image.shape[:2], axes=(0, 1))


def _few_lines_at_a_time(image: Image, amplitudes: Float[Array, "h _"]) -> Image:
    height, width, channels = image.shape
    by_lines: Callable = partial(jax.lax.map, batch_size=_LINES)

    def filter_column(column: tuple[Complex[Array, " h"], Float[Array, " h"]]) -> Array:
        spectrum, amplitude = column
        return jnp.fft.ifft(jnp.fft.fft(spectrum) * amplitude)

    rows = jnp.moveaxis(image, -1, 0).reshape(-1, width)
    spectra = by_lines(jnp.fft.rfft, rows).reshape(channels, height, -1)
    columns = jnp.swapaxes(spectra, 1, 2).reshape(-1, height)
    columns = by_lines(filter_column, (columns, jnp.tile(amplitudes.T, (channels, 1))))
    spectra = jnp.swapaxes(columns.reshape(channels, -1, height), 1, 2)
    rows = by_lines(partial(jnp.fft.irfft, n=width), spectra.reshape(channels * height, -1))
    return jnp.moveaxis(rows.reshape(channels, height, width), 0, -1)
