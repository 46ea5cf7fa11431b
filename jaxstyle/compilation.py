"""How programs are compiled: on CPUs in half the time that XLA takes by default."""

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping
from typing import Any, Generic, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
from jax.core import Tracer

P = ParamSpec("P")
R = TypeVar("R")

# The work is in products of matrices, which XLA does not compile but calls: the rest is no faster
# for all that LLVM can do. docs/performance.md has the figures.
_QUICK = {"xla_cpu_use_fusion_emitters": False, "xla_backend_optimization_level": 1}
_XLA_FLAGS = os.environ.get("XLA_FLAGS", "")


@functools.cache
def quick_passes() -> dict[str, Any]:
    """Returns options for the compiler: those that it has and that XLA_FLAGS does not name."""
    passes = {}
    for name, value in _QUICK.items():
        if name in _XLA_FLAGS:
            continue
        try:
            jax.jit(lambda: 0, compiler_options={name: value})()
        except jax.errors.JaxRuntimeError:
            continue  # jaxlib 0.12 has no emitters but the newer ones
        passes[name] = value
    return passes


@dataclasses.dataclass(frozen=True, eq=False)
class Jitted(Generic[P, R]):
    """A function that :func:`jit` made.

    Attributes:
        function: Pure.
        options: As ``jax.jit`` takes them.
    """

    function: Callable[P, R]
    options: Mapping[str, Any]

    @functools.cached_property
    def plain(self) -> Any:
        """As XLA compiles by default."""
        return jax.jit(self.function, **self.options)

    @functools.cached_property
    def quick(self) -> Any:
        """With quick passes."""
        return jax.jit(self.function, compiler_options=quick_passes(), **self.options)

    def _choose(self, *arguments: Any) -> Any:
        # JAX takes options for whole programs only; within one, even a new constant is a tracer.
        leaves = jax.tree.leaves((arguments, jnp.zeros(())))
        traced = any(isinstance(leaf, Tracer) for leaf in leaves)
        return self.plain if traced or jax.default_backend() != "cpu" else self.quick

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Calls the function, compiled for arguments of these shapes."""
        return self._choose(args, kwargs)(*args, **kwargs)

    def lower(self, *args: P.args, **kwargs: P.kwargs) -> jax.stages.Lowered:
        """Returns what is compiled for such arguments."""
        return self._choose(args, kwargs).lower(*args, **kwargs)


def jit(**options: Any) -> Callable[[Callable[P, R]], Jitted[P, R]]:
    """Returns a ``jax.jit`` for functions, with quick passes where they are a CPU's whole program.

    Passes that ``XLA_FLAGS`` names are left to it.

    Args:
        **options: As ``jax.jit`` takes them.

    Returns:
        A decorator of pure functions.

    Examples:
        >>> @jit(static_argnames="n")
        ... def multiply(x, n):
        ...     return n * x
        >>> multiply(2.0, n=3).item()
        6.0
    """

    def decorate(function: Callable[P, R]) -> Jitted[P, R]:
        return Jitted(function, options)

    return decorate
