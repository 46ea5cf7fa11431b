"""Optimal transport between features of random positions, and self-similarity of the content.

Both terms compare hypercolumns, the features of several layers at one position. They are the loss
of Kolkin, Salavon & Shakhnarovich 2019, "Style Transfer by Relaxed Optimal Transport and
Self-Similarity" (arXiv:1904.12785).
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32

from jaxstyle.arrays import Feature, Image, Masks, Scalar
from jaxstyle.losses.pictures import Scene
from jaxstyle.losses.statistics.gram import gram
from jaxstyle.losses.term import Local, Observe, Size, Target, Term, View, Weight, total

Table = Float[Array, "_ _"]
Matrix = Float[Array, "_ _"]
Positions = Float[Array, "r n 2"]

# Minimum of squared lengths and distances, whose roots would have infinite derivatives at 0.
_FLOOR = 1e-5

# A region that covers a smaller fraction of a style picture counts as missing.
_LEAST = 1e-6

# Brightness and two differences of colours.
_OPPONENT = np.asarray(
    [[0.57735, 0.57735, 0.57735], [-0.57735, 0.788675, -0.211325], [-0.57735, -0.211325, 0.788675]],
    np.float32,
)


class Sample(NamedTuple):
    """Random positions in an image, and the data that belongs to them.

    Attributes:
        key: Key of the next positions.
        positions: Row and column of each position in pixels, ``f32[r, n, 2]``.
        shares: Fraction of the image that each region covers, ``f32[r]``.
        distances: Distances between the content's hypercolumns, ``f32[r, n, n]``; None if unused.
    """

    key: UInt32[Array, "2"]
    positions: Positions
    shares: Float[Array, " r"]
    distances: Float[Array, "r n n"] | None = None


class Reference(NamedTuple):
    """The style at random positions.

    Attributes:
        features: Hypercolumns divided by the scale, ``f32[r, n, c]``.
        colours: sRGB in [0, 1], ``f32[r, n, 3]``.
        moments: Mean and covariance of the features, ``f32[r, c]`` and ``f32[r, c, c]``.
        scale: Root mean square of the hypercolumns, ``f32[r]``.
    """

    features: Float[Array, "r n c"]
    colours: Float[Array, "r n 3"]
    moments: tuple[Float[Array, "r c"], Float[Array, "r c c"]]
    scale: Float[Array, " r"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Sampled(Term):
    """A term that compares hypercolumns at random positions, separately for each region.

    Attributes:
        layers: Layers of the hypercolumns.
        positions: Number of positions in each region.
        renewal: Number of iterations after which other positions are drawn.
        seed: Random seed of the positions.
    """

    layers: tuple[str, ...] = (
        *("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3"),
        *("conv4_3", "conv5_3"),
    )
    positions: int = 1024
    renewal: int | None = 10
    seed: int = 0

    additive = False  # every position is compared with all others

    def content_target(self, view: View, scene: Scene, size: Size) -> tuple[Local, Any]:
        """Returns the masks and features of the content, and the first positions."""
        local = _local(scene.masks) | {name: view.features[name] for name in self.content_layers}
        return local, self._sample(jax.random.PRNGKey(self.seed), local, size)

    def style_local(self, masks: Masks | None, size: Size) -> Local:
        """Returns the masks, ``f32[h, w, r]``; empty without masks."""
        return _local(masks)

    def sums(self, view: View) -> Any:
        """Returns the image and its features."""
        return view.image, view.features

    def renew(self, image: Image, target: Target, observe: Observe, size: Size) -> Target:
        """Returns the target with other positions."""
        return target._replace(content=self._sample(target.content.key, target.local, size))

    def _sample(self, key: Array, local: Local, size: Size) -> Sample:
        key, own = jax.random.split(key)
        positions, areas = draw(own, local.get("image"), size.shape, self.positions)
        return Sample(key, positions, areas / areas.sum())

    def _columns(self, features: Any, positions: Positions, shape: tuple[int, int]) -> Array:
        return jnp.concatenate([bilinear(features[n], positions, shape) for n in self.layers], -1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Transport(_Sampled):
    """``R(X, Y) + M(X, Y) + p R(colours of X, colours of Y)``: matches the style's distribution.

    ``R`` is the relaxed earth mover's distance of the hypercolumns ``X`` at random positions of the
    image and ``Y`` of the style, with the cosine distance. ``M``, ``mean|μ_X − μ_Y| + mean|Σ_X −
    Σ_Y|``, compares their means and covariances, relative to the root mean square of ``Y``. Colours
    are compared by cosine plus Euclidean distance, with ``p = min(1, side / 1024)`` for the longer
    side of the image in pixels. With masks, the positions of a region are compared with those of
    the same region of the styles only, and each region is weighted by its area.

    Attributes:
        layers: Layers of the hypercolumns.
        positions: Number of positions in each region of the image and the style.
        renewal: Number of iterations after which other positions of the image are drawn; those of
            the style stay the same.
        seed: Random seed of the positions.
    """

    def of_style(self, view: View) -> Any:
        """Returns hypercolumns and colours at random positions, and the area of each region."""
        shape = view.image.shape[0], view.image.shape[1]
        key = jax.random.PRNGKey(self.seed)
        positions, areas = draw(key, view.local.get("image"), shape, self.positions)
        columns = self._columns(view.features, positions, shape)
        return (columns, bilinear(view.image, positions, shape)), areas

    def style_target(self, sums: Sequence[Any], blend: Float[Array, "_"], size: Size) -> Reference:
        """Returns positions of all styles, each chosen with a probability equal to its blend."""
        tables, areas = zip(*(of_style for of_style, _ in sums), strict=True)
        areas = jnp.stack(areas)
        ends = jnp.cumsum(blend[:, None] * (areas > _LEAST * areas.sum(1, keepdims=True)), 0)
        regions, count = areas.shape[1], self.positions
        chance = jax.random.uniform(jax.random.PRNGKey(self.seed), (count,), ends.dtype)
        style = (chance * ends[-1, :, None] > ends[:-1, :, None]).sum(0)
        index = style, jnp.arange(regions)[:, None], jnp.arange(count)
        columns, colours = jax.tree.map(lambda *x: jnp.stack(x)[index], *tables)
        scale = jnp.sqrt(jnp.square(columns).mean((1, 2)) + _FLOOR)
        features = columns / scale[:, None, None]
        return Reference(features, colours, jax.vmap(moments)(features), scale)

    def value(self, sums: Any, target: Target, weight: Weight, size: Size) -> Scalar:
        """Returns the weighted distance of the distributions."""
        image, features = sums
        positions, shares = target.content.positions, target.content.shares
        columns = self._columns(features, positions, size.shape)
        colours = bilinear(image, positions, size.shape)
        palette = min(1.0, max(size.shape) / 1024)

        def distance(x: Table, colours: Table, style: Reference) -> Scalar:
            x = x / style.scale
            return (
                relaxed_transport(cosine_distances(x, style.features))
                + moment_distance(moments(x), style.moments)
                + palette * relaxed_transport(colour_distances(colours, style.colours))
            )

        of_regions = jax.vmap(distance)(columns, colours, target.style)
        return weight.total * (shares * of_regions).sum()


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelfSimilarity(_Sampled):
    """``α/n Σ_ij |D_ij / Σ_k D_kj − C_ij / Σ_k C_kj|``: preserves relations within the content.

    ``D`` and ``C`` are the cosine distances between the hypercolumns at ``n`` random positions, of
    the image and of the content picture. ``α = 1024 / side`` for the longer side of the image in
    pixels, because coarse scales decide about the arrangement. With masks, positions are compared
    within each region, and each region is weighted by its area.

    Attributes:
        layers: Layers of the hypercolumns.
        positions: Number of positions in each region.
        renewal: Number of iterations after which other positions are drawn.
        seed: Random seed of the positions.
    """

    @property
    def content_layers(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The same layers."""
        return self.layers

    def _sample(self, key: Array, local: Local, size: Size) -> Sample:
        sample = super()._sample(key, local, size)
        columns = self._columns(local, sample.positions, size.shape)
        return sample._replace(distances=jax.vmap(self_distances)(columns))

    def value(self, sums: Any, target: Target, weight: Weight, size: Size) -> Scalar:
        """Returns the weighted difference of the distances."""
        _, features = sums
        columns = self._columns(features, target.content.positions, size.shape)
        difference = jnp.abs(jax.vmap(self_distances)(columns) - target.content.distances)
        of_regions = difference.sum((1, 2)) / self.positions
        factor = 1024 / max(size.shape)
        return weight.total * factor * (target.content.shares * of_regions).sum()


def _local(masks: Masks | None) -> dict[str, Array]:
    return {} if masks is None else {"image": jnp.moveaxis(masks, 0, -1)}


def draw(
    key: Array, masks: Feature | None, shape: tuple[int, int], count: int
) -> tuple[Positions, Float[Array, " r"]]:
    """Draws random positions in each region, one in each of as many parts of equal area.

    Args:
        key: Key of the positions.
        masks: ``f32[h, w, r]`` in [0, 1]; None for one region.
        shape: Height and width of the image.
        count: Number of positions in each region.

    Returns:
        Row and column of each position in pixels, and the area of each region in pixels.
    """
    flat = (
        jnp.ones((1, shape[0] * shape[1]))
        if masks is None
        else masks.reshape(-1, masks.shape[-1]).T
    )
    ends = jnp.cumsum(flat, 1)
    levels = (jnp.arange(count) + jax.random.uniform(key, (len(flat), count))) / count
    find = jax.vmap(lambda ends, levels: jnp.searchsorted(ends, levels, side="right"))
    index = jnp.minimum(find(ends, levels * ends[:, -1:]), ends.shape[1] - 1)
    return jnp.stack(jnp.divmod(index, shape[1]), -1).astype(jnp.float32), ends[:, -1]


def bilinear(feature: Feature, positions: Positions, shape: tuple[int, int]) -> Array:
    """Returns the features at positions of the image, ``f32[r, n, c]``, interpolated.

    Args:
        feature: ``f32[h', w', c]``.
        positions: Row and column in pixels of the image.
        shape: Height and width of the image.
    """
    sides = np.asarray(feature.shape[:2])
    # The centre of a pixel lies half a pixel from its corner in the image and in the features.
    at = jnp.clip((positions + 0.5) * (sides / np.asarray(shape)) - 0.5, 0, sides - 1)
    low = jnp.floor(at).astype(int)
    part, high = at - low, jnp.minimum(low + 1, sides - 1)
    rows = (low[..., 0], 1 - part[..., 0]), (high[..., 0], part[..., 0])
    columns = (low[..., 1], 1 - part[..., 1]), (high[..., 1], part[..., 1])
    parts = [(wy * wx)[..., None] * feature[y, x] for y, wy in rows for x, wx in columns]
    return jnp.stack(parts).sum(0)


def relaxed_transport(distances: Matrix) -> Scalar:
    """Returns the relaxed earth mover's distance, ``max(mean_i min_j D_ij, mean_j min_i D_ij)``."""
    return jnp.maximum(distances.min(1).mean(), distances.min(0).mean())


def cosine_distances(x: Table, y: Table) -> Matrix:
    """Returns ``1 − cos(x_i, y_j)``."""
    return 1 - jnp.matmul(_unit(x), _unit(y).T, precision="highest")


def _unit(x: Table) -> Table:
    return x / jnp.sqrt(jnp.maximum(jnp.square(x).sum(-1, keepdims=True), _FLOOR))


def colour_distances(x: Table, y: Table) -> Matrix:
    """Returns cosine plus root mean square distances of colours relative to grey."""
    x, y = (jnp.matmul(colours - 0.5, _OPPONENT.T, precision="highest") for colours in (x, y))
    squares = jnp.square(x[:, None] - y).sum(-1) / 3
    return cosine_distances(x, y) + jnp.sqrt(jnp.maximum(squares, _FLOOR))


def moments(x: Table) -> tuple[Array, Matrix]:
    """Returns mean and covariance of the rows."""
    mean = x.mean(0)
    return mean, gram((x - mean)[None]) / len(x)


def moment_distance(a: tuple[Array, Matrix], b: tuple[Array, Matrix]) -> Scalar:
    """Returns the mean absolute difference of means plus that of covariances."""
    return total(jnp.abs(x - y).mean() for x, y in zip(a, b, strict=True))


def self_distances(x: Table) -> Matrix:
    """Returns cosine distances between the rows, each column divided by its sum."""
    distances = cosine_distances(x, x)
    return distances / jnp.maximum(distances.sum(0), _FLOOR)
