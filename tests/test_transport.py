"""The terms of STROTSS against SciPy in float64."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from scipy.spatial.distance import cdist

import jaxstyle as js
import oracles
from jaxstyle.evaluate.plan import size_of
from jaxstyle.losses.transport import SelfSimilarity, Transport, draw
from programs import loss_and_gradient, targets_of, terms_of

LAYERS = ("conv1_2", "conv2_1", "conv3_1")
TERMS = {
    "transport": Transport(layers=LAYERS, positions=60),
    "self-similarity": SelfSimilarity(layers=LAYERS, positions=50),
}
OBJECTIVE = js.Objective(content_layers=(), style_layers=(), extra=TERMS)
WEIGHTS = js.LossWeights(tv=0.0, extra={"transport": 3.0, "self-similarity": 0.05})


@pytest.fixture
def image(pictures, rng):
    return jnp.asarray(pictures[0] + rng.normal(0, 0.1, pictures[0].shape), jnp.float32)


def halves(picture, part):
    """Returns the masks of a left and a right region."""
    left = np.zeros(picture.shape[:2], np.float32)
    left[:, : round(part * picture.shape[1])] = 1
    return jnp.asarray([left, 1 - left])


def sample(feature, positions, shape):
    """Returns features at positions in pixels."""
    scale = np.divide(feature.shape[:2], shape[:2])
    at = ((np.asarray(positions, np.float64) + 0.5) * scale - 0.5).T
    channels = np.moveaxis(np.asarray(feature, np.float64), -1, 0)
    return np.stack([map_coordinates(c, at, order=1, mode="nearest") for c in channels], -1)


def columns(picture, positions, encoder):
    features, shape = oracles.encode(picture, encoder, LAYERS), picture.shape[:2]
    return np.concatenate([sample(features[n], positions, shape) for n in LAYERS], -1)


def relaxed(distances):
    return max(distances.min(0).mean(), distances.min(1).mean())


def transport(x, y, colours, palette, side):
    scale = np.sqrt((y**2).mean())
    mean = np.abs(x.mean(0) - y.mean(0)).mean() / scale
    covariance = np.abs(np.cov(x.T, bias=True) - np.cov(y.T, bias=True)).mean() / scale**2
    # The opponent colours are a rotation, which changes no distance.
    p, q = colours - 0.5, palette - 0.5
    distances = cdist(p, q, "cosine") + np.maximum(cdist(p, q) / np.sqrt(3), np.sqrt(1e-5))
    return relaxed(cdist(x, y, "cosine")) + mean + covariance + side / 1024 * relaxed(distances)


def self_similarity(x, c, side):
    d, e = cdist(x, x, "cosine"), cdist(c, c, "cosine")
    return 1024 / side * np.abs(d / d.sum(0) - e / e.sum(0)).sum() / len(x)


def plain_terms(image, content, style, masks, targets, encoder):
    """Returns the terms at the positions of the targets."""
    side = max(image.shape[:2])
    own = None if masks is None else jnp.moveaxis(masks, 0, -1)
    at_style, _ = draw(jax.random.PRNGKey(0), own, style.shape[:2], TERMS["transport"].positions)
    at, other = (targets[name].content for name in TERMS)
    shares = np.asarray(at.shares, np.float64)
    values = {"transport": 0.0, "self-similarity": 0.0}
    for r, share in enumerate(shares):
        (x, colours), (y, palette) = (
            (columns(picture, places[r], encoder), sample(picture, places[r], picture.shape))
            for picture, places in ((image, at.positions), (style, at_style))
        )
        values["transport"] += 3 * share * transport(x, y, colours, palette, side)
        x, c = (columns(picture, other.positions[r], encoder) for picture in (image, content))
        values["self-similarity"] += 0.05 * share * self_similarity(x, c, side)
    return values


@pytest.mark.parametrize("regions", [1, 2])
def test_terms_and_gradient_agree_with_scipy(image, pictures, encoder, rng, regions):
    content, style = pictures
    scene, styles, masks = content, style, None
    if regions == 2:
        masks = halves(style, 0.6)
        scene = js.Scene(content, masks=halves(content, 0.3))
        styles = js.Styles([style], masks=[masks])
    targets = targets_of(scene, styles, encoder, OBJECTIVE)

    def plain(x):
        return plain_terms(x, content, style, masks, targets, encoder)

    terms, expected = terms_of(image, targets, WEIGHTS, encoder, OBJECTIVE), plain(image)
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name], value, rtol=2e-5, err_msg=name)
    _, gradient = loss_and_gradient(image, targets, WEIGHTS, encoder, OBJECTIVE)
    error = oracles.slope_error(lambda x: sum(plain(x).values()), image, gradient, rng, 1e-7)
    assert error <= 1e-3


def test_positions_cover_the_image_and_stay_in_their_region():
    everywhere, areas = draw(jax.random.PRNGKey(1), None, (8, 16), 128)
    np.testing.assert_array_equal(everywhere[0], np.stack(np.divmod(np.arange(128), 16), -1))
    assert areas.tolist() == [128]
    masks = jnp.moveaxis(halves(np.zeros((8, 16)), 0.25), 0, -1)
    (left, right), areas = draw(jax.random.PRNGKey(1), masks, (8, 16), 50)
    assert left[:, 1].max() < 4 <= right[:, 1].min()
    assert areas.tolist() == [32, 96]


def test_renewal_draws_other_positions_with_their_data(pictures, encoder):
    content, _ = pictures
    targets = targets_of(*pictures, encoder, OBJECTIVE)
    size = size_of(content.shape[:2], encoder, LAYERS)
    renewed = {n: t.renew(content, targets[n], lambda _: {}, size) for n, t in TERMS.items()}
    shapes = [jax.tree.map(jnp.shape, {n: tree[n] for n in TERMS}) for tree in (targets, renewed)]
    assert shapes[0] == shapes[1]
    for name in TERMS:
        assert (renewed[name].content.positions != targets[name].content.positions).any()
    before, after = (
        terms_of(content, targets | changed, WEIGHTS, encoder, OBJECTIVE)
        for changed in ({}, renewed)
    )
    assert after["transport"] != before["transport"]
    assert after["self-similarity"] < 1e-6


def test_positions_of_styles_are_chosen_by_their_blend(pictures, encoder):
    content, style = pictures

    def features(*styles, blend):
        targets = targets_of(
            content, js.Styles(list(styles), blend=jnp.asarray(blend)), encoder, OBJECTIVE
        )
        return targets["transport"].style.colours[0]

    flat = jnp.full((20, 20, 3), 0.25)
    np.testing.assert_array_equal(
        features(style, flat, blend=[1.0, 0.0]), features(style, blend=[1.0])
    )
    share = np.mean(features(style, flat, blend=[1.0, 3.0]) == 0.25)
    assert 0.6 < share < 0.9


@pytest.mark.parametrize("plan", [js.Tiles(30), js.Devices(1)])
@pytest.mark.parametrize("name", TERMS)
def test_other_plans_refuse_the_terms(pictures, encoder, plan, name):
    objective = dataclasses.replace(OBJECTIVE, extra={name: TERMS[name]})
    with pytest.raises(js.InputError, match=f"the term {name} is not a sum over positions"):
        js.make_targets(pictures[0], pictures[1], encoder, objective, plan=plan)
