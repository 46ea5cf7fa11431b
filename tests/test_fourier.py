"""Filters against NumPy; the same in every run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.ops.fourier import apply_filter


@pytest.fixture(params=[(1, 2), (17, 16), (40, 37)], ids=str)
def image(request, rng):
    return jnp.asarray(rng.uniform(size=(*request.param, 3)), jnp.float32)


def amplitudes_of(shape, rng):
    """At random, as large for a frequency as for its negative; all of them, and half of them."""
    noise = rng.uniform(0.5, 2.0, shape)
    full = noise + np.roll(noise[::-1, ::-1], (1, 1), (0, 1))
    return full, jnp.asarray(full[:, : shape[1] // 2 + 1], jnp.float32)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_agrees_with_numpy(image, rng, backend, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    full, half = amplitudes_of(image.shape[:2], rng)
    spectrum = np.fft.fft2(np.float64(image), axes=(0, 1)) * full[..., None]
    expected = np.fft.ifft2(spectrum, axes=(0, 1))
    assert np.abs(expected.imag).max() < 1e-12
    np.testing.assert_allclose(apply_filter(image, half), expected.real, atol=1e-5)


def test_the_same_bit_for_bit(rng):
    """XLA's transform differs between threads in every fifth run."""
    image = jnp.asarray(rng.uniform(size=(384, 512, 3)), jnp.float32)
    _, half = amplitudes_of(image.shape[:2], rng)
    results = {np.asarray(jax.jit(apply_filter)(image, half)).tobytes() for _ in range(100)}
    assert len(results) == 1
