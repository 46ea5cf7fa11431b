"""Loading what a job is painted from: pictures, masks and the encoder."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxstyle import files, gallery, pretrained
from jaxstyle.arrays import Image
from jaxstyle.encoder.base import check_layers
from jaxstyle.encoder.vgg_encoder import VGGEncoder
from jaxstyle.errors import unknown
from jaxstyle.jobs.job import Job, Shape, encoder_path, identity, shapes_of
from jaxstyle.jobs.lru import LruCache
from jaxstyle.jobs.provenance import STRIP, sources_of
from jaxstyle.losses.pictures import Scene, Styles
from jaxstyle.ops import resize
from jaxstyle.recipes.paint import encoder_key, load_named
from jaxstyle.recipes.recipe import INITS, Recipe
from jaxstyle.recipes.sweeps import program_of

_PAINTINGS, _ENCODERS = 8, 4  # that stay in memory


class LoadedEncoder(NamedTuple):
    """An encoder in memory.

    Attributes:
        encoder: Network and pretrained parameters.
        fingerprint: Hash of the parameters.
        key: What distinguishes it from other encoders.
    """

    encoder: VGGEncoder
    fingerprint: str
    key: tuple[Any, ...]


class Inputs(NamedTuple):
    """A job and everything that it is painted from, in memory.

    Attributes:
        job: The job.
        stamps: What identified each of the job's files when it was read.
        sources: What the picture records about its origin.
        content: The photograph; None for a texture.
        styles: The paintings.
        masks: The regions; None without masks.
        init: The picture to start from; None if the recipe names another start.
        encoder: The encoder.
    """

    job: Job
    stamps: Mapping[Path, tuple[object, ...]]
    sources: Mapping[str, Any]
    content: files.Picture | None
    styles: list[Image]
    masks: files.Masks | None
    init: Image | None
    encoder: LoadedEncoder

    @property
    def shapes(self) -> list[Shape]:
        """Height and width of the result, and of the paintings as the network sees them."""
        content = None if self.content is None else resize.shape_of(self.content.image)
        return shapes_of(self.job.recipe, content, map(resize.shape_of, self.styles))

    @property
    def scene(self) -> Scene:
        """The photograph with its masks."""
        assert self.content is not None
        return Scene(self.content.image, self.masks and self.masks.content)

    @property
    def painted_styles(self) -> Styles:
        """The paintings with their weights and masks."""
        return Styles(self.styles, self.job.blend, self.masks and self.masks.styles)

    @property
    def group(self) -> object:
        """What jobs that can be painted together have in common; None if this one cannot be."""
        if not self.job.fits_lanes:
            return None
        return program_of(self.job.recipe), self.encoder.key, *self.shapes


class Loader:
    """Loads jobs, and keeps encoders and paintings in memory for the next ones."""

    def __init__(self, cache: Path | None, *, reuse: bool) -> None:
        """Makes a loader that has nothing loaded.

        Args:
            cache: Folder of downloads; None as for ``load_encoder``.
            reuse: Whether paintings are kept for the next job.
        """
        self._cache, self._reuse = cache, reuse
        self._paintings = LruCache[Image](_PAINTINGS)
        self._encoders = LruCache[LoadedEncoder](_ENCODERS)

    def encoder(self, recipe: Recipe) -> LoadedEncoder:
        """Returns the encoder that a recipe names, and loads it if necessary."""
        key = loaded_key(recipe)
        loaded = self._encoders.get(key, lambda: load_encoder(recipe, self._cache))
        check_layers(loaded.encoder, recipe.make_objective().layers)
        return loaded

    def load(self, job: Job, encoder: LoadedEncoder | None = None) -> Inputs:
        """Loads the files of a job; the encoder comes last, after all pictures.

        Args:
            job: The job.
            encoder: The encoder; the one that the recipe names if None.

        Raises:
            InputError: A file cannot be used, or a setting does not fit.
        """
        for path in (job.content, *job.styles):
            if path is not None:
                gallery.check_exists(path)
        # Before any file is read: a file that changes later is another one for the caches.
        stamps = {path: identity(path) for path in job.pictures}
        content = None if job.content is None else files.load_picture(job.content)
        if content is not None and job.facts.get(STRIP):
            content = content._replace(info=files.PhotoInfo())
        size = None if content is None else resize.shape_of(content.image)
        _, *seen = shapes_of(job.recipe, size, map(files.read_shape, job.styles))
        # A size that is rounded to a multiple might be rounded again to another one.
        sizes = seen if job.recipe.multiple == 1 else [None] * len(seen)
        styles = [
            self._painting(path, (stamps[path], shape))
            for path, shape in zip(job.styles, sizes, strict=True)
        ]
        masks, init, sources = _load_masks(job), _load_init(job), sources_of(job)
        encoder = encoder or self.encoder(job.recipe)
        check_layers(encoder.encoder, job.recipe.make_objective().layers)
        return Inputs(job, stamps, sources, content, styles, masks, init, encoder)

    def _painting(self, path: Path, key: tuple[object, Shape | None]) -> Image:
        """Loads a painting, reduced to the size in which the network sees it, if that is known."""
        seen = key[1]

        def load() -> Image:
            image = files.load_image(path)
            height, width = resize.shape_of(image)
            if seen is not None and height > seen[0] and width > seen[1]:
                return resize.resize(image, seen)
            return image

        return self._paintings.get(key, load) if self._reuse else load()


def loaded_key(recipe: Recipe) -> tuple[object, ...]:
    """Returns what distinguishes the encoder that a recipe names, as it is now, from others."""
    path = encoder_path(recipe)
    return (*encoder_key(recipe), *(() if path is None else identity(path)))


def load_encoder(recipe: Recipe, cache: Path | None = None) -> LoadedEncoder:
    """Loads the encoder that a recipe names, whatever its layers."""
    key = loaded_key(recipe)  # before the file is read
    encoder = load_named(recipe, cache)
    return LoadedEncoder(encoder, pretrained.fingerprint(encoder), key)


def _load_masks(job: Job) -> files.Masks | None:
    if job.content_mask is None or job.content is None:
        return None
    return files.load_masks(
        job.content_mask, job.style_masks, content=job.content, styles=job.styles
    )


def _load_init(job: Job) -> Image | None:
    if job.init is None:
        return None
    if not os.path.exists(job.init):
        raise unknown("init", job.recipe.init, INITS, ", or a file that exists")
    return files.load_image(job.init)
