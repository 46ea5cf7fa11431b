"""Nearest-neighbour style: matches, sums and targets against plain NumPy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxstyle as js
import plans

TERM = js.Nearest(layers=("conv1_1", "conv2_1"), grid="conv2_1", content_share=0.5)


def vectors(image, encoder):
    """Averages conv1_1 in blocks of 2×2 and joins it with conv2_1, per channel."""
    features = js.encode(image, encoder, TERM.layers)
    fine, coarse = (np.float64(features[name]) for name in TERM.layers)
    h, w = coarse.shape[:2]
    fine = sum(fine[i : 2 * h : 2, j : 2 * w : 2] for i in (0, 1) for j in (0, 1)) / 4
    return np.concatenate([fine / fine.shape[-1], coarse / coarse.shape[-1]], -1)


def cosines(a, b):
    a, b = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (a, b))
    return a @ b.T


def matched(targets, image, encoder, term=TERM):
    """Renews the target for an image as the loop does."""
    size = js.Size(image.shape[:2], {"conv2_1": (image.shape[0] // 2, image.shape[1] // 2)})
    target = targets["nearest"]
    return term.renew(image, target, lambda layers: js.encode(image, encoder, layers), size)


def make(term=TERM, *, masks=0, content=(30, 26), style=(34, 22)):
    rng = np.random.default_rng(0)
    photo, image = jnp.asarray(rng.uniform(size=(2, *content, 3)), jnp.float32)
    painting = jnp.asarray(rng.uniform(size=(*style, 3)), jnp.float32)
    scene, styles = js.Scene(photo), js.Styles([painting])
    if masks:
        left = np.arange(content[1]) < content[1] // 2
        scene = scene._replace(
            masks=jnp.stack([jnp.tile(m, (content[0], 1)) for m in (left, ~left)]) * 1.0
        )
        top = np.arange(style[0])[:, None] < style[0] // 2
        styles = styles._replace(
            masks=[jnp.stack([jnp.tile(m, (1, style[1])) for m in (top, ~top)]) * 1.0]
        )
    encoder = plans.make_encoder("float32")
    objective = js.Objective(content_layers=(), style_layers=(), extra={"nearest": term})
    return image, scene, styles, encoder, objective


def test_each_position_is_matched_with_the_most_similar_one_of_the_style():
    image, scene, styles, encoder, objective = make()
    target = matched(js.make_targets(scene, styles, encoder, objective), image, encoder)
    content, current = vectors(scene.image, encoder), vectors(image, encoder)
    keys = vectors(styles.images[0], encoder).reshape(-1, content.shape[-1])
    query = (content + current) / 2 - content.mean((0, 1))
    query = query.reshape(-1, content.shape[-1])
    similar = cosines(query, keys - keys.mean(0))
    found = target.local["conv2_1"]["match"].reshape(query.shape)
    # The index is unique up to rounding: compare how similar the matches are.
    rows = [int(np.abs(keys - f).sum(-1).argmin()) for f in np.float64(found)]
    np.testing.assert_allclose(similar[np.arange(len(rows)), rows], similar.max(1), atol=1e-5)
    np.testing.assert_allclose(keys[rows], found, rtol=1e-4)


def test_the_value_is_the_mean_of_one_minus_the_cosines():
    image, scene, styles, encoder, objective = make()
    targets = js.make_targets(scene, styles, encoder, objective)
    targets["nearest"] = matched(targets, image, encoder)
    weights = js.LossWeights(tv=0.0, extra={"nearest": 3.0})
    own = vectors(image, encoder)
    match = np.float64(targets["nearest"].local["conv2_1"]["match"])
    flat = (x.reshape(-1, x.shape[-1]) for x in (own, match))
    expected = 3 * np.mean(1 - np.diag(cosines(*flat)))
    value = js.loss(image, targets, weights, encoder, objective)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_masks_restrict_matches_to_the_same_region():
    image, scene, styles, encoder, objective = make(masks=2)
    target = matched(js.make_targets(scene, styles, encoder, objective), image, encoder)
    found = np.asarray(target.local["conv2_1"]["match"])
    keys = vectors(styles.images[0], encoder)
    half = keys.shape[0] // 2
    for columns, rows in ((np.s_[:6], np.s_[:half]), (np.s_[7:], np.s_[half + 1 :])):
        region = keys[rows].reshape(-1, keys.shape[-1])
        for f in found[:, columns].reshape(-1, keys.shape[-1]):
            assert np.abs(region - f).max(1).min() < 1e-3


def test_several_styles_and_their_rotations_are_searched_unless_their_weight_is_zero():
    term = dataclasses.replace(TERM, turns=(0, 1, 2, 3))
    _, scene, _, encoder, objective = make(term)
    # The content itself, rotated, is the best match of the content.
    images = [jnp.rot90(scene.image, 3), jnp.full((24, 24, 3), 0.5)]
    for blend, same in (([1.0, 0.0], True), ([0.0, 1.0], False)):
        targets = js.make_targets(scene, js.Styles(images, blend), encoder, objective)
        target = matched(targets, scene.image, encoder, term).local["conv2_1"]
        assert np.allclose(target["match"], target["content"], atol=1e-3) == same


@pytest.mark.parametrize("count", [7, 10_000])
def test_keys_are_positions_of_the_style(count):
    term = dataclasses.replace(TERM, keys=count)
    _, scene, styles, encoder, objective = make(term)
    target = js.make_targets(scene, styles, encoder, objective)["nearest"].style
    keys = vectors(styles.images[0], encoder).reshape(-1, target["keys"].shape[-1])
    used = np.asarray(target["used"]) > 0
    assert used.sum() == min(count, len(keys))
    rows = [int(np.abs(keys - key).sum(-1).argmin()) for key in np.asarray(target["keys"])[used]]
    assert len(set(rows)) == len(rows)
    np.testing.assert_allclose(keys[rows], np.asarray(target["keys"])[used], rtol=1e-4)
    np.testing.assert_allclose(target["mean"], keys.mean(0), rtol=1e-4)


def test_layers_of_other_strides_are_brought_to_the_grid():
    _, scene, styles, encoder, objective = make(
        dataclasses.replace(TERM, grid="conv1_1"), content=(31, 27)
    )
    local = js.make_targets(scene, styles, encoder, objective)["nearest"].local["conv1_1"]
    coarse = js.encode(scene.image, encoder, ("conv2_1",))["conv2_1"]
    repeated = np.asarray(local["content"])[..., -coarse.shape[-1] :] * coarse.shape[-1]
    for i, j in ((0, 0), (7, 12), (30, 26)):
        expected = coarse[min(i // 2, coarse.shape[0] - 1), min(j // 2, coarse.shape[1] - 1)]
        np.testing.assert_allclose(repeated[i, j], expected, rtol=1e-6)


def test_a_run_searches_at_each_scale_and_stays_near_the_scene():
    recipe = js.preset("scene").replace(
        encoder="random", size=64, coarsest=32, scales=2, iterations=4, coarse_iterations=3,
        style_layers={"conv1_1": 1.0}, content_layers={"conv2_1": 1.0},
    )  # fmt: skip
    photo, painting = jax.random.uniform(jax.random.key(0), (2, 64, 64, 3))
    result = js.paint(recipe, photo, painting)
    assert list(result.terms) == ["content", "style", "tv", "nearest"]
    assert (result.terms["style"][:3] == 0).all()
    assert (result.terms["style"][3:] > 0).all()
    assert np.diff(result.terms["nearest"][:3]).max() < 0


def test_tiles_make_the_same_table_of_keys():
    term = dataclasses.replace(TERM, keys=50)
    _, _, styles, encoder, objective = make(term, style=(64, 48))
    whole, tiles = (
        js.style_targets(styles, encoder, objective, shape=(30, 26), plan=plan)["nearest"]
        for plan in (js.Whole(), js.Tiles(32))
    )
    assert js.Tiles(32).grid((64, 48), encoder, TERM.layers)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), whole, tiles)
