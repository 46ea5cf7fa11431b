"""The devices that one image is spread over, and how its rows are."""

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
    """Devices in a row, each of which has some rows of every image. Static and hashable.

    Attributes:
        devices: From the top of the image to its bottom; including those of other processes.
    """

    devices: tuple[Any, ...]

    def __len__(self) -> int:
        """Returns the number of devices."""
        return len(self.devices)

    def __reduce__(self) -> Any:
        """Returns what pickle needs: devices are named by their numbers."""
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
        """Returns how an array lies on the devices: cut along an axis, or as a copy on each."""
        spec = () if axis is None else (*(None,) * axis, AXIS)
        return NamedSharding(self.of_jax, PartitionSpec(*spec))

    def replicate(self, tree: T) -> T:
        """Returns arrays that every device has a copy of; every process has to pass the same."""
        return jax.tree.map(lambda x: place(x, self.sharding()), tree)

    def agree(self, wish: bool) -> bool:
        """Returns whether any process wishes something; all processes have to ask."""
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
    """How the rows of an image are spread over devices: the same number on each.

    Rows of zeros are added to the image so that this is possible.

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
        """The number of rows, including added ones."""
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
        """Returns how the rows of features lie that are halved so many times."""
        return Rows(self.mesh, self.height >> halvings, self.share >> halvings)

    def pad(self, x: Array, axis: int = 0) -> Array:
        """Returns an array with the added rows, which are zero."""
        missing = self.room - x.shape[axis]
        if not missing:
            return x
        return jnp.pad(x, [(0, missing if i == axis else 0) for i in range(x.ndim)])

    def place(self, x: Any) -> Array:
        """Returns an image spread over the devices, with the added rows; on the host only."""
        return place(self.pad(jnp.asarray(x)), self.mesh.sharding(0))

    def hold(self, tree: T, width: int) -> T:
        """Returns a tree, within a program, with its images spread and all else copied."""
        return jax.tree.map(
            lambda x: jax.lax.with_sharding_constraint(x, self.sharding_of(x, width)), tree
        )

    def sharding_of(self, x: Any, width: int) -> NamedSharding:
        """Returns how an array of a solver lies: images, and stacks of them, are spread."""
        shared = jnp.shape(x)[-3:] == (self.room, width, 3)
        return self.mesh.sharding(len(jnp.shape(x)) - 3 if shared else None)

    def shapes(self, tree: T, width: int) -> T:
        """Returns the shapes of a tree and how :meth:`hold` lays its arrays, with added rows."""

        def lay(x: Any) -> Any:
            image = len(x.shape) == 3 and x.shape[-3:] == (self.height, width, 3)
            shape = (self.room, width, 3) if image else x.shape
            laid = jax.ShapeDtypeStruct(shape, x.dtype)
            return jax.ShapeDtypeStruct(shape, x.dtype, sharding=self.sharding_of(laid, width))

        return jax.tree.map(lay, tree)

    def lay(self, tree: T) -> T:
        """Returns a tree with its images spread and all else copied; on the host."""
        return jax.tree.map(
            lambda x: self.place(x) if jnp.ndim(x) == 3 else self.mesh.replicate(x), tree
        )

    def whole(self, image: Array) -> Array:
        """Returns an image without added rows, where JAX computes by default; on the host."""
        if self.mesh.processes > 1:
            image = _gather(image, self.mesh).addressable_data(0)
        return jnp.asarray(np.asarray(image)[: self.height])

    def relay(self, x: Any, like: Any, height: int) -> Array:
        """Returns a copy of an array of a checkpoint that lies as another one does; on the host."""
        if np.ndim(x) >= 3:
            x = self.pad(jnp.asarray(without_added_rows(x, like, height)), np.ndim(x) - 3)
        return place(jnp.array(x), getattr(like, "sharding", None) or self.mesh.sharding())

    def rows_at(self, layer: str, height: int) -> int:
        """Returns the number of rows of a layer's arrays, including added ones."""
        return self.at(halvings(layer)).room


def halvings(layer: str) -> int:
    """Returns how often the network has halved a layer's features."""
    return 0 if layer == IMAGE else block_of(layer) - 1


def mesh(devices: int | Literal["all"] = "all") -> Mesh:
    """Returns the devices to spread an image over, for :class:`jaxstyle.Devices`.

    Args:
        devices: Their number, or ``all``; with several processes all devices of all processes,
            which then have to make the same calls.

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
    """Returns an array laid on devices; every process passes the whole array."""
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
