"""The plan that spreads one image over several devices, each of which adds up its own rows.

Before each convolution a device receives one row from the neighbour on either side, and sums over
positions are added up over all devices. So every number is computed once, by one device.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array

from jaxstyle.arrays import Features, Image, widen
from jaxstyle.encoder import IMAGE, Encoder, VGGEncoder, pixels
from jaxstyle.encoder.base import deep
from jaxstyle.encoder.receptive import field_at, joint_field
from jaxstyle.errors import InputError
from jaxstyle.evaluate.halo import Neighbours, counting, reach_over
from jaxstyle.evaluate.mesh import AXIS, Mesh, Rows, halvings
from jaxstyle.evaluate.mesh import mesh as make_mesh
from jaxstyle.evaluate.patches import Patches, patches_of
from jaxstyle.evaluate.plan import Plan, Request, flatten, layers_of, scaled_gradients
from jaxstyle.evaluate.tiles import features_of_windows, measure_windows
from jaxstyle.losses.loss_weights import LossWeights
from jaxstyle.losses.objective import Objective, check_additive
from jaxstyle.losses.term import Local, Size, View

T = TypeVar("T")

_WHOLE, _SPREAD = PartitionSpec(), PartitionSpec(AXIS)


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Devices(Plan):
    """Spreads the rows of an image and of its features over devices.

    Attributes:
        mesh: The devices, from :func:`jaxstyle.mesh`, or their number, or ``all``.
        recompute: Whether activations are computed again for the gradient, block by block, instead
            of being stored. This takes less memory and a third more time.
        tile: Side in pixels; each device computes its rows in tiles of at most as many pixels as a
            square of this side. None for all rows at once.
    """

    mesh: Mesh | int | Literal["all"] = "all"
    _: dataclasses.KW_ONLY
    recompute: bool = True
    tile: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.mesh, Mesh):
            object.__setattr__(self, "mesh", make_mesh(self.mesh))

    @property
    def devices(self) -> Mesh:
        """The devices."""
        assert isinstance(self.mesh, Mesh)  # __post_init__
        return self.mesh

    @property
    def serial(self) -> bool:
        """True, because all processes have to run the same programs in the same order."""
        return True

    def check(self, encoder: Encoder, objective: Objective) -> None:
        """Checks that devices can evaluate an objective from their own rows."""
        check_additive(objective.terms, "Devices")
        if objective.normalise_gradients and self.tile is not None:
            raise InputError(
                "plan Devices: norms of gradients are not sums over tiles; choose Devices without "
                "tile, or no normalise_gradients"
            )
        _check_vgg(encoder)

    def layout(self, shape: tuple[int, int], layers: Sequence[str]) -> Rows:
        """Returns how rows are spread, so that pooling needs no rows of other devices."""
        return self.devices.rows(shape[0], 2 ** max(map(halvings, layers), default=0))

    def prepare(self, encoder: Encoder, layers: Sequence[str]) -> Encoder:
        """Returns the encoder for a run, on all devices."""
        return self.replicate(encoder.truncate(deep(layers)))

    def replicate(self, tree: T) -> T:
        """Copies arrays to every device."""
        return self.devices.replicate(tree)

    def agree(self, wish: bool) -> bool:
        """Returns whether ``wish`` is true in any process; all processes must call this."""
        return self.devices.agree(wish)

    def measure(
        self,
        image: Image,
        requests: tuple[Request, ...],
        local: Mapping[str, Local],
        encoder: Encoder,
        size: Size,
        norms: LossWeights | None = None,
    ) -> dict[str, Any]:
        """Returns the requested sums."""
        encoder = _check_vgg(encoder)
        layers = layers_of(requests)
        rows, patches = self._cut(size, encoder, layers)
        leaves, owners, tree = flatten({r.name: local[r.name] for r in requests})
        spread = [
            rows.at(halvings(layer)).pad(leaf) for leaf, layer in zip(leaves, owners, strict=True)
        ]

        def own_sums(image: Image, encoder: Any, leaves: list[Array], norms: Any) -> Any:
            if patches is not None:
                around = [_around(x, n, encoder, patches) for x, n in zip(leaves, owners)]
                arrays = jax.tree.unflatten(tree, around)
                surrounded = reach_over(image, patches.above, patches.below, rows)
                table = patches.table()
                sums = measure_windows(surrounded, requests, arrays, encoder, patches.grid, table)
                return jax.lax.psum(sums, AXIS)
            features = self._encode(image, encoder, layers, rows)
            counts = {n: counting(rows.at(halvings(n)), f.shape[1]) for n, f in features.items()}
            counts = {n: c for n, c in counts.items() if c is not None}
            arrays = jax.tree.unflatten(tree, leaves)
            views = {
                r.name: View(
                    image,
                    scaled_gradients(features, r, norms, AXIS),
                    arrays[r.name],
                    {n: counts[n] for n in r.term.layers if n in counts},
                    encoder.wraps,
                )
                for r in requests
            }
            return jax.lax.psum({r.name: r(views[r.name]) for r in requests}, AXIS)

        return _program(own_sums, rows, (_SPREAD, _WHOLE, _SPREAD, _WHOLE), _WHOLE)(
            rows.pad(image), encoder, spread, norms
        )

    def features(
        self, image: Image, encoder: Encoder, layers: tuple[str, ...], size: Size
    ) -> Features:
        """Returns the features of an image, spread over the devices; zero in added rows."""
        encoder = _check_vgg(encoder)
        rows, patches = self._cut(size, encoder, layers)

        def own_features(image: Image, encoder: Any) -> Features:
            if patches is not None:
                return _features_of_patches(image, encoder, layers, patches, rows)
            features = self._encode(image, encoder, layers, rows)
            counts = {n: counting(rows.at(halvings(n)), f.shape[1]) for n, f in features.items()}
            return {
                n: f if (c := counts[n]) is None else jnp.where(c[..., None] > 0, f, 0.0)
                for n, f in features.items()
            }

        program = _program(own_features, rows, (_SPREAD, _WHOLE), _SPREAD)
        return program(rows.pad(widen(image)), encoder)

    def _cut(
        self, size: Size, encoder: Encoder, layers: tuple[str, ...]
    ) -> tuple[Rows, Patches | None]:
        """Returns how rows are spread, and the windows of each device, or None for no windows."""
        rows, width = self.layout(size.shape, tuple(size.layers)), size.shape[1]
        if self.tile is None or rows.share * width <= self.tile**2 or encoder.wraps:
            return rows, None
        return rows, patches_of(rows, width, joint_field(encoder, layers), self.tile)

    def _encode(
        self, image: Image, encoder: VGGEncoder, layers: tuple[str, ...], rows: Rows
    ) -> Features:
        """Returns this device's rows of features."""
        image = widen(image)
        features: Features = {IMAGE: pixels(image)} if IMAGE in layers else {}
        if below := deep(layers):
            border = Neighbours(recompute=self.recompute, rows=rows)
            features |= encoder.features(image, below, border=border)
        return features


def _check_vgg(encoder: Encoder) -> Any:
    encoder = getattr(encoder, "encoder", encoder)  # without prepared kernels
    if not isinstance(encoder, VGGEncoder):
        kind = type(encoder).__name__
        raise InputError(f"plan Devices: supports VGGs only, not {kind}; choose Whole or Tiles")
    return encoder


def _program(function: Any, rows: Rows, in_specs: Any, out_specs: Any) -> Any:
    # Outside ``jax.jit``, JAX would run the shard_map operation by operation and fail.
    return jax.jit(
        jax.shard_map(function, mesh=rows.mesh.of_jax, in_specs=in_specs, out_specs=out_specs)
    )


def _around(x: Array, layer: str, encoder: Encoder, patches: Patches) -> Array:
    """Pads local arrays with zeros for the surrounding rows, which no window owns."""
    stride = field_at(encoder, layer).stride
    rows = patches.above // stride, patches.below // stride
    return jnp.pad(x, [rows, *[(0, 0)] * (x.ndim - 1)])


def _features_of_patches(
    image: Image, encoder: Encoder, layers: tuple[str, ...], patches: Patches, rows: Rows
) -> Features:
    """Returns the features of this device's rows, window by window."""
    surrounded = reach_over(image, patches.above, patches.below, rows)
    found = features_of_windows(surrounded, encoder, layers, patches.grid, patches.table())
    strides = {name: field_at(encoder, name).stride for name in layers}
    first = {name: patches.above // stride for name, stride in strides.items()}
    return {n: f[first[n] : first[n] + rows.share // strides[n]] for n, f in found.items()}
