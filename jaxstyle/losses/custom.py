"""A function of the image as a term."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from jaxstyle.arrays import Image, Scalar
from jaxstyle.errors import InputError
from jaxstyle.losses.pictures import Scene
from jaxstyle.losses.term import Local, Size, Target, Term, View, Weight


@dataclasses.dataclass(frozen=True)
class ImageTerm(Term):
    """A pure function of the whole image, and optionally of data.

    Attributes:
        function: ``image -> scalar``, or ``(image, data) -> scalar``.
        data: Name in ``Scene.data`` of the pytree that the function uses; None for no data.

    Examples:
        >>> import jax.numpy as jnp, jaxstyle as js
        >>> darkness = js.ImageTerm(lambda image: jnp.square(image).mean())
        >>> js.Objective(extra={"darkness": darkness}).terms["darkness"] is darkness
        True
    """

    function: Callable[..., Scalar]
    _: dataclasses.KW_ONLY
    data: str | None = None

    def content_target(self, view: View, scene: Scene, size: Size) -> tuple[Local, Any]:
        """Returns the data."""
        if self.data is None:
            return {}, None
        if self.data not in scene.data:
            raise InputError(f"data {self.data!r}: not given; add it to Scene.data")
        return {}, scene.data[self.data]

    def sums(self, view: View) -> Image:
        """Returns the image."""
        return view.image

    def value(self, sums: Any, target: Target, weight: Weight, size: Size) -> Scalar:
        """Returns the weighted value of the function."""
        data = () if self.data is None else (target.content,)
        return jnp.asarray(self.function(sums, *data)) * weight.total
