"""The devices that one image is spread over, and the layout of its rows."""

import dataclasses
import functools
from typing import Any, Literal, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array

from jaxstyle.encoder import IMAGE
from jaxstyle.encoder.vgg import block_of
from jaxstyle.errors import InputError
from jaxstyle.evaluate.plan import Layout, without_added_rows

T = TypeVar("T")

AXIS = "rows"
"""The name of the mesh's only axis."""


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Mesh:
    """A sequence of devices, each with some rows of every image. Static and hashable.

    Attributes:
        devices: From the top of the image to the bottom, including those of other processes.
    """

    devices: tuple[Any, ...]

    def __len__(self) -> int:
        """Returns the number of devices."""
        return len(self.devices)

    def __reduce__(self) -> Any:
        """Pickles the numbers of the devices."""
        return _mesh_of, (tuple(device.id for device in self.devices),)

    @property
    def of_jax(self) -> jax.sharding.Mesh:
        """The devices as a ``jax.sharding.Mesh`` with one axis."""
        return jax.sharding.Mesh(np.array(self.devices), (AXIS,))

    @property
    def processes(self) -> int:
        """The number of processes that have a device of the mesh."""
        return len({device.process_index for device in self.devices})

    def sharding(self, axis: int | None = None) -> NamedSharding:
        """Returns the sharding of an array along an axis, or of a copy on each device."""
        spec = () if axis is None else (*(None,) * axis, AXIS)
        return NamedSharding(self.of_jax, PartitionSpec(*spec))

    def replicate(self, tree: T) -> T:
        """Copies arrays to every device; every process must pass the same arrays."""
        return jax.tree.map(lambda x: place(x, self.sharding()), tree)

    def agree(self, wish: bool) -> bool:
        """Returns whether ``wish`` is true in any process; all processes must call this."""
        if self.processes == 1:
            return wish
        from jax.experimental import multihost_utils  # Slow to import.

        return bool(np.any(multihost_utils.process_allgather(np.array(wish))))

    def rows(self, height: int, stride: int) -> "Rows":
        """Returns how the rows of an image are spread over the devices.

        Args:
            height: Height of the image in pixels.
            stride: Pixels between two positions of the deepest layer.
        """
        return Rows(self, height, stride * -(-height // (len(self) * stride)))


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Rows(Layout):
    """The layout of an image's rows on devices, with the same number on each.

    Rows of zeros are added to the image to make this possible.

    Attributes:
        mesh: The devices.
        height: Number of rows of the image.
        share: Number of rows on each device.
    """

    mesh: Mesh
    height: int
    share: int

    @property
    def room(self) -> int:
        """Number of rows, including added ones."""
        return self.share * len(self.mesh)

    @property
    def full(self) -> bool:
        """Whether no row is added."""
        return self.room == self.height

    @property
    def processes(self) -> int:
        """Number of processes that compute."""
        return self.mesh.processes

    def at(self, halvings: int) -> "Rows":
        """Returns the layout of features after a number of halvings."""
        return Rows(self.mesh, self.height >> halvings, self.share >> halvings)

    def pad(self, x: Array, axis: int = 0) -> Array:
        """Adds the rows of zeros to an array."""
        missing = self.room - x.shape[axis]
        if not missing:
            return x
        return jnp.pad(x, [(0, missing if i == axis else 0) for i in range(x.ndim)])

    def place(self, x: Any) -> Array:
        """Spreads an image over the devices, with the added rows; on the host only."""
        return place(self.pad(jnp.asarray(x)), self.mesh.sharding(0))

    def hold(self, tree: T, width: int | None) -> T:
        """Constrains the images of a tree to be spread and all else copied, within a program."""
        return jax.tree.map(
            lambda x: jax.lax.with_sharding_constraint(x, self.sharding_of(x, width)), tree
        )

    def sharding_of(self, x: Any, width: int | None) -> NamedSharding:
        """Returns the sharding of a solver's array: images, and stacks of them, are spread.

        Args:
            x: The array, or its shape.
            width: Width of images; None if the array is none, so that it is copied.
        """
        shared = jnp.shape(x)[-3:] == (self.room, width, 3)
        return self.mesh.sharding(len(jnp.shape(x)) - 3 if shared else None)

    def shapes(self, tree: T, width: int | None) -> T:
        """Returns the shapes, with added rows, and shardings that :meth:`hold` gives a tree."""

        def lay(x: Any) -> Any:
            image = len(x.shape) == 3 and x.shape[-3:] == (self.height, width, 3)
            shape = (self.room, width, 3) if image else x.shape
            laid = jax.ShapeDtypeStruct(shape, x.dtype)
            return jax.ShapeDtypeStruct(shape, x.dtype, sharding=self.sharding_of(laid, width))

        return jax.tree.map(lay, tree)

    def lay(self, tree: T) -> T:
        """Spreads the images of a tree and copies all else; on the host."""
        return jax.tree.map(
            lambda x: self.place(x) if jnp.ndim(x) == 3 else self.mesh.replicate(x), tree
        )

    def whole(self, image: Array) -> Array:
        """Returns an image without added rows on the default device; on the host."""
        if self.mesh.processes > 1:
            image = _gather(image, self.mesh).addressable_data(0)
        return jnp.asarray(np.asarray(image)[: self.height])

    def relay(self, x: Any, like: Any, height: int) -> Array:
        """Copies an array of a checkpoint to the layout of another array; on the host."""
        if np.ndim(x) >= 3 and np.shape(x) != like.shape:
            x = self.pad(jnp.asarray(without_added_rows(x, like, height)), np.ndim(x) - 3)
        return place(jnp.array(x), getattr(like, "sharding", None) or self.mesh.sharding())

    def rows_at(self, layer: str, height: int) -> int:
        """Returns the number of rows of a layer's arrays, including added ones."""
        return self.at(halvings(layer)).room


def halvings(layer: str) -> int:
    """Returns the number of times that the network has halved a layer's features."""
    return 0 if layer == IMAGE else block_of(layer) - 1


def mesh(devices: int | Literal["all"] = "all") -> Mesh:
    """Returns the devices to spread an image over, for :class:`jaxstyle.Devices`.

    Args:
        devices: Their number, or ``all``. With several processes these are all devices of all
            processes, which must make the same calls.

    Raises:
        InputError: JAX has fewer devices.

    Examples:
        >>> len(mesh(1))
        1
    """
    found = jax.devices()
    count = len(found) if devices == "all" else devices
    if not 1 <= count <= len(found):
        kind = found[0].platform
        raise InputError(
            f"devices {devices}: JAX has {len(found)} ({kind}) here; give 1 to {len(found)}, or all"
        )
    if jax.process_count() > 1 and count < len(found):
        raise InputError(
            f"devices {devices}: {jax.process_count()} processes have {len(found)}; give all"
        )
    return Mesh(tuple(found[:count]))


@functools.partial(jax.jit, static_argnames=("mesh",))
def _gather(image: Array, mesh: Mesh) -> Array:
    return jax.lax.with_sharding_constraint(image, mesh.sharding())


def place(x: Any, sharding: NamedSharding) -> Array:
    """Places an array on devices; every process passes the whole array."""
    if sharding.is_fully_addressable:
        return jax.device_put(x, sharding)
    own = np.asarray(x)
    return jax.make_array_from_callback(own.shape, sharding, lambda index: own[index])


def _mesh_of(numbers: tuple[int, ...]) -> Mesh:
    found = {device.id: device for device in jax.devices()}
    missing = [number for number in numbers if number not in found]
    if missing:
        raise InputError(f"devices {missing}: not here; make the mesh on this machine")
    return Mesh(tuple(found[number] for number in numbers))
