"""How programs are compiled: on CPUs in half the time that XLA takes by default."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
from jax.core import Tracer

P = ParamSpec("P")
R = TypeVar("R")

# The work is in products of matrices, which XLA does not compile but calls: the rest is no faster
# for all that LLVM can do. docs/performance.md has the figures.
_QUICK = {"xla_cpu_use_fusion_emitters": False, "xla_backend_optimization_level": 1}
_TOLD = os.environ.get("XLA_FLAGS", "")


@dataclasses.dataclass(frozen=True)
class Jitted(Generic[P, R]):
    """A function that :func:`jit` made."""

    plain: Any
    quick: Any

    def _choose(self, *arguments: Any) -> Any:
        # JAX takes options for whole programs only. A constant tells of a surrounding jit.
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

    What ``XLA_FLAGS`` says about those passes goes first.

    Args:
        **options: As ``jax.jit`` takes them.

    Examples:
        >>> @jit(static_argnames="n")
        ... def multiply(x, n):
        ...     return n * x
        >>> multiply(2.0, n=3).item()
        6.0
    """

    def decorate(function: Callable[P, R]) -> Jitted[P, R]:
        left = {name: value for name, value in _QUICK.items() if f"--{name}=" not in _TOLD}
        quick = jax.jit(function, compiler_options=left, **options)
        return Jitted(jax.jit(function, **options), quick)

    return decorate
