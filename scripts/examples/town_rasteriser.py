"""A small rasteriser for the town, in metres, with x right, y up and z away from the camera.

Parallelogram faces and clouds of discs go through one depth buffer, seen by the camera, by the
camera as the river mirrors it, and by the sun, for shadows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .shared import Array, unit

Material = Callable[[Array, Array], Array]  # metres along and up a face -> albedo
Shape = Callable[[Array, Array], Array]  # the same in [0, 1] -> which part of the face exists

UP = np.array([0.0, 1.0, 0.0])


@dataclass
class Face:
    """A parallelogram, or the part of it that `shape` keeps."""

    corner: Array
    along: Array
    up: Array
    material: Material
    shape: Shape | None = None


def triangle(a: Array, b: Array, c: Array, material: Material) -> Face:
    """The half of a parallelogram."""
    return Face(a, b - a, c - a, material, lambda u, v: u + v <= 1)


@dataclass
class Discs:
    """Foliage: small discs with a position, a normal, an albedo and a radius."""

    position: Array
    normal: Array
    albedo: Array
    radius: Array


@dataclass
class Scene:
    """What there is to see, with the randomness and the grain that builders draw on."""

    rng: np.random.Generator
    grain: Array
    faces: list[Face] = field(default_factory=list)
    leaves: list[Discs] = field(default_factory=list)

    def add(
        self, corner: Array, along: Array, up: Array, material: Material, shape: Shape | None = None
    ) -> None:
        """Put up one more face."""
        self.faces.append(Face(corner, along, up, material, shape))

    def discs(self) -> Discs:
        """All the leaves as one cloud."""
        names = ("position", "normal", "albedo", "radius")
        return Discs(*(np.concatenate([getattr(x, n) for x in self.leaves]) for n in names))


class View:
    """A camera with its depth, albedo and normal buffers; parallel rays for the sun."""

    def __init__(
        self,
        origin: Array,
        axes: Array,
        focal: float,
        centre: tuple[float, float],
        shape: tuple[int, int],
        parallel: bool = False,
    ):
        self.origin, self.axes, self.focal, self.centre = origin, axes, focal, centre
        self.parallel = parallel
        self.depth = np.full(shape, np.inf, np.float32)
        self.albedo = np.zeros((*shape, 3), np.float32)
        self.normal = np.zeros((*shape, 3), np.float32)
        right, up, forward = axes
        slope_x, slope_y = right / focal, -up / focal
        offset = -centre[0] * slope_x - centre[1] * slope_y
        still, zero = (origin, np.zeros(3), np.zeros(3)), np.zeros(3)
        # A ray is start(x, y) + depth * heading(x, y), both affine in the pixel.
        self.start = (origin + offset, slope_x, slope_y) if parallel else still
        self.heading = (forward, zero, zero) if parallel else (forward + offset, slope_x, slope_y)

    def scale(self, depth: Array) -> Array | float:
        """Pixels a metre at a depth."""
        return self.focal if self.parallel else self.focal / np.maximum(depth, 0.1)

    def project(self, points: Array) -> tuple[Array, Array, Array]:
        """The column, row and depth of points."""
        x, y, depth = np.moveaxis((points - self.origin) @ self.axes.T, -1, 0)
        scale = self.scale(depth)
        return self.centre[0] + x * scale, self.centre[1] - y * scale, depth

    def directions(self) -> Array:
        """Where the ray of each pixel points, one metre deep."""
        y, x = np.ogrid[: self.depth.shape[0], : self.depth.shape[1]]
        a, b, c = self.heading
        return (a + x[..., None] * b + y[..., None] * c).astype(np.float32)

    def draw_face(self, face: Face) -> None:
        """Draw the part of a face that nothing drawn so far hides."""
        a, b = face.along, face.up
        px, py, _ = self.project(face.corner + np.array([0 * a, a, b, a + b]))
        height, width = self.depth.shape
        x0, x1 = max(int(px.min()), 0), min(int(px.max()) + 2, width)
        y0, y1 = max(int(py.min()), 0), min(int(py.max()) + 2, height)
        if x0 >= x1 or y0 >= y1:
            return
        x = np.arange(x0, x1, dtype=np.float32)
        y = np.arange(y0, y1, dtype=np.float32)[:, None]
        normal = np.cross(a, b)
        dual_a, dual_b = np.cross(b, normal), np.cross(normal, a)

        def dot(k: Array, ray: tuple[Array, Array, Array]) -> Array:
            return np.float32(k @ ray[0]) + x * np.float32(k @ ray[1]) + y * np.float32(k @ ray[2])

        normal, dual_a, dual_b = unit(normal), dual_a / (dual_a @ a), dual_b / (dual_b @ b)
        facing = dot(normal, self.heading)
        gap = normal @ face.corner - dot(normal, self.start)
        depth = gap / np.where(facing == 0, 1e-9, facing)
        u = dot(dual_a, self.start) + depth * dot(dual_a, self.heading) - dual_a @ face.corner
        v = dot(dual_b, self.start) + depth * dot(dual_b, self.heading) - dual_b @ face.corner
        seen = (u >= 0) & (u <= 1) & (v >= 0) & (v <= 1)
        seen &= (depth > 0.5) & (depth < self.depth[y0:y1, x0:x1])
        if face.shape is not None:
            seen &= face.shape(u, v)
        self.depth[y0:y1, x0:x1][seen] = depth[seen]
        if not self.parallel:
            metres = u[seen] * np.linalg.norm(a), v[seen] * np.linalg.norm(b)
            self.albedo[y0:y1, x0:x1][seen] = face.material(*metres)
            towards = np.where(facing[seen] < 0, 1, -1)[:, None]
            self.normal[y0:y1, x0:x1][seen] = normal * towards

    def draw_discs(self, discs: Discs) -> None:
        """Draw discs, each flat at the depth of its middle."""
        height, width = self.depth.shape
        px, py, depth = self.project(discs.position)
        size = np.clip(np.round(discs.radius * self.scale(depth)), 1, 8).astype(int)
        # Depth and index in one integer: the smallest key of a pixel is its nearest disc.
        key = ((depth * 1000).astype(np.int64) << 24) + np.arange(len(depth))
        empty = np.iinfo(np.int64).max
        nearest = np.full(height * width, empty)
        for radius in np.unique(size):
            chosen = (size == radius) & (depth > 1)
            span = np.arange(-radius, radius + 1)
            for dy, dx in np.argwhere(span[:, None] ** 2 + span**2 < radius**2 + 0.5) - radius:
                x, y = (px[chosen] + dx).astype(int), (py[chosen] + dy).astype(int)
                inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
                np.minimum.at(nearest, (y * width + x)[inside], key[chosen][inside])
        index = (nearest & ((1 << 24) - 1)).reshape(height, width)
        disc_depth = (nearest >> 24).reshape(height, width) / 1000
        seen = (nearest.reshape(height, width) < empty) & (disc_depth < self.depth)
        self.depth[seen] = disc_depth[seen]
        self.albedo[seen], self.normal[seen] = discs.albedo[index[seen]], discs.normal[index[seen]]
