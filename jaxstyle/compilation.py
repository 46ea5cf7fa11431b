"""How programs are compiled: for CPUs sooner, and to run sooner, than XLA does by default."""

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

# docs/performance.md has the figures.
_FOR_CPUS = {
    # The work is in products of matrices, which XLA does not compile but calls: the rest is hardly
    # faster for all that LLVM can do.
    "xla_cpu_use_fusion_emitters": False,
    "xla_backend_optimization_level": 1,
    # By default YNNPACK, the slower library for products of this size and for convolutions, gets
    # those too.
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE",
}
_XLA_FLAGS = os.environ.get("XLA_FLAGS", "")


@functools.cache
def options_for_cpus() -> dict[str, Any]:
    """Returns options for the compiler: those that it has and that XLA_FLAGS does not name."""
    options = {}
    for name, value in _FOR_CPUS.items():
        if name in _XLA_FLAGS:
            continue
        try:
            jax.jit(lambda: 0, compiler_options={name: value})()
        except jax.errors.JaxRuntimeError:
            continue  # jaxlib comes and goes with them: 0.12 has other emitters
        options[name] = value
    return options


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
    def for_cpus(self) -> Any:
        """As is best for our programs on CPUs."""
        return jax.jit(self.function, compiler_options=options_for_cpus(), **self.options)

    def _choose(self, *arguments: Any) -> Any:
        # JAX takes options for whole programs only; within one, even a new constant is a tracer.
        leaves = jax.tree.leaves((arguments, jnp.zeros(())))
        traced = any(isinstance(leaf, Tracer) for leaf in leaves)
        return self.plain if traced or jax.default_backend() != "cpu" else self.for_cpus

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Calls the function, compiled for arguments of these shapes."""
        return self._choose(args, kwargs)(*args, **kwargs)

    def lower(self, *args: P.args, **kwargs: P.kwargs) -> jax.stages.Lowered:
        """Returns what is compiled for such arguments."""
        return self._choose(args, kwargs).lower(*args, **kwargs)


def jit(**options: Any) -> Callable[[Callable[P, R]], Jitted[P, R]]:
    """Returns a ``jax.jit`` for functions, with our options where they are a CPU's whole program.

    What ``XLA_FLAGS`` names is left to it.

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
