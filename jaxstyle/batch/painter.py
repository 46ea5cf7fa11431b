"""Painting jobs: what a device keeps warm for one after the other, on whatever machine it is.

A :class:`Painter` takes jobs and gives records, both plain enough to be sent; it knows nothing of
manifests. Its steps, loading, painting and saving, may run beside each other.
"""

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import jax

from jaxstyle import files, pretrained
from jaxstyle.arrays import Image
from jaxstyle.batch.jobs import Job, identity, work_of
from jaxstyle.batch.kept import Kept
from jaxstyle.batch.steps import (
    Guard,
    Loaded,
    Painted,
    Record,
    Told,
    Warm,
    failure,
    room_of,
    unguarded,
)
from jaxstyle.encoder import Encoder
from jaxstyle.encoder.base import check_layers
from jaxstyle.errors import InputError, ResourceError
from jaxstyle.files.result import save_result
from jaxstyle.losses.targets import StyleTargets
from jaxstyle.recipes.paint import encoder_key, load_named, paint, prepare_styles
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.recipes.sweeps import paint_lanes, program_of
from jaxstyle.run.loop import make_program
from jaxstyle.run.progress import Result
from jaxstyle.run.start import Init

_PAINTINGS = 8  # that are kept in memory
_PREPARED = 2
_STYLE_TARGETS = 16
_ENCODERS = 4


class Painter:
    """Paints jobs into a folder, and keeps warm what the next ones take, too."""

    def __init__(
        self,
        folder: Path,
        *,
        cache: Path | None = None,
        sources: Mapping[str, Any] | None = None,
        lanes: int | None = None,
        guard: Guard | None = None,
    ) -> None:
        """Makes a painter, which has nothing loaded yet.

        Args:
            folder: Where the pictures go.
            cache: Where downloads are kept; None as for ``load_encoder``.
            sources: What every picture tells of where it comes from, beside the names of files.
            lanes: How many jobs that are alike are painted at once; as many as pays if None.
            guard: Chooses how much memory jobs are given, or refuses them; if None they have all.
        """
        self._folder, self._cache = folder, cache
        self._sources = dict(sources or {})
        self._lanes, self._guard = lanes, guard or unguarded
        self._paintings = Kept[Image](_PAINTINGS)
        self._encoders = Kept[Warm](_ENCODERS)
        self._prepared = Kept[Encoder](_PREPARED)
        self._style_targets = Kept[list[StyleTargets] | None](_STYLE_TARGETS)

    def __call__(self, jobs: Sequence[Job]) -> list[Record]:
        """Loads, paints and saves jobs of one shape, and tells what has become of each."""
        steps = [self.load(job) for job in jobs]
        records = [step for step in steps if isinstance(step, Record)]
        waiting = [step for step in steps if isinstance(step, Loaded)]
        while waiting:
            room = self.room(waiting[0])
            group, waiting = waiting[:room], waiting[room:]
            records += [self.save(painted) for painted in self.paint(group)]
        return records

    def room(self, loaded: Loaded) -> int:
        """Returns how many jobs like one are painted at once."""
        return room_of(loaded.job, loaded.shape, self._lanes, jax.default_backend())

    def load(self, job: Job, warm: Warm | None = None) -> Loaded | Record:
        """Loads what a job is painted from.

        Args:
            job: Which.
            warm: The encoder; what the recipe names if None.
        """
        # Before any file is read: what changes later is painted again.
        digest, stamps = job.digest, {path: identity(path) for path in job.pictures}
        try:
            warm = self._encoder(job.recipe) if warm is None else warm
            check_layers(warm.encoder, job.recipe.make_objective().layers)
            styles = [
                self._paintings.get(stamps[path], lambda path=path: files.load_image(path))
                for path in job.styles
            ]
            content, init = files.load_picture(job.content), None
            if job.recipe.init not in get_args(Init):
                init = files.load_image(job.recipe.init)
            masks, sources = self._masks(job), job.sources
            loaded = Loaded(job, digest, stamps, sources, content, styles, warm, masks, init)
            _ = loaded.style_shapes  # Refuses sizes that are none.
            return loaded
        except Exception as error:
            return failure(job, digest, error)

    def paint(self, group: Sequence[Loaded], told: Told | None = None) -> list[Painted | Record]:
        """Paints jobs, at once if they are alike.

        Args:
            group: What they are painted from.
            told: Hears of the progress, and may stop it.
        """
        if len(group) > 1 and len({loaded.alike for loaded in group} | {None}) == 2:
            with contextlib.suppress(Exception):  # One by one it shows which of them is bad.
                return self._paint_lanes(group, told)
        return [self._paint(loaded, told) for loaded in group]

    def save(self, painted: Painted | Record) -> Record:
        """Saves a picture; what has failed before is handed through."""
        if isinstance(painted, Record):
            return painted
        loaded, recipe, result, seconds = painted
        job, digest = loaded.job, loaded.digest
        if painted.stopped:
            return Record(job.output, digest, "stopped")
        try:
            path = self._folder / job.output
            path.parent.mkdir(parents=True, exist_ok=True)
            save_result(
                path,
                result,
                recipe,
                fingerprint=loaded.warm.fingerprint,
                sources={**loaded.sources, **self._sources},
                content=loaded.content,
                overwrite=True,  # Who hands out jobs has seen to it that the place is theirs.
            )
        except Exception as error:
            return failure(job, digest, error)
        terms = {k: float(v[-1]) for k, v in result.terms._asdict().items() if len(v)}
        work = work_of(job.recipe, loaded.shape)
        return Record(job.output, digest, "done", round(seconds, 3), round(work, 6), terms)

    def _encoder(self, recipe: Recipe) -> Warm:
        """Returns the encoder that a recipe names, loaded once."""
        return self._encoders.get(warm_key(recipe), lambda: load_warm(recipe, self._cache))

    @staticmethod
    def _masks(job: Job) -> files.Masks | None:
        if job.content_mask is None:
            return None
        return files.load_masks(
            job.content_mask, job.style_masks, content=job.content, styles=job.styles
        )

    def _prepare(self, loaded: Loaded, recipe: Recipe) -> tuple[Encoder, list[StyleTargets] | None]:
        """Returns the encoder as runs take it, and what the painting asks for: made once."""
        warm, objective = loaded.warm, recipe.make_objective()
        key = (warm.key, objective.layers, objective.memory)
        program = make_program(objective, recipe.make_solver(), recipe.variable)
        encoder = self._prepared.get(key, lambda: program.prepare(warm.encoder))
        stamps = [loaded.stamps[path] for path in (*loaded.job.styles, *loaded.job.style_masks)]
        masks = None if loaded.masks is None else loaded.masks.styles
        # Regions go by the photograph's mask.
        guide = loaded.job.content_mask and loaded.stamps[loaded.job.content_mask]
        targets = self._style_targets.get(
            repr((key, program_of(recipe), loaded.shape, stamps, guide)),
            lambda: prepare_styles(recipe, loaded.styles, loaded.shape, encoder, style_masks=masks),
        )
        return encoder, targets

    def _paint_lanes(self, group: Sequence[Loaded], told: Told | None) -> list[Painted | Record]:
        began, first = time.monotonic(), group[0]
        with self._guard(first, len(group)) as recipe:
            if _memory_of(recipe) != _memory_of(first.job.recipe):
                raise ResourceError("so many do not fit: each by itself")
            prepared = [self._prepare(loaded, loaded.job.recipe) for loaded in group]
            results = paint_lanes(
                [loaded.job.recipe for loaded in group],
                [loaded.content.image for loaded in group],
                [loaded.styles[0] for loaded in group],
                [targets or [] for _, targets in prepared],
                prepared[0][0],
                callback=told and (lambda progress: told(progress.fraction)),
            )
        seconds = (time.monotonic() - began) / len(group)
        done = zip(group, results, strict=True)
        return [
            self._ended(loaded, loaded.job.recipe.replace(memory=recipe.memory), result, seconds)
            for loaded, result in done
        ]

    def _paint(self, loaded: Loaded, told: Told | None) -> Painted | Record:
        began = time.monotonic()
        try:
            with self._guard(loaded, 1) as recipe:
                encoder, targets = self._prepare(loaded, recipe)
                result = paint(
                    recipe,
                    loaded.content.image,
                    loaded.styles,
                    encoder=encoder,
                    init=loaded.init,
                    content_masks=loaded.masks and loaded.masks.content,
                    style_masks=loaded.masks and loaded.masks.styles,
                    style_targets=targets,
                    callback=told and (lambda progress: told(progress.fraction)),
                )
        except Exception as error:
            return failure(loaded.job, loaded.digest, error)
        return self._ended(loaded, recipe, result, time.monotonic() - began)

    @staticmethod
    def _ended(loaded: Loaded, recipe: Recipe, result: Result, seconds: float) -> Painted | Record:
        if result.status == "non-finite":
            error = InputError("the loss is not finite; try smaller weights")
            return failure(loaded.job, loaded.digest, error)
        return Painted(loaded, recipe, result, seconds)


def _memory_of(recipe: Recipe) -> tuple[str, int]:
    """Returns what a guard may choose of a recipe, as it is painted."""
    return recipe.make_objective().memory, recipe.history


def warm_key(recipe: Recipe) -> tuple[object, ...]:
    """Returns what tells the encoder that a recipe names, as it is now, from others."""
    return (*encoder_key(recipe), *identity(Path(recipe.encoder)))


def load_warm(recipe: Recipe, cache: Path | None = None) -> Warm:
    """Loads the encoder that a recipe names."""
    key = warm_key(recipe)  # before the file is read
    encoder = load_named(recipe, cache)
    return Warm(encoder, pretrained.fingerprint(encoder), key)
