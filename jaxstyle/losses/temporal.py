"""The temporal term: a frame of a film stays close to the warped previous frame."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jaxstyle.arrays import Scalar
from jaxstyle.errors import InputError
from jaxstyle.losses.pictures import Scene
from jaxstyle.losses.term import Local, Size, Target, Term, View, Weight

TEMPORAL = "temporal"
"""Name of the term, and of its data in :class:`~jaxstyle.Scene`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Temporal(Term):
    """``w Σ c (x − ω)² / n``, with ``ω`` the warped previous frame, where ``c`` trusts it.

    ``n`` is the number of values of the image. ``Scene.data["temporal"]`` is the pair of ``ω``,
    ``f32[h, w, 3]``, and ``c``, ``f32[h, w]`` in [0, 1]; another pair does not recompile.

    Ruder, Dosovitskiy & Brox 2016, "Artistic Style Transfer for Videos", eq. 7. Several earlier
    frames with the trusts ``c_j`` have the same gradient as the one pair of
    ``Σ c_j ω_j / Σ c_j`` and ``Σ c_j``.

    Examples:
        >>> import jax.numpy as jnp, jaxstyle as js
        >>> frame = jnp.full((32, 32, 3), 0.5)
        >>> scene = js.Scene(frame, data={"temporal": (0.75 * frame, jnp.ones((32, 32)))})
        >>> objective = js.Objective(content_layers=(), style_layers=(), extra=["temporal"])
        >>> encoder = js.load_encoder("random")
        >>> targets = js.make_targets(scene, frame, encoder, objective)
        >>> terms = js.loss_terms(frame, targets, js.LossWeights(), encoder, objective)
        >>> terms["temporal"].item() == 0.125**2
        True
    """

    layers: tuple[str, ...] = ("image",)

    def content_target(self, view: View, scene: Scene, size: Size) -> tuple[Local, Any]:
        """Returns the warped previous frame and its trust, as local arrays."""
        if TEMPORAL not in scene.data:
            raise InputError("term temporal: no previous frame; use jaxstyle video, or Scene.data")
        warped, trust = scene.data[TEMPORAL]
        warped = jax.image.resize(warped, (*size.shape, 3), "linear")
        return {"image": (warped, jax.image.resize(trust, size.shape, "linear"))}, None

    def sums(self, view: View) -> Scalar:
        """Returns ``Σ c (x − ω)²``."""
        warped, trust = view.local["image"]
        return view.sum("image", trust[..., None] * jnp.square(view.image - warped))

    def value(self, sums: Any, target: Target, weight: Weight, size: Size) -> Scalar:
        """Returns the weighted mean."""
        return weight.total * sums / (3 * size.pixels)
