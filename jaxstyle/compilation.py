"""How programs are compiled: for CPUs in half the time that XLA takes by default."""

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
_COMPILER_OPTIONS = {
    # The work is in products of matrices, which XLA does not compile but calls: the rest is hardly
    # faster for all that LLVM can do.
    "xla_cpu_use_fusion_emitters": False,
    "xla_backend_optimization_level": 1,
    # YNNPACK for sums alone: Eigen is the faster one with our products and convolutions.
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE",
}
_XLA_FLAGS = os.environ.get("XLA_FLAGS", "")


@functools.cache
def compiler_options() -> dict[str, Any]:
    """Returns what XLA is told for CPUs: options that it has and that XLA_FLAGS does not name."""
    options = {}
    for name, value in _COMPILER_OPTIONS.items():
        if name in _XLA_FLAGS:
            continue
        try:
            jax.jit(lambda: 0, compiler_options={name: value})()
        except jax.errors.JaxRuntimeError:
            continue  # not in every jaxlib: 0.12 has the newer emitters only
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
        """With :func:`compiler_options`."""
        return jax.jit(self.function, compiler_options=compiler_options(), **self.options)

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
    """Returns a ``jax.jit`` for functions, with our compiler options for a CPU's whole program.

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
