"""Compiled functions of the library, and other things that many tests share."""

import contextlib

import jax

import jaxstyle as js

targets_of = jax.jit(js.make_targets, static_argnums=3)
terms_of = jax.jit(js.loss_terms, static_argnums=4)
loss_of = jax.jit(js.loss, static_argnums=4)
loss_and_gradient = jax.jit(jax.value_and_grad(js.loss), static_argnums=4)


def total(terms):
    """Returns the sum of the terms, at every step if there are several."""
    return sum(terms.values())


@contextlib.contextmanager
def configured(**settings):
    """Sets options of JAX for a while."""
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
