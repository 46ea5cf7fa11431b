"""Loss and gradient against NumPy in float64, and under jit, vmap and scan."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxstyle as js
import oracles
from jaxstyle.encoder.vgg import block_of
from jaxstyle.evaluate.plan import size_of
from programs import loss_and_gradient, targets_of, terms_of

OBJECTIVE = js.Objective(
    content_layers=("conv2_2", "conv3_1"), style_layers=("image", "conv1_1", "conv2_1", "conv3_1")
)
LOSS_WEIGHTS = js.LossWeights(
    content=1.3,
    style=20.0,
    tv=0.7,
    content_layers={"conv3_1": 0.25},
    style_layers={"image": 5.0, "conv2_1": 0.5},
)


@pytest.fixture
def image(pictures, rng):
    return jnp.asarray(pictures[0] + rng.normal(0, 0.1, pictures[0].shape), jnp.float32)


@pytest.fixture
def targets(pictures, encoder):
    return targets_of(*pictures, encoder, OBJECTIVE)


def test_loss_and_gradient_agree_with_numpy(image, pictures, targets, encoder, rng):
    def plain(x):
        return oracles.loss_terms(x, *pictures, encoder, OBJECTIVE, LOSS_WEIGHTS)

    expected = plain(image)
    actual = terms_of(image, targets, LOSS_WEIGHTS, encoder, OBJECTIVE)
    assert actual.keys() == expected.keys()
    for name, term in expected.items():
        np.testing.assert_allclose(actual[name], term, rtol=1e-5, err_msg=name)
    value, gradient = loss_and_gradient(image, targets, LOSS_WEIGHTS, encoder, OBJECTIVE)
    np.testing.assert_allclose(value, sum(expected.values()), rtol=1e-5)
    error = oracles.slope_error(lambda x: sum(plain(x).values()), image, gradient, rng, 1e-6)
    assert error <= 1e-4


def test_vmap_and_scan_agree_with_single_evaluations(image, targets, encoder):
    images = jnp.stack([image, image[:, ::-1]])
    weights = LOSS_WEIGHTS.replace(style=jnp.array([1.0, 10.0]))

    def evaluate(image, weights):
        return loss_and_gradient(image, targets, weights, encoder, OBJECTIVE)

    singles = [evaluate(x, weights.replace(style=s)) for x, s in zip(images, weights.style)]
    together = jax.vmap(evaluate, (0, weights.axes()))(images, weights)
    scanned = jax.lax.map(lambda pair: evaluate(pair[0], weights.replace(style=pair[1])),
                          (images, weights.style))  # fmt: skip
    for batch in (together, scanned):
        for i, (value, gradient) in enumerate(singles):
            np.testing.assert_allclose(batch[0][i], value, rtol=1e-5)
            scale = float(jnp.abs(gradient).max())
            np.testing.assert_allclose(batch[1][i], gradient, atol=1e-5 * scale)


def test_other_numbers_do_not_retrace(image, pictures, encoder):
    traces = 0

    @jax.jit
    def evaluate(*arguments):
        nonlocal traces
        traces += 1
        return js.loss(*arguments)

    for scale in (1.0, 2.0):
        targets = targets_of(pictures[0] * scale / 2, pictures[1], encoder, OBJECTIVE)
        evaluate(
            image,
            targets,
            LOSS_WEIGHTS.replace(style=scale),
            encoder,
            js.Objective(**OBJECTIVE.__dict__),
        )
    assert traces == 1


# Regions and blends

STATISTICS = (js.Gram(), js.Wasserstein(), js.MeanStd(), js.Sliced())
STYLE_ONLY = js.LossWeights(content=0.0, style=1.0, tv=0.0, style_layers={})


def halves(picture, share=0.5):
    """Returns masks of the left and the right part."""
    h, w, _ = picture.shape
    left = np.broadcast_to(np.arange(w) < round(share * w), (h, w))
    return jnp.asarray(np.stack([left, ~left]), jnp.float32)


def style_term(image, targets, encoder, objective):
    return terms_of(image, targets, STYLE_ONLY, encoder, objective)["style"]


with_gradient = jax.jit(jax.value_and_grad(style_term), static_argnums=3)


def guided(content, styles, content_masks, style_masks, encoder, objective):
    """Returns the targets with masks."""
    scene = js.Scene(content, content_masks)
    return targets_of(scene, js.Styles(styles, masks=style_masks), encoder, objective)


@pytest.fixture
def small(pictures):
    content, style = map(np.asarray, pictures)
    return jnp.asarray(content[:24, 8:36]), jnp.asarray(style[:26, :20])


def assert_same(targets, others, rtol=1e-5):
    for a, b in zip(jax.tree.leaves(targets), jax.tree.leaves(others), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max())


@pytest.mark.one_python
@pytest.mark.parametrize("statistic", STATISTICS, ids=repr)
def test_one_region_is_the_same_as_no_masks(small, encoder, statistic):
    objective = js.Objective(
        content_layers=(), style_layers=("image", "conv2_1"), statistic=statistic
    )
    ones = [jnp.ones((1, *p.shape[:2])) for p in small]
    masked = guided(small[0], [small[1]], ones[0], ones[1:], encoder, objective)
    plain = targets_of(*small, encoder, objective)
    (a, da), (b, db) = (
        with_gradient(small[0] ** 2, t, encoder, objective) for t in (masked, plain)
    )
    np.testing.assert_allclose(a, b, rtol=1e-4)
    np.testing.assert_allclose(da, db, atol=1e-4 * np.abs(db).max())


@pytest.mark.parametrize("statistic", STATISTICS[:3], ids=repr)
@pytest.mark.parametrize("share", [0.25, 0.5])
def test_regions_count_by_their_share(small, encoder, statistic, share):
    """A picture that repeats four times: wherever it is cut, the loss is that of the whole."""
    objective = js.Objective(content_layers=(), style_layers=("image",), statistic=statistic)
    four, style = jnp.tile(small[0], (1, 4, 1)), jnp.tile(small[1], (1, 2, 1))
    masked = guided(four, [style], halves(four, share), [halves(style)], encoder, objective)
    plain = targets_of(four, style, encoder, objective)
    (a, da), (b, db) = (with_gradient(four, t, encoder, objective) for t in (masked, plain))
    np.testing.assert_allclose(a, b, rtol=1e-4)
    np.testing.assert_allclose(da, db, atol=1e-3 * np.abs(db).max())


def test_guided_gram_matrices_agree_with_numpy(pictures, encoder, rng):
    """Random masks, pooled to each layer as the features are."""
    layers, image = ("image", "conv1_2", "conv2_1", "conv3_1"), pictures[0][:35, :41]
    masks = np.asarray(rng.uniform(size=(3, 35, 41)), np.float32)
    masks /= masks.sum(0)
    term = js.Style(layers=layers)
    local = term.style_local(jnp.asarray(masks), size_of((35, 41), encoder, layers))
    views = [js.View(image, js.encode(image, encoder, layers), m, {}, False) for m in (local, {})]
    (grams, counts), (plain, _) = map(term.of_style, views)
    features = oracles.encode(image, encoder, layers)
    for name in layers:
        expected = np.moveaxis(np.float64(masks), 0, -1)
        for _ in range(0 if name == "image" else block_of(name) - 1):
            expected = oracles.pool(expected, "average")
        np.testing.assert_allclose(local[name], expected, atol=1e-6)
        np.testing.assert_allclose(local[name].sum(-1), 1, atol=1e-6)
        sums = np.einsum("hwr,hwi,hwj->rij", expected, features[name], features[name])
        np.testing.assert_allclose(grams[name], sums, rtol=1e-4, atol=1e-4 * sums.max())
        np.testing.assert_allclose(counts[name], expected.sum((0, 1)), rtol=1e-5)
        # The masks add up to 1, so the regions add up to the whole.
        np.testing.assert_allclose(grams[name].sum(0), plain[name][0], rtol=1e-4, atol=1e-3)


@pytest.mark.one_python
@pytest.mark.parametrize("statistic", STATISTICS, ids=repr)
def test_style_without_a_region_does_not_contribute_to_it(small, encoder, statistic):
    objective = js.Objective(
        content_layers=(), style_layers=("image", "conv1_1"), statistic=statistic
    )
    content, style = small
    other = 1 - 0.5 * style[:, ::-1]
    everywhere, nowhere = jnp.ones(style.shape[:2]), jnp.zeros(style.shape[:2])
    without = jnp.stack([nowhere, everywhere])

    def targets(styles, style_masks):
        masks = halves(content)
        return guided(content, styles, masks, style_masks, encoder, objective)["style"].style

    both = targets([style, other], [halves(style), without])
    alone = targets([style], [halves(style)])
    assert_same(*(jax.tree.map(lambda x: x[0], t) for t in (both, alone)))
    # Both styles have the other region.
    for a, b in zip(jax.tree.leaves(both), jax.tree.leaves(alone), strict=True):
        assert np.abs(a[1] - b[1]).max() > 1e-2 * np.abs(b[1]).max()


@pytest.mark.one_python
@pytest.mark.parametrize("statistic", STATISTICS, ids=repr)
def test_blend_is_relative_and_traced(small, encoder, statistic):
    objective = js.Objective(
        content_layers=(), style_layers=("image", "conv1_1"), statistic=statistic
    )
    content, style = small
    styles = [style, 1 - 0.5 * content]

    @jax.jit
    def blended(shares):
        targets = targets_of(content, js.Styles(styles, shares), encoder, objective)
        return targets["style"].style

    alone = targets_of(content, style, encoder, objective)["style"].style
    assert_same(blended(jnp.array([1.0, 0.0])), alone, rtol=1e-4)
    half = targets_of(content, styles, encoder, objective)["style"].style
    for total in (1e-9, 1.0, 2.0, 1e9):
        assert_same(blended(jnp.array([total, total])), half)
    shares = jnp.array([[1.0, 3.0], [2.0, 0.5]])
    together = jax.vmap(blended)(shares)
    for i, share in enumerate(shares):
        single = blended(share)
        assert_same(jax.tree.map(lambda x, i=i: x[i], together), single, rtol=1e-4)


def test_blended_gram_matrices_agree_with_numpy(image, pictures, encoder):
    objective = js.Objective(content_layers=(), style_layers=("image", "conv1_1", "conv3_1"))
    content, style = pictures
    styles, shares = [style, 1 - 0.5 * content, content**2], np.array([1.0, 2.0, 5.0])
    blend = jnp.asarray(shares, jnp.float32)
    targets = targets_of(content, js.Styles(styles, blend), encoder, objective)
    expected, f = 0.0, oracles.encode(image, encoder, objective.style_layers)
    features = [oracles.encode(s, encoder, objective.style_layers) for s in styles]
    for name in objective.style_layers:
        grams = np.stack([oracles.gram(s[name]) for s in features])
        mix = np.tensordot(shares / shares.sum(), grams, 1)
        made, _ = targets["style"].style[name]
        np.testing.assert_allclose(made[0], mix, rtol=1e-4, atol=1e-5 * mix.max())
        expected += ((oracles.gram(f[name]) - mix) ** 2).sum() / (mix**2).sum()
    actual = style_term(image, targets, encoder, objective)
    np.testing.assert_allclose(actual, expected, rtol=1e-4)


# Further terms


def test_laplacian_term_agrees_with_numpy(pictures, image, encoder):
    """Blocks of 4×4 pixels, the rest of 44×36 cut off at 41×35, edges repeated."""
    content, x = pictures[0][:35, :41], image[:35, :41]

    def laplacian(image):
        blocks = np.asarray(image, np.float64)[:32, :40].reshape(8, 4, 10, 4, 3).mean((1, 3))
        p = np.pad(blocks, ((1, 1), (1, 1), (0, 0)), "edge")
        return 4 * blocks - p[:-2, 1:-1] - p[2:, 1:-1] - p[1:-1, :-2] - p[1:-1, 2:]

    objective = js.Objective(content_layers=(), style_layers=(), extra=["laplacian"])
    targets = targets_of(content, pictures[1], encoder, objective)
    weights = js.LossWeights(extra={"laplacian": 3.0})
    actual = terms_of(x, targets, weights, encoder, objective)["laplacian"]
    expected = 3 * ((laplacian(x) - laplacian(content)) ** 2).sum(-1).mean()
    np.testing.assert_allclose(actual, expected, rtol=1e-4)
