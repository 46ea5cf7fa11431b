"""Loss and gradient against NumPy in float64; what jit, grad and vmap are promised."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxstyle as js
import oracles
from jaxstyle.encoder.vgg import block_of
from jaxstyle.losses.measure import masks_at
from programs import loss_and_gradient, loss_of, targets_of, terms_of

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


def test_terms_agree_with_numpy(image, pictures, targets, encoder):
    expected = oracles.loss_terms(image, *pictures, encoder, OBJECTIVE, LOSS_WEIGHTS)
    *actual, extra = terms_of(image, targets, LOSS_WEIGHTS, encoder, OBJECTIVE)
    assert extra == 0
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    total = loss_of(image, targets, LOSS_WEIGHTS, encoder, OBJECTIVE)
    np.testing.assert_allclose(total, sum(expected), rtol=1e-5)


def test_gradient_agrees_with_finite_differences(image, pictures, targets, encoder, rng):
    _, gradient = loss_and_gradient(image, targets, LOSS_WEIGHTS, encoder, OBJECTIVE)
    gradient = np.asarray(gradient, np.float64)

    def plain(x):
        return sum(oracles.loss_terms(x, *pictures, encoder, OBJECTIVE, LOSS_WEIGHTS))

    x, step = np.asarray(image, np.float64), 1e-6
    # Along the gradient and along directions at random: a wrong scale and a wrong sign both show.
    for direction in [gradient, *rng.normal(size=(3, *x.shape))]:
        direction = direction / np.linalg.norm(direction)
        slope = (plain(x + step * direction) - plain(x - step * direction)) / (2 * step)
        expected = (gradient * direction).sum()
        assert abs(slope - expected) <= 1e-4 * np.linalg.norm(gradient)


def test_loss_is_zero_where_everything_agrees(pictures, encoder):
    picture = pictures[0]
    targets = targets_of(picture, picture, encoder, OBJECTIVE)
    weights = LOSS_WEIGHTS.replace(tv=0.0)
    assert float(loss_of(picture, targets, weights, encoder, OBJECTIVE)) <= 1e-9


def test_style_term_does_not_see_where_things_are(pictures, encoder):
    """The palette layer sums over positions, so that shuffling them changes nothing."""
    objective = js.Objective(content_layers=(), style_layers=("image",))
    content, style = pictures
    targets = targets_of(content, style, encoder, objective)
    shuffled = jax.random.permutation(jax.random.key(0), content.reshape(-1, 3)).reshape(
        content.shape
    )
    terms = [
        terms_of(x, targets, js.LossWeights(), encoder, objective).style
        for x in (content, shuffled)
    ]
    np.testing.assert_allclose(*terms, rtol=1e-4)
    assert float(terms[0]) > 0


def test_loss_does_not_depend_on_the_scale_of_the_activations(image, pictures, encoder):
    """Multiplying all activations of a layer by a number is nothing that the terms should see."""
    objective = js.Objective(content_layers=("conv1_1",), style_layers=("conv1_1",))
    scaled = encoder.replace(params=jax.tree.map(lambda a: 7.0 * a, encoder.params))
    losses = [
        loss_of(image, targets_of(*pictures, e, objective), LOSS_WEIGHTS, e, objective)
        for e in (encoder, scaled)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_flat_pictures_have_a_finite_loss(encoder):
    black = jnp.zeros((32, 32, 3))
    targets = targets_of(black, black, encoder, OBJECTIVE)
    value, gradient = loss_and_gradient(black, targets, LOSS_WEIGHTS, encoder, OBJECTIVE)
    assert np.isfinite(value)
    assert np.all(np.isfinite(gradient))


def test_vmap_over_images_and_loss_weights(image, targets, encoder):
    images = jnp.stack([image, image[:, ::-1]])
    scales = jnp.array([1.0, 10.0])
    weights = jax.tree.map(lambda w: jnp.full(2, w), LOSS_WEIGHTS).replace(style=scales)
    over_images = jax.vmap(loss_of, (0, None, None, None, None))
    over_weights = jax.vmap(loss_of, (None, None, 0, None, None))
    singles = [loss_of(x, targets, LOSS_WEIGHTS, encoder, OBJECTIVE) for x in images]
    np.testing.assert_allclose(
        over_images(images, targets, LOSS_WEIGHTS, encoder, OBJECTIVE), singles, rtol=1e-5
    )
    singles = [
        loss_of(image, targets, LOSS_WEIGHTS.replace(style=s), encoder, OBJECTIVE) for s in scales
    ]
    np.testing.assert_allclose(
        over_weights(image, targets, weights, encoder, OBJECTIVE), singles, rtol=1e-5
    )


def test_gradient_in_a_scan_and_under_vmap(image, targets, encoder):
    def gradient(x):
        return loss_and_gradient(x, targets, LOSS_WEIGHTS, encoder, OBJECTIVE)[1]

    images = jnp.stack([image, image[:, ::-1]])
    singles = jnp.stack([gradient(x) for x in images])
    scanned = jax.lax.map(gradient, images)
    for batch in (scanned, jax.vmap(gradient)(images)):
        np.testing.assert_allclose(batch, singles, atol=1e-5 * float(jnp.abs(singles).max()))


def test_jit_traces_once_for_other_numbers(image, pictures, encoder):
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


def test_statistics_of_tiles_add_up(encoder, pictures):
    """Layers without a receptive field beyond the pixel: halves give exactly the whole."""
    objective = js.Objective(style_layers=("image",))

    def measured(image):
        # Between halves, differences are no half's.
        return js.statistics(image, encoder, objective)._replace(variation=jnp.float32(0))

    whole, halves = measured(pictures[0]), map(measured, jnp.split(pictures[0], 2))
    total = jax.tree.map(jnp.add, *halves)
    for a, b in zip(jax.tree.leaves(total), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max())


# Regions and blends

STATISTICS = (js.Gram(), js.Wasserstein(), js.MeanStd(), js.Sliced())
STYLE_ONLY = js.LossWeights(content=0.0, style=1.0, tv=0.0, style_layers={})


def halves(picture, share=0.5):
    """Left and right."""
    h, w, _ = picture.shape
    left = np.broadcast_to(np.arange(w) < round(share * w), (h, w))
    return jnp.asarray(np.stack([left, ~left]), jnp.float32)


def style_term(image, targets, encoder, objective):
    return terms_of(image, targets, STYLE_ONLY, encoder, objective).style


with_gradient = jax.jit(jax.value_and_grad(style_term), static_argnums=3)


@pytest.fixture
def small(pictures):
    content, style = map(np.asarray, pictures)
    return jnp.asarray(content[:24, 8:36]), jnp.asarray(style[:26, :20])


def assert_same(targets, others, rtol=1e-5):
    for a, b in zip(jax.tree.leaves(targets), jax.tree.leaves(others), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max())


@pytest.mark.one_python
@pytest.mark.parametrize("statistic", STATISTICS, ids=repr)
def test_one_region_everywhere_is_no_region(small, encoder, statistic):
    objective = js.Objective(
        content_layers=(), style_layers=("image", "conv2_1"), statistic=statistic
    )
    ones = [jnp.ones((1, *p.shape[:2])) for p in small]
    guided = targets_of(*small, encoder, objective, content_masks=ones[0], style_masks=ones[1:])
    plain = targets_of(*small, encoder, objective)
    (a, da), (b, db) = (
        with_gradient(small[0] ** 2, t, encoder, objective) for t in (guided, plain)
    )
    np.testing.assert_allclose(a, b, rtol=1e-4)
    np.testing.assert_allclose(da, db, atol=1e-4 * np.abs(db).max())


@pytest.mark.parametrize("statistic", STATISTICS[:3], ids=repr)
@pytest.mark.parametrize("share", [0.25, 0.5])
def test_regions_that_look_alike_count_by_their_share(small, encoder, statistic, share):
    """A picture of four times the same: cut anywhere, the loss is that of the whole."""
    objective = js.Objective(content_layers=(), style_layers=("image",), statistic=statistic)
    four, style = jnp.tile(small[0], (1, 4, 1)), jnp.tile(small[1], (1, 2, 1))
    guided = targets_of(
        four,
        style,
        encoder,
        objective,
        content_masks=halves(four, share),
        style_masks=[halves(style)],
    )
    plain = targets_of(four, style, encoder, objective)
    (a, da), (b, db) = (with_gradient(four, t, encoder, objective) for t in (guided, plain))
    np.testing.assert_allclose(a, b, rtol=1e-4)
    np.testing.assert_allclose(da, db, atol=1e-3 * np.abs(db).max())


@pytest.mark.one_python
@pytest.mark.parametrize("statistic", STATISTICS, ids=repr)
def test_each_region_takes_over_its_own(small, encoder, statistic):
    """An image of two styles side by side is where it should be; swapped, it is not."""
    objective = js.Objective(content_layers=(), style_layers=("image",), statistic=statistic)
    one, two = small[0], 1 - 0.6 * small[0]
    both, masks = jnp.concatenate([one, two], 1), halves(jnp.concatenate([one, two], 1))
    targets = [
        targets_of(both, both, encoder, objective, content_masks=masks, style_masks=[m])
        for m in (masks, masks[::-1])
    ]
    right, wrong = (float(style_term(both, t, encoder, objective)) for t in targets)
    assert abs(right) < 1e-3 * wrong


def test_guided_gram_matrices_agree_with_numpy(pictures, encoder, rng):
    """Masks at random, pooled to each layer as the features are."""
    layers, image = ("image", "conv1_2", "conv2_1", "conv3_1"), pictures[0][:35, :41]
    masks = np.asarray(rng.uniform(size=(3, 35, 41)), np.float32)
    masks /= masks.sum(0)
    guides = masks_at(jnp.asarray(masks), encoder, layers)
    objective = js.Objective(style_layers=layers)
    statistics = jax.jit(js.statistics, static_argnums=2)
    stats, plain = (statistics(image, encoder, objective, masks=m) for m in (guides, None))
    features = oracles.encode(image, encoder, layers)
    for name in layers:
        expected = np.moveaxis(np.float64(masks), 0, -1)
        for _ in range(0 if name == "image" else block_of(name) - 1):
            expected = oracles.pool(expected, "average")
        np.testing.assert_allclose(np.moveaxis(guides[name], 0, -1), expected, atol=1e-6)
        np.testing.assert_allclose(guides[name].sum(0), 1, atol=1e-6)
        grams = np.einsum("hwr,hwi,hwj->rij", expected, features[name], features[name])
        np.testing.assert_allclose(stats.style[name], grams, rtol=1e-4, atol=1e-4 * grams.max())
        np.testing.assert_allclose(stats.positions[name], expected.sum((0, 1)), rtol=1e-5)
        # Regions that add up to everything add up to the whole.
        whole = plain.style[name]
        np.testing.assert_allclose(stats.style[name].sum(0), whole[0], rtol=1e-4, atol=1e-3)


@pytest.mark.one_python
@pytest.mark.parametrize("statistic", STATISTICS, ids=repr)
def test_a_style_without_a_region_has_no_say_in_it(small, encoder, statistic):
    objective = js.Objective(
        content_layers=(), style_layers=("image", "conv1_1"), statistic=statistic
    )
    content, style = small
    other = 1 - 0.5 * style[:, ::-1]
    everywhere, nowhere = jnp.ones(style.shape[:2]), jnp.zeros(style.shape[:2])
    without = jnp.stack([nowhere, everywhere])

    def targets(styles, style_masks):
        masks = halves(content)
        return targets_of(
            content, styles, encoder, objective, content_masks=masks, style_masks=style_masks
        ).style

    both = targets([style, other], [halves(style), without])
    alone = targets(style, [halves(style)])
    assert_same(*(jax.tree.map(lambda x: x[0], t) for t in (both, alone)))
    # The other region is of both.
    for a, b in zip(jax.tree.leaves(both), jax.tree.leaves(alone), strict=True):
        assert np.abs(a[1] - b[1]).max() > 1e-2 * np.abs(b[1]).max()


@pytest.mark.one_python
@pytest.mark.parametrize("statistic", STATISTICS, ids=repr)
def test_shares_of_a_blend(small, encoder, statistic):
    objective = js.Objective(
        content_layers=(), style_layers=("image", "conv1_1"), statistic=statistic
    )
    content, style = small
    styles = [style, 1 - 0.5 * content]

    @jax.jit
    def blended(shares):
        return targets_of(content, styles, encoder, objective, blend=shares).style

    alone = targets_of(content, style, encoder, objective).style
    assert_same(blended(jnp.array([1.0, 0.0])), alone, rtol=1e-4)
    half = targets_of(content, styles, encoder, objective).style
    for total in (1e-9, 1.0, 2.0, 1e9):
        assert_same(blended(jnp.array([total, total])), half)
    # Many shares at once.
    shares = jnp.array([[1.0, 3.0], [2.0, 0.5]])
    together = jax.vmap(blended)(shares)
    for i, share in enumerate(shares):
        single = blended(share)
        assert_same(jax.tree.map(lambda x, i=i: x[i], together), single, rtol=1e-4)


def test_a_blend_of_gram_matrices_is_linear(image, pictures, encoder):
    objective = js.Objective(content_layers=(), style_layers=("image", "conv1_1", "conv3_1"))
    content, style = pictures
    styles, shares = [style, 1 - 0.5 * content, content**2], np.array([1.0, 2.0, 5.0])
    targets = targets_of(
        content, styles, encoder, objective, blend=jnp.asarray(shares, jnp.float32)
    )
    expected, f = 0.0, oracles.encode(image, encoder, objective.style_layers)
    features = [oracles.encode(s, encoder, objective.style_layers) for s in styles]
    for name in objective.style_layers:
        grams = np.stack([oracles.gram(s[name]) for s in features])
        mix = np.tensordot(shares / shares.sum(), grams, 1)
        np.testing.assert_allclose(
            targets.style.statistics[name][0], mix, rtol=1e-4, atol=1e-5 * mix.max()
        )
        expected += ((oracles.gram(f[name]) - mix) ** 2).sum() / (mix**2).sum()
    actual = style_term(image, targets, encoder, objective)
    np.testing.assert_allclose(actual, expected, rtol=1e-4)


@pytest.mark.parametrize("statistic", STATISTICS[1:], ids=repr)
def test_gradient_of_every_statistic_goes_downhill_as_told(small, encoder, statistic):
    """Through the network, in two regions: what a small step promises, it keeps."""
    objective = js.Objective(
        content_layers=(), style_layers=("image", "conv2_1"), statistic=statistic
    )
    targets = targets_of(
        *small,
        encoder,
        objective,
        content_masks=halves(small[0]),
        style_masks=[halves(small[1])],
    )
    value, gradient = with_gradient(small[0] ** 2, targets, encoder, objective)
    step = 1e-2 * float(value) / float(jnp.square(gradient).sum()) * gradient
    ahead, behind = (
        with_gradient(small[0] ** 2 + s, targets, encoder, objective)[0] for s in (step, -step)
    )
    np.testing.assert_allclose(ahead - behind, 2e-2 * value, rtol=0.02)
