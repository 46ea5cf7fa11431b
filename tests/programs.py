"""The functional core, compiled: operation by operation tests would take several times as long."""

import jax

import jaxstyle as js

targets_of = jax.jit(js.make_targets, static_argnums=3)
terms_of = jax.jit(js.loss_terms, static_argnums=4)
loss_of = jax.jit(js.loss, static_argnums=4)
loss_and_gradient = jax.jit(jax.value_and_grad(js.loss), static_argnums=4)
