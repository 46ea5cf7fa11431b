"""Loss and gradient against NumPy in float64; what jit, grad and vmap are promised."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxstyle as js
import oracles

OBJECTIVE = js.Objective(
    content_layers=("conv2_2", "conv3_1"), style_layers=("image", "conv1_1", "conv2_1", "conv3_1")
)
LOSS_WEIGHTS = js.LossWeights(
    1.3, 20.0, 0.7, content_layers={"conv3_1": 0.25}, style_layers={"image": 5.0, "conv2_1": 0.5}
)


@pytest.fixture
def image(pictures, rng):
    return jnp.asarray(pictures[0] + rng.normal(0, 0.1, pictures[0].shape), jnp.float32)


@pytest.fixture
def targets(pictures, encoder):
    return js.make_targets(*pictures, encoder, OBJECTIVE)


def test_terms_agree_with_numpy(image, pictures, targets, encoder):
    expected = oracles.loss_terms(image, *pictures, encoder, OBJECTIVE, LOSS_WEIGHTS)
    actual = js.loss_terms(image, targets, LOSS_WEIGHTS, encoder, OBJECTIVE)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    total = js.loss(image, targets, LOSS_WEIGHTS, encoder, OBJECTIVE)
    np.testing.assert_allclose(total, sum(expected), rtol=1e-5)


def test_gradient_agrees_with_finite_differences(image, pictures, targets, encoder, rng):
    gradient = jax.grad(js.loss)(image, targets, LOSS_WEIGHTS, encoder, OBJECTIVE)
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
    targets = js.make_targets(picture, picture, encoder, OBJECTIVE)
    weights = LOSS_WEIGHTS.replace(tv=0.0)
    assert float(js.loss(picture, targets, weights, encoder, OBJECTIVE)) <= 1e-9


def test_style_term_does_not_see_where_things_are(pictures, encoder):
    """The palette layer sums over positions, so that shuffling them changes nothing."""
    objective = js.Objective((), ("image",))
    content, style = pictures
    targets = js.make_targets(content, style, encoder, objective)
    shuffled = jax.random.permutation(jax.random.key(0), content.reshape(-1, 3)).reshape(
        content.shape
    )
    terms = [
        js.loss_terms(x, targets, js.LossWeights(), encoder, objective).style
        for x in (content, shuffled)
    ]
    np.testing.assert_allclose(*terms, rtol=1e-4)
    assert float(terms[0]) > 0


def test_loss_does_not_depend_on_the_scale_of_the_activations(image, pictures, encoder):
    """Multiplying all activations of a layer by a number is nothing that the terms should see."""
    objective = js.Objective(("conv1_1",), ("conv1_1",))
    scaled = encoder.replace(params=jax.tree.map(lambda a: 7.0 * a, encoder.params))
    losses = [
        js.loss(image, js.make_targets(*pictures, e, objective), LOSS_WEIGHTS, e, objective)
        for e in (encoder, scaled)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_flat_pictures_have_a_finite_loss(encoder):
    black = jnp.zeros((32, 32, 3))
    targets = js.make_targets(black, black, encoder, OBJECTIVE)
    value, gradient = jax.value_and_grad(js.loss)(black, targets, LOSS_WEIGHTS, encoder, OBJECTIVE)
    assert np.isfinite(value)
    assert np.all(np.isfinite(gradient))


def test_vmap_over_images_and_loss_weights(image, targets, encoder):
    images = jnp.stack([image, image[:, ::-1]])
    scales = jnp.array([1.0, 10.0])
    weights = jax.tree.map(lambda w: jnp.full(2, w), LOSS_WEIGHTS).replace(style=scales)
    over_images = jax.vmap(js.loss, (0, None, None, None, None))
    over_weights = jax.vmap(js.loss, (None, None, 0, None, None))
    singles = [js.loss(x, targets, LOSS_WEIGHTS, encoder, OBJECTIVE) for x in images]
    np.testing.assert_allclose(
        over_images(images, targets, LOSS_WEIGHTS, encoder, OBJECTIVE), singles, rtol=1e-5
    )
    singles = [
        js.loss(image, targets, LOSS_WEIGHTS.replace(style=s), encoder, OBJECTIVE) for s in scales
    ]
    np.testing.assert_allclose(
        over_weights(image, targets, weights, encoder, OBJECTIVE), singles, rtol=1e-5
    )


def test_gradient_in_a_scan_and_under_vmap(image, targets, encoder):
    def gradient(x):
        return jax.grad(js.loss)(x, targets, LOSS_WEIGHTS, encoder, OBJECTIVE)

    images = jnp.stack([image, image[:, ::-1]])
    singles = jnp.stack([gradient(x) for x in images])
    scanned = jax.lax.scan(lambda carry, x: (carry, gradient(x)), None, images)[1]
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
        targets = js.make_targets(pictures[0] * scale / 2, pictures[1], encoder, OBJECTIVE)
        evaluate(
            image,
            targets,
            LOSS_WEIGHTS.replace(style=scale),
            encoder,
            js.Objective(*OBJECTIVE.__dict__.values()),
        )
    assert traces == 1


def test_statistics_of_tiles_add_up(encoder, pictures):
    """Layers without a receptive field beyond the pixel: halves give exactly the whole."""
    whole = js.statistics(pictures[0], encoder, ("image",), {})
    halves = [js.statistics(h, encoder, ("image",), {}) for h in jnp.split(pictures[0], 2)]
    total = jax.tree.map(jnp.add, *halves)
    for a, b in zip(jax.tree.leaves(total), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
