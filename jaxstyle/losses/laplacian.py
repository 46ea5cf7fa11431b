"""The Laplacian term: preserves the edges of the content picture."""

import dataclasses
from typing import Any

import jax.numpy as jnp

from jaxstyle.arrays import Feature, Image, Scalar
from jaxstyle.losses.pictures import Scene
from jaxstyle.losses.term import Local, Size, Target, Term, View, Weight


@dataclasses.dataclass(frozen=True, kw_only=True)
class Laplacian(Term):
    """``w Σ (L x − L p)² / n``, with ``L`` the Laplacian of the image averaged in blocks.

    It preserves the outlines of small details such as eyes and windows (Li et al. 2017,
    "Laplacian-Steered Neural Style Transfer", arXiv:1707.01253). ``n`` is the number of blocks.

    Attributes:
        block: Side of a block in pixels.
    """

    block: int = 4

    def content_target(self, view: View, scene: Scene, size: Size) -> tuple[Local, Any]:
        """Returns the Laplacian of the content picture."""
        return {}, self._laplacian(view.image)

    def sums(self, view: View) -> Feature:
        """Returns the Laplacian of the image."""
        return self._laplacian(view.image)

    def value(self, sums: Any, target: Target, weight: Weight, size: Size) -> Scalar:
        """Returns the weighted mean squared difference."""
        return jnp.square(sums - target.content).sum(-1).mean() * weight.total

    def _laplacian(self, image: Image) -> Feature:
        height, width = (n // self.block for n in image.shape[:2])
        cut = image[: height * self.block, : width * self.block]
        x = cut.reshape(height, self.block, width, self.block, 3).mean((1, 3))
        x = jnp.pad(x, ((1, 1), (1, 1), (0, 0)), mode="edge")
        around = x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:]
        return 4 * x[1:-1, 1:-1] - around
