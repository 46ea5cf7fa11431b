"""JAX's configuration while this library runs, and in its threads."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

import jax

P = ParamSpec("P")
R = TypeVar("R")


@contextlib.contextmanager
def defaults() -> Iterator[None]:
    """Context with JAX's default checks.

    Users set ``jax_numpy_rank_promotion="raise"``, ``jax_numpy_dtype_promotion="strict"``,
    ``jax_debug_infs`` or ``jax_transfer_guard="disallow"`` to check their own code. This library
    relies on the defaults: it adds biases to feature maps, and uses infinity for unknown values.
    """
    with (
        jax.numpy_rank_promotion("allow"),
        jax.numpy_dtype_promotion("standard"),
        jax.debug_infs(False),
        jax.transfer_guard("allow"),
    ):
        yield


def configured(function: Callable[P, R]) -> Callable[P, R]:
    """Decorates a function to run under :func:`defaults`.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> add = configured(lambda: jnp.ones((2, 3)) + jnp.ones(3))
        >>> with jax.numpy_rank_promotion("raise"):
        ...     add().shape
        (2, 3)
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with defaults():
            return function(*args, **kwargs)

    return call


def of_this_thread() -> Callable[[], contextlib.ExitStack]:
    """Returns a function that creates a context with this thread's configuration of JAX.

    Other threads enter the context.
    """
    # Older versions of JAX have it in ``jax.experimental``.
    enable_x64: Any = (jax if hasattr(jax, "enable_x64") else jax.experimental).enable_x64  # pyright: ignore[reportAttributeAccessIssue]
    managers: dict[str, Any] = {
        "jax_default_device": jax.default_device,
        "jax_default_matmul_precision": jax.default_matmul_precision,
        "jax_enable_x64": enable_x64,
    }
    values = {name: getattr(jax.config, name) for name in managers}

    def enter() -> contextlib.ExitStack:
        stack = contextlib.ExitStack()
        for name, manager in managers.items():
            stack.enter_context(manager(values[name]))
        return stack

    return enter
