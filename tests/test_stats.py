"""Style statistics against NumPy in float64 and finite differences."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxstyle as js
import oracles
from jaxstyle.losses.statistics import Statistic, gram
from jaxstyle.losses.statistics.roots import fidelity, polar_factor

STATISTICS = (js.Gram(), js.Wasserstein(), js.MeanStd(), js.Sliced())
SUMMED = STATISTICS[:3]


def f32(x):
    return jnp.asarray(x, jnp.float32)


def distance(statistic, feature, style, mask=None, style_mask=None):
    """Returns the distance of two feature maps, or of the parts that masks leave."""

    def count(feature, mask):
        return mask.sum() if mask is not None else jnp.float32(feature[..., 0].size)

    sums = [statistic.sums(style, style_mask)]
    target = statistic.target(sums, [count(style, style_mask)], jnp.ones(1), feature[..., 0].size)
    return statistic.distance(statistic.sums(feature, mask), count(feature, mask), target)


evaluate = jax.jit(distance, static_argnums=0)
with_gradient = jax.jit(jax.value_and_grad(distance, argnums=1), static_argnums=0)


def features(rng, shape, kind, scale=1.0):
    """Returns correlated features; `ill` and `deficient` have small or no variance in some."""
    c = shape[-1]
    mixing = rng.normal(size=(c, c)) / np.sqrt(c)
    if kind == "ill":
        mixing = np.logspace(0, -3, c)[:, None] * np.linalg.qr(mixing)[0]
    if kind == "deficient":
        mixing[c // 4 + 1 :] = 0
    return f32(scale * (rng.normal(size=shape) @ mixing + rng.uniform(size=c)))


@pytest.fixture
def pair(rng):
    return features(rng, (9, 11, 6), "well"), features(rng, (9, 11, 6), "well", 1.5)


# Gram


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("shape", [(9, 11, 6), (70, 128, 5), (3, 5000, 4)], ids=str)
def test_gram_agrees_with_numpy(rng, shape, masked):
    """In one part and in several, with rows left over."""
    feature, mask = rng.normal(size=shape), rng.uniform(size=shape[:2])
    weighted = feature * mask[..., None] if masked else feature
    expected = np.einsum("hwi,hwj->ij", weighted, feature)
    actual = gram(f32(feature), f32(mask) if masked else None)
    assert oracles.relative_error(actual, expected) <= 1e-5


# Wasserstein


def coloured(rng, kind, channels, size=32):
    """Returns features of a picture of one colour, almost one, or two; as large as a VGG's."""
    one, two = rng.uniform(0, 300, (2, channels)) * (rng.uniform(size=(2, channels)) > 0.5)
    upper = (np.arange(size) < size // 2)[:, None, None]
    flat = np.where(upper, one, two if kind == "two" else one) * np.ones((size, size, 1))
    noise = {"nearly": 1e-3, "noisy": 30.0}.get(kind, 0.0)
    return f32(flat + noise * rng.normal(size=flat.shape))


@pytest.mark.parametrize("channels", [4, 128])
@pytest.mark.parametrize("style", ["flat", "nearly", "two", "noisy"])
@pytest.mark.parametrize("content", ["flat", "noisy"])
def test_wasserstein_of_flat_pictures_is_finite(rng, content, style, channels):
    """Within the precision of a float32 covariance beside the square of a mean."""
    x, s = coloured(rng, content, channels), coloured(rng, style, channels)
    value, gradient = with_gradient(js.Wasserstein(), x, s)
    assert np.isfinite(gradient).all()
    expected = oracles.wasserstein(np.float64(x), np.float64(s))
    scale = np.square(np.float64(s)).sum(-1).mean()
    assert abs(float(value) - expected) <= 5e-3 * (expected + scale)


@pytest.mark.parametrize("scale", [0.1, 100.0])
@pytest.mark.parametrize("kind", ["well", "ill", "deficient"])
@pytest.mark.parametrize("shape", [(9, 8, 3), (12, 12, 16), (12, 13, 64), (5, 6, 64)], ids=str)
def test_wasserstein_agrees_with_eigenvectors(rng, shape, kind, scale):
    x, s = features(rng, shape, kind, scale), features(rng, shape, kind, scale)
    value, gradient = with_gradient(js.Wasserstein(), x, s)
    s64 = np.float64(s)
    np.testing.assert_allclose(value, oracles.wasserstein(np.float64(x), s64), rtol=2e-4)
    step = 1e-6 * scale
    error = oracles.slope_error(lambda x: oracles.wasserstein(x, s64), x, gradient, rng, step)
    # In float32, eigenvalues of 1e-6 of the largest have an error of a tenth.
    assert error < (1e-4 if kind == "well" and shape != (5, 6, 64) else 3e-3)


def test_wasserstein_computes_no_eigenvectors(pair):
    program = str(jax.make_jaxpr(with_gradient, static_argnums=0)(js.Wasserstein(), *pair))
    assert "cholesky" in program
    assert not any(name in program for name in ("eigh", "svd", "schur"))


@pytest.mark.parametrize("n", [1, 2, 17, 64])
@pytest.mark.parametrize("condition", [1.0, 1e3])
def test_polar_factor_and_fidelity(rng, n, condition):
    u, v = (np.linalg.qr(rng.normal(size=(n, n)))[0] for _ in range(2))
    strengths = np.logspace(0, -np.log10(condition), n) * 7
    matrix = f32(u * strengths @ v)
    np.testing.assert_allclose(jax.jit(polar_factor)(matrix), u @ v, atol=2e-4)
    covariance = f32(u * strengths @ u.T)
    value, gradient = jax.jit(jax.value_and_grad(fidelity))(covariance, matrix)
    root = oracles.psd_root(np.float64(matrix).T @ np.float64(covariance) @ np.float64(matrix))
    np.testing.assert_allclose(value, np.trace(root), rtol=1e-5)
    expected = np.float64(matrix) @ np.linalg.inv(root) @ np.float64(matrix).T / 2
    assert oracles.relative_error(gradient, expected) < 1e-3
    np.testing.assert_allclose(gradient, gradient.T, rtol=1e-6)


# All of them


@pytest.mark.parametrize("statistic", STATISTICS, ids=repr)
def test_distance_of_equal_features_is_zero(pair, statistic):
    value, gradient = with_gradient(statistic, pair[1], pair[1])
    away, scale = with_gradient(statistic, *pair)
    assert isinstance(statistic, Statistic)
    assert abs(float(value)) < 1e-5 * float(away)
    assert np.abs(gradient).max() < 1e-4 * np.abs(scale).max()


@pytest.mark.parametrize("statistic", STATISTICS, ids=repr)
@pytest.mark.parametrize("level", [0.0, 0.3, 100.0])
def test_flat_features_have_a_finite_gradient(pair, statistic, level):
    flat = jnp.full_like(pair[0], level)
    for x, s in ((flat, pair[1]), (pair[0], flat), (flat, flat), (flat, flat + 1)):
        value, gradient = with_gradient(statistic, x, s)
        assert np.isfinite(value)
        assert np.all(np.isfinite(gradient))
    np.testing.assert_allclose(evaluate(statistic, flat, flat) / (1 + level**2), 0, atol=1e-6)


@pytest.mark.parametrize("statistic", SUMMED, ids=repr)
def test_mask_of_zeros_and_ones_selects_positions(pair, rng, statistic):
    """Scattered positions: the same as an image of these alone."""
    masks = [f32(rng.permutation(99).reshape(9, 11) < n) for n in (60, 45)]
    cut = [x[m > 0][None] for x, m in zip(pair, masks, strict=True)]
    value, gradient = with_gradient(statistic, *pair, *masks)
    expected, within = with_gradient(statistic, *cut)
    np.testing.assert_allclose(value, expected, rtol=1e-4)
    np.testing.assert_allclose(gradient[masks[0] > 0], within[0], atol=1e-6)
    np.testing.assert_array_equal(gradient[masks[0] == 0], 0.0)


@pytest.mark.parametrize("statistic", STATISTICS, ids=repr)
def test_degree_is_the_power_of_the_features_scale(pair, statistic):
    ridgeless = statistic
    if hasattr(statistic, "ridge"):
        ridgeless = type(statistic)(1e-9)
    x, s = map(np.asarray, pair)
    values = [evaluate(ridgeless, f32(k * x), f32(k * s)) for k in (1.0, 3.0)]
    np.testing.assert_allclose(values[1], 3.0**statistic.degree * values[0], rtol=1e-3)


@pytest.mark.parametrize("statistic", STATISTICS, ids=repr)
def test_energy_is_the_distance_of_zero_features(pair, statistic):

    @jax.jit
    def energy(s):
        sums = [statistic.sums(s, None)]
        return statistic.energy(statistic.target(sums, [jnp.float32(99)], jnp.ones(1), 99))

    away = evaluate(statistic, jnp.zeros_like(pair[0]), pair[1])
    # But for the ridge.
    np.testing.assert_allclose(energy(pair[1]), away, rtol=0.02)


# MeanStd and Sliced


@pytest.mark.parametrize("statistic", [js.MeanStd(), js.Sliced(), js.Sliced(3)], ids=repr)
@pytest.mark.parametrize("shape", [(9, 11, 6), (14, 5, 6), (4, 5, 6)], ids=str)
def test_statistic_agrees_with_numpy(pair, rng, statistic, shape):
    """Styles as large as the image, smaller and larger."""
    x, s = pair[0], features(rng, shape, "well", 2.0)
    plain = oracles.mean_std
    if isinstance(statistic, js.Sliced):
        directions = np.float64(statistic._directions(6))
        np.testing.assert_allclose(np.linalg.norm(directions, axis=0), 1, rtol=1e-6)

        def plain(x, s):
            return oracles.sliced(x, s, directions)

    value, gradient = with_gradient(statistic, x, s)
    np.testing.assert_allclose(value, plain(np.float64(x), np.float64(s)), rtol=1e-4)
    error = oracles.slope_error(lambda x: plain(x, np.float64(s)), x, gradient, rng, 1e-7)
    assert error < 1e-4


def test_sliced_selects_positions_of_styles_exactly(pair, rng):
    statistic, directions = js.Sliced(), js.Sliced()._directions(6)
    mask = f32(rng.permutation(99).reshape(9, 11) < 7)
    s = jnp.where(mask[..., None] > 0, pair[1], 1e3 * pair[1])

    @partial(jax.jit, static_argnums=0)
    def target_of(size):
        return statistic.target([statistic.sums(s, mask)], [mask.sum()], jnp.ones(1), size)

    for size in (3, 7, 40):
        target = target_of(size)
        expected = oracles.quantiles(np.float64(s)[mask > 0] @ directions, size)
        np.testing.assert_allclose(target, expected, rtol=1e-3, atol=1e-3)


def test_sliced_selects_positions_of_images_up_to_interpolation(rng):
    mask = f32(np.arange(40) < 30)[None] * jnp.ones((40, 1))
    x, s = (features(rng, (40, 40, 5), "well") for _ in range(2))
    guided, gradient = with_gradient(js.Sliced(), x, s + 1, mask)
    cut = evaluate(js.Sliced(), x[:, :30], s + 1)
    np.testing.assert_allclose(guided, cut, rtol=0.01)
    assert np.abs(gradient[:, 30:]).max() == 0.0
    assert np.all(np.isfinite(gradient))
    ones = evaluate(js.Sliced(), x, s, jnp.ones((40, 40)), jnp.ones((40, 40)))
    np.testing.assert_allclose(ones, evaluate(js.Sliced(), x, s), rtol=1e-4)
