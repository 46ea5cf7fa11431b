"""``jax.jit`` for programs of ours: compiled with options of ours."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

import jax
import jax.numpy as jnp

from jaxstyle.arrays import is_traced
from jaxstyle.compilation.options import compiler_options
from jaxstyle.configuration import defaults

P = ParamSpec("P")
R = TypeVar("R")


@dataclasses.dataclass(frozen=True, eq=False)
class Jitted(Generic[P, R]):
    """A function that :func:`jit` made.

    Attributes:
        function: Pure.
        static_argnames: Its arguments that change the program.
        donate_argnames: Its arguments whose memory the program may use.
    """

    function: Callable[P, R]
    static_argnames: tuple[str, ...]
    donate_argnames: tuple[str, ...]

    def _jit(self, **options: Any) -> Any:
        return jax.jit(
            self.function,
            static_argnames=self.static_argnames,
            donate_argnames=self.donate_argnames,
            **options,
        )

    @functools.cached_property
    def part(self) -> Any:
        """As a part of other programs."""
        return self._jit()

    @functools.cached_property
    def whole(self) -> Any:
        """As a program by itself."""
        return self._jit(compiler_options=compiler_options())

    def _choose(self, *arguments: Any) -> Any:
        # JAX takes options for whole programs only; within one, even a new constant is a tracer.
        return self.part if is_traced(arguments, jnp.zeros(())) else self.whole

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Calls the function, compiled for arguments of these shapes."""
        with defaults():
            return self._choose(args, kwargs)(*args, **kwargs)

    def lower(self, *args: P.args, **kwargs: P.kwargs) -> jax.stages.Lowered:
        """Returns what is compiled for such arguments."""
        with defaults():
            return self._choose(args, kwargs).lower(*args, **kwargs)


def jit(
    *, static_argnames: tuple[str, ...] = (), donate_argnames: tuple[str, ...] = ()
) -> Callable[[Callable[P, R]], Jitted[P, R]]:
    """Returns a ``jax.jit`` for functions, with our compiler options for a CPU's whole program.

    What ``XLA_FLAGS`` names is left to it.

    Args:
        static_argnames: Arguments that change the program, hashable.
        donate_argnames: Arguments whose memory the program may use.

    Returns:
        A decorator of pure functions.

    Examples:
        >>> @jit(static_argnames=("n",))
        ... def multiply(x, n):
        ...     return n * x
        >>> multiply(2.0, n=3).item()
        6.0
    """

    def decorate(function: Callable[P, R]) -> Jitted[P, R]:
        return Jitted(function, static_argnames, donate_argnames)

    return decorate
