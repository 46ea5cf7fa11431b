"""The photographs: a folder of class folders, as batches of crops made ahead in threads.

Everything random follows from the seed, the epoch and the image, so that a run that continues from
a checkpoint sees what it would have seen.
"""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}

Batch = tuple[np.ndarray, np.ndarray]  # uint8[n, size, size, 3] and the classes' numbers


def cut(image: Image.Image, size: int, box: tuple[float, float, float, float]) -> np.ndarray:
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box))


def prefetch(make: Callable[[int], Batch], count: int, threads: int) -> Iterator[Batch]:
    """`make(0), make(1), …` in order, a few ahead in background threads."""
    with ThreadPoolExecutor(threads) as pool:
        ahead = [pool.submit(make, i) for i in range(min(count, threads + 2))]
        for i in range(count):
            result = ahead.pop(0).result()
            if i + threads + 2 < count:
                ahead.append(pool.submit(make, i + threads + 2))
            yield result


class Photographs:
    """Images of class folders, decoded when first needed, kept while the memory limit allows."""

    def __init__(self, folder: Path, cache_gib: float, threads: int):
        folders = folder.iterdir() if folder.is_dir() else ()
        self.classes = sorted(p.name for p in folders if p.is_dir())
        found = [
            (path, label)
            for label, name in enumerate(self.classes)
            for path in sorted((folder / name).rglob("*"))
            if path.suffix.lower() in ENDINGS
        ]
        if len(self.classes) < 2 or not found:
            sys.exit(f"--data {folder}: needs a folder of images for each of two or more classes")
        self.paths = [path for path, _ in found]
        self.labels = np.array([label for _, label in found], np.int32)
        self.cache: dict[int, Image.Image] = {}
        self.room = cache_gib * 2**30
        self.threads = threads

    def image(self, index: int) -> Image.Image:
        """The whole image, in RGB."""
        if index in self.cache:
            return self.cache[index]
        try:
            with Image.open(self.paths[index]) as file:
                file.draft("RGB", (256, 256))  # large JPEGs are decoded at the scale that is needed
                image = file.convert("RGB")
        except OSError as error:
            sys.exit(f"{self.paths[index]}: not a readable image ({error}); repair or remove it")
        size = image.width * image.height * 4  # Pillow keeps four bytes a pixel
        if size <= self.room:
            self.room -= size
            self.cache[index] = image
        return image

    def centre(self, index: int, size: int) -> np.ndarray:
        """The largest square in the middle, resized."""
        image = self.image(index)
        side = min(image.size)
        x, y = (image.width - side) / 2, (image.height - side) / 2
        return cut(image, size, (x, y, x + side, y + side))

    def crop(self, index: int, size: int, smallest: float, rng: np.random.Generator) -> np.ndarray:
        """A random rectangle, resized to a square, mirrored half the time."""
        image = self.image(index)
        area = rng.uniform(smallest, 1) * image.width * image.height
        ratio = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        w, h = min(np.sqrt(area * ratio), image.width), min(np.sqrt(area / ratio), image.height)
        x, y = rng.uniform(0, image.width - w), rng.uniform(0, image.height - h)
        pixels = cut(image, size, (x, y, x + w, y + h))
        return pixels[:, ::-1] if rng.random() < 0.5 else pixels

    def centre_batches(self, indices: np.ndarray, size: int, batch_size: int) -> Iterator[Batch]:
        """The middles of the images in their order; the last batch may be smaller."""

        def make(batch: int) -> Batch:
            chosen = indices[batch * batch_size :][:batch_size]
            return np.stack([self.centre(i, size) for i in chosen]), self.labels[chosen]

        return prefetch(make, -(-len(indices) // batch_size), self.threads)

    def crop_batches(
        self, indices: np.ndarray, size: int, batch_size: int, smallest: float, seed: list[int]
    ) -> Iterator[Batch]:
        """Crops of the images, shuffled; those that do not fill a last batch are left out."""
        order = np.random.default_rng(seed).permutation(indices)

        def make(batch: int) -> Batch:
            chosen = order[batch * batch_size :][:batch_size]
            rngs = [np.random.default_rng([*seed, int(i)]) for i in chosen]
            crops = [self.crop(i, size, smallest, rng) for i, rng in zip(chosen, rngs)]
            return np.stack(crops), self.labels[chosen]

        return prefetch(make, len(indices) // batch_size, self.threads)
