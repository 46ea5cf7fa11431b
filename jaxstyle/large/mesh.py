"""The devices that share one image, and how its rows are shared out among them."""

import dataclasses
import functools
from typing import Any, Literal, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array

from jaxstyle.errors import InputError

T = TypeVar("T")

AXIS = "rows"
"""The name of the mesh's only axis."""


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Mesh:
    """Devices in a row, each of which holds some rows of every image. Static and hashable.

    Attributes:
        devices: From the top of the image to its bottom; those of other processes, too.
    """

    devices: tuple[Any, ...]

    def __len__(self) -> int:
        """Returns the number of devices."""
        return len(self.devices)

    @property
    def of_jax(self) -> jax.sharding.Mesh:
        """The same as a mesh of JAX's, with one axis."""
        return jax.sharding.Mesh(np.array(self.devices), (AXIS,))

    @property
    def processes(self) -> int:
        """The number of processes that have a device of it."""
        return len({device.process_index for device in self.devices})

    def sharding(self, axis: int | None = None) -> NamedSharding:
        """Returns how an array lies on the devices: cut along an axis, or whole on each."""
        spec = () if axis is None else (*(None,) * axis, AXIS)
        return NamedSharding(self.of_jax, PartitionSpec(*spec))

    def replicate(self, tree: T) -> T:
        """Returns arrays that every device has whole; every process has to hand in the same."""
        return jax.tree.map(lambda x: place(x, self.sharding()), tree)

    def agree(self, wish: bool) -> bool:
        """Returns whether any of the processes wishes something; all of them have to ask."""
        if self.processes == 1:
            return wish
        from jax.experimental import multihost_utils  # It takes a while, which one process saves.

        return bool(np.any(multihost_utils.process_allgather(np.array(wish))))

    def rows(self, height: int, stride: int) -> "Rows":
        """Returns how the rows of an image are shared out.

        Args:
            height: Height of the image in pixels.
            stride: Pixels between two positions of the deepest layer.
        """
        return Rows(self, height, stride * -(-height // (len(self) * stride)))


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Rows:
    """How the rows of an image are shared out: as many to each device, the last ones hanging over.

    Attributes:
        mesh: The devices.
        height: Number of rows that there are.
        share: Number of rows that each device has room for.
    """

    mesh: Mesh
    height: int
    share: int

    @property
    def room(self) -> int:
        """The number of rows with those that hang over."""
        return self.share * len(self.mesh)

    @property
    def full(self) -> bool:
        """Whether none hangs over."""
        return self.room == self.height

    def at(self, halvings: int) -> "Rows":
        """Returns how the rows of features lie whose sides are halved so many times."""
        return Rows(self.mesh, self.height >> halvings, self.share >> halvings)

    def pad(self, x: Array, axis: int = 0) -> Array:
        """Returns an array with the rows that hang over, which are zero."""
        missing = self.room - x.shape[axis]
        if not missing:
            return x
        return jnp.pad(x, [(0, missing if i == axis else 0) for i in range(x.ndim)])

    def place(self, x: Any) -> Array:
        """Returns an image in shares, with the rows that hang over; on the host only."""
        return place(self.pad(jnp.asarray(x)), self.mesh.sharding(0))

    def hold(self, tree: T, width: int) -> T:
        """Returns a tree, within a program, whose images in it lie in shares, all else whole."""
        return jax.tree.map(
            lambda x: jax.lax.with_sharding_constraint(x, self.sharding_of(x, width)), tree
        )

    def sharding_of(self, x: Any, width: int) -> NamedSharding:
        """Returns how an array of a solver's lies: images, and stacks of them, in shares."""
        shared = jnp.shape(x)[-3:] == (self.room, width, 3)
        return self.mesh.sharding(len(jnp.shape(x)) - 3 if shared else None)

    def shapes(self, tree: T, width: int) -> T:
        """Returns a tree's shapes, with how :meth:`hold` lays its arrays; of images all rows."""

        def lay(x: Any) -> Any:
            image = len(x.shape) == 3 and x.shape[-3:] == (self.height, width, 3)
            shape = (self.room, width, 3) if image else x.shape
            laid = jax.ShapeDtypeStruct(shape, x.dtype)
            return jax.ShapeDtypeStruct(shape, x.dtype, sharding=self.sharding_of(laid, width))

        return jax.tree.map(lay, tree)

    def lay(self, tree: T) -> T:
        """Returns a tree whose images are put in shares, all else whole; on the host."""
        return jax.tree.map(
            lambda x: self.place(x) if jnp.ndim(x) == 3 else self.mesh.replicate(x), tree
        )

    def whole(self, image: Array) -> Array:
        """Returns an image without what hangs over, where JAX computes by default; on the host."""
        if self.mesh.processes > 1:
            image = _gather(image, self.mesh).addressable_data(0)
        return jnp.asarray(np.asarray(image)[: self.height])


def mesh(devices: int | Literal["all"] = "all") -> Mesh:
    """Returns the devices that an image is to be shared among, for the verbs to take.

    Args:
        devices: How many, or ``all``; of every process where there are several, which then all
            have to make the same calls.

    Raises:
        InputError: There are not as many.

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
    """Returns an array laid on devices; every process hands in the whole."""
    if sharding.is_fully_addressable:
        return jax.device_put(x, sharding)
    own = np.asarray(x)
    return jax.make_array_from_callback(own.shape, sharding, lambda index: own[index])
