"""Painting jobs: load, check the memory, paint, save; and what the next job can use again."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from jaxstyle import files
from jaxstyle.encoder import Encoder
from jaxstyle.errors import ResourceError
from jaxstyle.evaluate.devices import Devices
from jaxstyle.evaluate.mesh import Mesh
from jaxstyle.evaluate.plan import Plan
from jaxstyle.evaluate.tiles import Tiles
from jaxstyle.evaluate.whole import Whole
from jaxstyle.files.result import save_result
from jaxstyle.jobs.job import Job
from jaxstyle.jobs.loading import Inputs, LoadedEncoder, Loader
from jaxstyle.jobs.lru import LruCache
from jaxstyle.jobs.outcome import last_terms
from jaxstyle.losses.pictures import Styles
from jaxstyle.recipes.demand import Demand, demand_of
from jaxstyle.recipes.fitting import (
    choose,
    is_exhausted,
    within_memory,
)
from jaxstyle.recipes.paint import paint, prepare_styles
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.recipes.sweeps import FractionCallback, paint_lanes, program_of
from jaxstyle.run.checkpoint import Checkpoint
from jaxstyle.run.loop import make_program
from jaxstyle.run.progress import Callback, Result

_PREPARED, _TARGETS = 2, 16  # that stay in memory


class Painting(NamedTuple):
    """A painted job that is not saved yet.

    Attributes:
        inputs: What it was painted from.
        recipe: The job's recipe with the memory plan that was chosen.
        result: The result.
        seconds: How long it took.
    """

    inputs: Inputs
    recipe: Recipe
    result: Result
    seconds: float

    @property
    def is_painted(self) -> bool:
        """Whether the image differs from its start: the loss was finite at least once."""
        return self.result.status != "non-finite" or bool(last_terms(self.result))


RunOnce = Callable[..., Result]
"""Paints; takes ``callback``, ``callback_every`` and ``resume`` as :func:`jaxstyle.paint` does."""

Around = Callable[[Recipe, RunOnce], Result]
"""Called for each attempt to paint: with the recipe and its memory plan, and what paints by it."""


class Painter:
    """Loads, paints and saves jobs, and keeps encoders, paintings and style targets in memory.

    Errors are raised. Loading, painting and saving may each have their own thread.

    Attributes:
        notice: Receives lines about the memory plan.
    """

    def __init__(
        self,
        *,
        cache: Path | None = None,
        reuse: bool = True,
        notice: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Makes a painter that has nothing loaded.

        Args:
            cache: Folder of downloads; None as for ``load_encoder``.
            reuse: Whether paintings and their style targets are kept for the next job.
            notice: Receives lines about the memory plan.
        """
        self.notice = notice
        self._reuse = reuse
        self._loader = Loader(cache, reuse=reuse)
        self._prepared = LruCache[Encoder](_PREPARED)
        self._targets = LruCache[Styles](_TARGETS)

    def encoder(self, recipe: Recipe) -> LoadedEncoder:
        """Returns the encoder that a recipe names, and loads it if necessary."""
        return self._loader.encoder(recipe)

    def load(self, job: Job, encoder: LoadedEncoder | None = None) -> Inputs:
        """Loads the files of a job; the encoder comes last, after all pictures.

        Args:
            job: The job.
            encoder: The encoder; the one that the recipe names if None.

        Raises:
            InputError: A file cannot be used, or a setting does not fit.
        """
        return self._loader.load(job, encoder)

    def demand(self, inputs: Inputs, *, lanes: int = 1, mesh: Mesh | None = None) -> Demand:
        """Returns how much memory it takes to paint so many jobs like this one at once."""
        result, *seen = inputs.shapes
        own_memory = mesh is not None and mesh.devices[0].platform != "cpu"
        return demand_of(
            inputs.encoder.encoder,
            inputs.job.recipe,
            result,
            seen,
            devices=len(mesh) if mesh is not None and own_memory else 1,
            lanes=lanes,
            shared=mesh is not None,
            regions=0 if inputs.masks is None else len(inputs.masks.content),
        )

    def paint(
        self,
        inputs: Inputs,
        *,
        around: Around | None = None,
        mesh: Mesh | None = None,
        pinned: Mapping[str, Any] | None = None,
    ) -> Painting:
        """Paints a job with the fastest memory plan that fits.

        Args:
            inputs: What it is painted from.
            around: Wraps every attempt to paint: there is another one if memory runs out.
            mesh: The devices that share the picture; one device if None.
            pinned: Settings of the recipe that must stay as they are, because a run continues.

        Raises:
            ResourceError: No plan fits into the memory.
        """
        began, demand = time.monotonic(), self.demand(inputs, mesh=mesh)
        demand = demand if pinned is None else demand.pinned_to(pinned)

        def attempt(recipe: Recipe) -> Result:
            run = partial(self._run, inputs, recipe, mesh)
            return run() if around is None else around(recipe, run)

        recipe, result = within_memory(demand, attempt, self.notice)
        return Painting(inputs, recipe, result, time.monotonic() - began)

    def paint_all(
        self, inputs: Sequence[Inputs], callback: FractionCallback | None = None
    ) -> list[Painting | Exception]:
        """Paints jobs: at once if they share a program and fit into the memory, else in turn.

        Args:
            inputs: What each is painted from.
            callback: Receives the fraction of all that is done; returns True to stop.

        Returns:
            For each job what was painted, or the error that ended it.
        """
        if len(inputs) > 1 and len({each.group for each in inputs} | {None}) == 2:
            try:
                return list(self._paint_lanes(inputs, callback))
            except Exception as error:
                if not (isinstance(error, ResourceError) or is_exhausted(error)):
                    return [error] * len(inputs)
        ends: list[Painting | Exception] = []
        for i in range(len(inputs)):
            try:
                ends.append(self.paint_one_of(inputs, i, callback))
            except Exception as error:
                ends.append(error)
        return ends

    def paint_one_of(
        self, inputs: Sequence[Inputs], i: int, callback: FractionCallback | None
    ) -> Painting:
        """Paints one of several jobs that are painted in turn.

        Args:
            inputs: All of them.
            i: Index of the one to paint.
            callback: Receives the fraction of all that is done; returns True to stop.
        """
        show = scaled(callback, i / len(inputs), 1 / len(inputs))
        return self.paint(inputs[i], around=lambda _, run: run(callback=show))

    def save(self, painting: Painting, path: Path, *, overwrite: bool, **facts: Any) -> Path:
        """Saves a picture with its recipe and its origin.

        Args:
            painting: The painting.
            path: The file to write.
            overwrite: Whether an existing file may be replaced.
            facts: What else the picture records.

        Raises:
            InputError: As for ``save_image``.
        """
        return save_result(
            path,
            painting.result,
            painting.recipe,
            fingerprint=painting.inputs.encoder.fingerprint,
            sources={**painting.inputs.sources, **facts},
            content=painting.inputs.content,
            overwrite=overwrite,
        )

    def _run(
        self,
        inputs: Inputs,
        recipe: Recipe,
        mesh: Mesh | None,
        *,
        callback: Callback | None = None,
        callback_every: Sequence[int] = (),
        resume: Checkpoint | None = None,
    ) -> Result:
        job, encoder, styles = inputs.job, inputs.encoder.encoder, inputs.painted_styles
        plain = job.content is not None and job.blend is None and mesh is None
        if self._reuse and plain and recipe.memory != "tiles":
            encoder, styles = self._reused(inputs, recipe)
        return paint(
            recipe,
            None if job.content is None else inputs.scene,
            styles,
            encoder=encoder,
            init=inputs.init if resume is None else resume,
            plan=plan_of(recipe, mesh),
            callback=callback,
            callback_every=callback_every,
        )

    def _reused(self, inputs: Inputs, recipe: Recipe) -> tuple[Encoder, Styles]:
        """Returns the encoder as runs take it and the styles with targets, each made once."""
        loaded, job, objective = inputs.encoder, inputs.job, recipe.make_objective()
        program = make_program(objective, recipe.make_solver(), recipe.variable)
        key = (loaded.key, objective.layers)
        encoder = self._prepared.get(key, lambda: program.prepare(loaded.encoder))
        # Which regions the paintings have depends on the photograph's mask.
        paths = (*job.styles, *job.style_masks, *filter(None, [job.content_mask]))
        stamps, shape = [inputs.stamps[path] for path in paths], inputs.shapes[0]
        styles = self._targets.get(
            repr((key, program_of(recipe), shape, stamps)),
            lambda: prepare_styles(recipe, inputs.painted_styles, shape, encoder),
        )
        return encoder, styles

    def _paint_lanes(
        self, inputs: Sequence[Inputs], callback: FractionCallback | None
    ) -> list[Painting]:
        began, demand = time.monotonic(), self.demand(inputs[0], lanes=len(inputs))
        if choose(demand)[0].recipe != demand.choices()[0].recipe:
            raise ResourceError("only one at a time fits")
        recipes = [each.job.recipe.replace(memory="whole") for each in inputs]
        reused = [self._reused(*pair) for pair in zip(inputs, recipes, strict=True)]
        results = paint_lanes(
            recipes,
            [each.scene.image for each in inputs],
            [styles for _, styles in reused],
            reused[0][0],
            callback=scaled(callback, 0.0, 1.0),
        )
        seconds = (time.monotonic() - began) / len(inputs)
        done = zip(inputs, recipes, results, strict=True)
        return [Painting(each, recipe, result, seconds) for each, recipe, result in done]


def plan_of(recipe: Recipe, mesh: Mesh | None) -> Plan:
    """Returns how sums are evaluated; tiles keep the content's features in files."""
    tiles = recipe.memory == "tiles"
    if mesh is not None:
        return Devices(mesh, tile=Tiles.side if tiles else None)
    return Tiles(scratch=files.scratch) if tiles else Whole()


def scaled(callback: FractionCallback | None, before: float, part: float) -> Any:
    """Returns a callback for the progress of a part of the work; None if there is no callback."""
    return callback and (lambda progress: callback(before + part * progress.fraction))
