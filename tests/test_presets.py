"""Every preset against the tool that it is named after, as that tool writes its loss."""

import contextlib
import dataclasses
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxstyle as js
from jaxstyle.encoder.preprocessing import PREPROCESSINGS
from jaxstyle.ops import resize
from jaxstyle.pretrained import random_encoder, sources
from jaxstyle.recipes.presets import PRESETS
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.run.initial_image import initial_image
from oracles import relative_error

torch = pytest.importorskip("torch", reason="the oracle extra (PyTorch) is not installed")

import originals  # noqa: E402

NAMES = tuple(originals.ORIGINALS)
SIZE, STEPS = 64, 10


def picture(rng, h, w):
    y, x = np.mgrid[:h, :w]
    phase, k = rng.uniform(0, 6, 3), rng.uniform(0.1, 0.5, (2, 3))
    waves = 0.5 + 0.3 * np.sin(y[..., None] * k[0] + x[..., None] * k[1] + phase)
    waves = np.where((x > w // 2)[..., None], waves, 1 - waves)
    return jnp.asarray(waves + rng.normal(0, 0.05, waves.shape), jnp.float32).clip(0, 1)


@cache
def narrow(depths):
    """A random encoder of this depth; with random biases, or a lost one would go unseen."""
    encoder, rng = random_encoder(js.VGG(depths, (8, 8, 12, 16, 16))), np.random.default_rng(0)
    params = jax.tree.map(
        lambda a: a if a.ndim > 1 else jnp.asarray(rng.normal(0, 0.3, a.shape), jnp.float32),
        encoder.params,
    )
    return encoder.replace(params=params)


class Case(NamedTuple):
    """A preset, small: its settings, encoder and pictures, and the tool itself."""

    recipe: Recipe
    encoder: js.Encoder
    content: jax.Array
    style: jax.Array
    oracle: originals.Oracle

    @property
    def start(self):
        shape = resize.shape_of(self.content)
        return initial_image(self.recipe.init, self.content, self.style, shape, seed=0)

    @property
    def noise(self):
        return jax.random.uniform(jax.random.key(1), self.content.shape)

    @property
    def starts_flat(self):
        """Whether float32 can hardly tell which of four is the maximum."""
        return self.recipe.init == "grey"


@pytest.fixture(params=NAMES, scope="module")
def name(request):
    return request.param


@pytest.fixture(scope="module")
def case(name):
    """The preset at small sizes, with its own encoder in all but the width."""
    recipe, rng = js.preset(name), np.random.default_rng(0)
    small = (SIZE, 48) if isinstance(recipe.size, tuple) else SIZE
    recipe, source = dataclasses.replace(recipe, size=small), sources()[recipe.encoder]
    encoder = narrow(source.vgg.depths).replace(preprocessing=PREPROCESSINGS[source.preprocessing])
    pooling = recipe.pooling or source.vgg.pooling
    vgg = encoder.network.clone(padding=recipe.padding, pooling=pooling)
    encoder = encoder.replace(network=vgg)
    content, style = picture(rng, 48, 64), picture(rng, 60, 50)
    content = resize.resize(content, recipe.shape_of((48, 64)))
    style = resize.resize(style, recipe.style_shape_of((60, 50), resize.shape_of(content)))
    return Case(
        recipe, encoder, content, style, originals.Oracle(name, encoder.params, content, style)
    )


def test_every_tool_is_compared():
    ours = {"default", "scene", "draft", "instant", "best", "print", "texture", "nnst", "strotss"}
    assert {*NAMES} | ours == PRESETS.keys()


@jax.jit
def evaluate(image, pictures, weights, encoder, objective):
    """Returns the terms, and the gradient of the loss."""
    data = js.make_targets(*pictures, encoder, objective), weights, encoder, objective
    return js.loss_terms(image, *data), jax.grad(js.loss)(image, *data)


@contextlib.contextmanager
def float64():
    jax.config.update("jax_enable_x64", True)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", False)


@pytest.mark.parametrize("point", ["start", "noise", "blend"])
def test_loss_and_gradient_are_the_tools(case, point):
    recipe, encoder, content, style, oracle = case
    images = {
        "start": case.start,
        "noise": case.noise,
        "blend": 0.5 * (content + resize.resize(style, resize.shape_of(content))),
    }
    numbers = images[point], (content, style), recipe.make_loss_weights(), encoder
    # In float32 the processor decides which of four is the maximum, where it is close.
    with float64():
        numbers = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), numbers)
        terms, gradient = evaluate(*numbers, recipe.make_objective())
    expected, slope = oracle.at(images[point])
    # Where a term is 0, rounding is measured by the others.
    np.testing.assert_allclose([*terms.values()], expected, rtol=1e-5, atol=1e-11 * sum(expected))
    assert relative_error(gradient, slope) <= 1e-5


def test_losses_follow_the_tools(case):
    recipe = dataclasses.replace(case.recipe, iterations=STEPS, scales=1)
    if recipe.solver == "lbfgs":
        recipe = dataclasses.replace(recipe, solver="adam", learning_rate=1 / 255, b2=0.999)
    start = case.noise if case.starts_flat else case.start
    result = js.stylize(
        case.content,
        case.style,
        case.encoder,
        objective=recipe.make_objective(),
        loss_weights=recipe.make_loss_weights(),
        solver=recipe.make_solver(),
        schedule=recipe.make_schedule(),
        init=start,
        variable=recipe.variable,
    )
    losses, image = case.oracle.descend(start, STEPS)
    np.testing.assert_allclose(sum(result.terms.values()), losses, rtol=1e-4)
    assert relative_error(result.image, image.clip(0, 1)) <= 1e-3
