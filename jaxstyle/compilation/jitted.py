"""``jax.jit`` with the compiler options of this library."""

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
    """A function compiled by :func:`jit`.

    Attributes:
        function: Pure function.
        static_argnames: Arguments that change the program.
        donate_argnames: Arguments whose memory the program may reuse.
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
        """The function as a part of other programs."""
        return self._jit()

    @functools.cached_property
    def whole(self) -> Any:
        """The function as a program of its own, with the compiler options."""
        return self._jit(compiler_options=compiler_options())

    def _choose(self, *arguments: Any) -> Any:
        # JAX accepts options for whole programs only. While tracing, new constants are tracers.
        return self.part if is_traced(arguments, jnp.zeros(())) else self.whole

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Calls the compiled function."""
        with defaults():
            return self._choose(args, kwargs)(*args, **kwargs)

    def lower(self, *args: P.args, **kwargs: P.kwargs) -> jax.stages.Lowered:
        """Returns the lowered function for the shapes of the arguments."""
        with defaults():
            return self._choose(args, kwargs).lower(*args, **kwargs)


def jit(
    *, static_argnames: tuple[str, ...] = (), donate_argnames: tuple[str, ...] = ()
) -> Callable[[Callable[P, R]], Jitted[P, R]]:
    """Returns a decorator like ``jax.jit``, with :func:`compiler_options`.

    Args:
        static_argnames: Hashable arguments that change the program.
        donate_argnames: Arguments whose memory the program may reuse.

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
