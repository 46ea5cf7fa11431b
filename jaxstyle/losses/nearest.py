"""Nearest-neighbour style: each place of the image resembles the most similar place of a style.

A Gram matrix describes which strokes a painting has, but not where. This term describes where each
of them belongs, and so preserves the scene.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxstyle.arrays import Feature, Features, Image, Masks, Scalar
from jaxstyle.losses.pictures import Scene, masks_at
from jaxstyle.losses.term import Local, Observe, Size, Target, Term, View, Weight

_BLOCK = 1024  # Positions that are compared with all keys at once, to bound the memory.
_EXCLUDED = 4.0  # More than the difference of any two cosines.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Nearest(Term):
    """``w Σ_i (1 − cos(f_i, m_i)) / n``: features ``f_i`` resemble matched features of the styles.

    Features of all layers, divided by their numbers of channels and resized to one grid, form a
    vector at each position. The match ``m_i`` is the vector of a style whose angle to the vector of
    the content at ``i`` is smallest, after subtracting the means of each picture (Kolkin et al.
    2022, "Neural Neighbor Style Transfer", arXiv:2203.13215). Matches are searched at the start of
    each scale; before that, :meth:`content_target` matches the content with itself.

    With masks, a position is matched only with positions of the same region. Several styles are
    searched together, except for those with the weight 0.

    Attributes:
        layers: Layers whose features are compared.
        grid: The layer, one of ``layers``, to whose size others are resized.
        content_share: The share of the content, in [0, 1], in the vector that is searched for; the
            rest is that of the current image.
        keys: Maximum number of positions of a style picture that are searched.
        turns: Rotations of the style pictures that are searched, in quarter turns.
        renewal: When matches are searched, as in :class:`~jaxstyle.Term`.
    """

    layers: tuple[str, ...] = (
        *("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3"),
        *("conv4_1", "conv4_2", "conv4_3"),
    )
    grid: str = "conv3_1"
    content_share: float = 0.75
    keys: int = 4096
    turns: tuple[int, ...] = (0,)
    renewal: int | None = 0

    @property
    def content_layers(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The same layers."""
        return self.layers

    def content_target(self, view: View, scene: Scene, size: Size) -> tuple[Local, Any]:
        """Returns the content's vectors, also as matches, and the masks at the grid's size."""
        vectors = self._vectors(view.features, size.layers[self.grid])
        return {
            self.grid: {"content": vectors, "match": vectors} | self._masks(scene.masks, size)
        }, None

    def style_local(self, masks: Masks | None, size: Size) -> Local:
        """Returns the row of each position in the table of keys, or ``keys`` for none."""
        height, width = size.layers[self.grid]
        rows = np.full(height * width, self.keys, np.int32)
        # One position, at a random place, of each of several equally long runs of positions.
        count = min(self.keys, rows.size)
        edges = np.arange(count + 1) * rows.size // count
        chosen = np.random.default_rng(0).integers(edges[:-1], edges[1:])
        rows[chosen] = np.arange(count)
        rows = jnp.asarray(rows.reshape(height, width))
        return {self.grid: {"row": rows} | self._masks(masks, size)}

    def of_style(self, view: View) -> dict[str, Array]:
        """Returns the table of keys, which rows of it are in use, their masks, and the mean."""
        height, width = view.features[self.grid].shape[:2]
        vectors, local = self._vectors(view.features, (height, width)), view.local[self.grid]
        counts = view.counts.get(self.grid, jnp.ones((height, width), vectors.dtype))

        def table(x: Array) -> Array:
            flat = (x * counts[..., None]).reshape(-1, x.shape[-1])
            empty = jnp.zeros((self.keys, x.shape[-1]), flat.dtype)
            return empty.at[local["row"].reshape(-1)].add(flat, mode="drop")

        sums = {"keys": table(vectors), "used": table(jnp.ones((height, width, 1), vectors.dtype))}
        if "masks" in local:
            sums["masks"] = table(local["masks"])
        return sums | {"sum": (vectors * counts[..., None]).sum((0, 1)), "count": counts.sum()}

    def style_target(self, sums: Sequence[Any], blend: Float[Array, "_"], size: Size) -> Any:
        """Returns the keys of all styles and turns, and their mean."""
        parts = [part for part, _ in sums]
        shares = jnp.repeat(blend, len(sums) // len(blend)) > 0

        def joined(name: str) -> Array:
            return jnp.concatenate([part[name] for part in parts])

        used = joined("used")[:, 0] * jnp.repeat(shares, self.keys)
        of_all = jnp.stack([p["sum"] for p in parts]), jnp.stack([p["count"] for p in parts])
        mean = (shares @ of_all[0]) / (shares @ of_all[1])
        masks = {"masks": joined("masks")} if "masks" in parts[0] else {}
        return {"keys": joined("keys"), "used": used, "mean": mean} | masks

    def renew(self, image: Image, target: Target, observe: Observe, size: Size) -> Target:
        """Returns the target with the best matches for the current image."""
        local, style = target.local[self.grid], target.style
        content, share = local["content"], self.content_share
        current = content if share == 1 else self._vectors(observe(self.layers), content.shape[:2])
        query = share * content + (1 - share) * current - content.mean((0, 1))
        keys, unused = _unit(style["keys"] - style["mean"]), _EXCLUDED * (style["used"] - 1)

        def best(block: dict[str, Array]) -> Array:
            similarity = _unit(block["query"]) @ keys.T + unused
            if "masks" in block:
                similarity += _EXCLUDED * (block["masks"] @ style["masks"].T)
            return jnp.argmax(similarity, axis=1)

        searched = {"query": query} | {n: x for n, x in local.items() if n == "masks"}
        index = jax.lax.map(best, jax.tree.map(_in_blocks, searched)).reshape(-1)
        match = style["keys"][index[: math.prod(query.shape[:2])]].reshape(query.shape)
        return target._replace(local={self.grid: {**local, "match": match}})

    def sums(self, view: View) -> Scalar:
        """Returns ``Σ (1 − cos)``."""
        match = view.local[self.grid]["match"]
        vectors = self._vectors(view.features, match.shape[:2])
        return view.sum(self.grid, 1 - (_unit(vectors) * _unit(match)).sum(-1))

    def value(self, sums: Any, target: Target, weight: Weight, size: Size) -> Scalar:
        """Returns the weighted mean over the positions."""
        return weight.total * sums / size.positions(self.grid)

    def _vectors(self, features: Features, shape: tuple[int, int]) -> Float[Array, "_ _ _"]:
        parts = [_resized(features[n], shape) / features[n].shape[-1] for n in self.layers]
        return jnp.concatenate(parts, -1)

    def _masks(self, masks: Masks | None, size: Size) -> dict[str, Array]:
        """Returns masks at the grid's size, ``f32[h', w', r]``; empty without masks."""
        if masks is None:
            return {}
        return {"masks": masks_at(masks, {self.grid: size.layers[self.grid]})[self.grid]}


def _unit(x: Array) -> Array:
    return x / jnp.sqrt(jnp.square(x).sum(-1, keepdims=True) + 1e-12)


def _in_blocks(x: Array) -> Array:
    flat = x.reshape(-1, x.shape[-1])
    padded = jnp.pad(flat, ((0, -len(flat) % _BLOCK), (0, 0)))
    return padded.reshape(-1, _BLOCK, x.shape[-1])


def _resized(feature: Feature, shape: tuple[int, int]) -> Feature:
    """Averages blocks of features, or repeats them.

    Unlike an interpolation, neither needs neighbours, so tiles give the same result.

    Args:
        feature: ``f32[h', w', c]``; several devices may have added rows.
        shape: Height and width of the result.
    """
    height, width = shape
    if feature.shape[1] >= width:
        block = feature.shape[1] // width
        cut = feature[: height * block, : width * block]
        return cut.reshape(height, block, width, block, -1).mean((1, 3))
    factor = round(width / feature.shape[1])
    repeated = jnp.repeat(jnp.repeat(feature, factor, 0), factor, 1)
    missing = [(0, max(0, n - m)) for n, m in zip(shape, repeated.shape[:2], strict=True)]
    return jnp.pad(repeated, (*missing, (0, 0)), mode="edge")[:height, :width]
