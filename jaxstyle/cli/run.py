"""What the painting subcommands share: pictures, encoder, the run under its bar, the result."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import jax
from rich.console import Console

import jaxstyle as js
from jaxstyle import files, pretrained
from jaxstyle.arrays import Image
from jaxstyle.cli import report
from jaxstyle.cli.checkpoints import Keeper
from jaxstyle.cli.fitting import within_memory
from jaxstyle.cli.interruption import Interruption
from jaxstyle.cli.memory import Demand
from jaxstyle.cli.saving import save_somewhere
from jaxstyle.cli.watch.watcher import Watchers
from jaxstyle.errors import InputError, unknown
from jaxstyle.ops import resize
from jaxstyle.recipes.paint import encoder_of
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.run.progress import Callback
from jaxstyle.run.start import Init

# What to try where a term is not finite.
_SMALLER = {
    "content": "a smaller --content-weight",
    "style": "a smaller --style-weight",
    "tv": "a smaller --tv-weight",
    "gradient": "smaller weights",
}


def begin(cache: Path | None, *, keep: bool) -> None:
    """Does what comes before any painting: is the device here, and are programs to be kept.

    Raises:
        InputError: JAX_PLATFORMS names nothing that is here.
    """
    check_devices()
    if keep:
        keep_programs(cache)


def keep_programs(cache: Path | None) -> None:
    """Keeps compiled programs in the cache folder, if nobody else may write there."""
    if not pretrained.keep_programs(cache):
        folder, others = pretrained.cache_folder(cache), "others than you may write there"
        report.console().print(report.plain(f"{folder}: {others}; no programs are kept"))


def check_devices() -> None:
    """Refuses a JAX_PLATFORMS that names nothing that is here.

    Raises:
        InputError: It does.
    """
    wanted = os.environ.get("JAX_PLATFORMS")
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        if not wanted:
            raise
        raise InputError(
            f"JAX_PLATFORMS={wanted}: names no device that JAX has here; unset it, or install the "
            "JAX that has it"
        ) from error


def load_init(recipe: Recipe) -> Image | None:
    """Loads the picture to start from; None if the recipe's start goes by a name."""
    file = init_file(recipe)
    if file is None:
        return None
    if not os.path.exists(file):
        raise unknown("init", recipe.init, get_args(Init), ", or a file that exists")
    return files.load_image(file)


def init_file(recipe: Recipe) -> Path | None:
    """Returns the file of the picture to start from; None if the start goes by a name."""
    return None if recipe.init in get_args(Init) else Path(recipe.init)


def load_masks(
    content_mask: Path | None, style_masks: Sequence[Path], content: Path, styles: Sequence[Path]
) -> files.Masks | None:
    """Loads the masks that options name, if any; what does not count in them is told.

    Raises:
        InputError: There are some of one side only; or as ``files.load_masks``.
    """
    if content_mask is None and not style_masks:
        return None
    if content_mask is None or not style_masks:
        lacking = "--style-mask" if content_mask else "--content-mask"
        raise InputError(f"{lacking}: missing; masks come for the photograph and the painting")
    masks = files.load_masks(content_mask, style_masks, content=content, styles=styles)
    for line in masks.remarks:  # Said even if quiet: not all that was painted counts.
        report.console().print(report.plain(line))
    return masks


def load_encoder(recipe: Recipe, cache: Path | None, console: Console) -> js.VGGEncoder:
    """Loads the recipe's encoder and says which one it is."""
    encoder = encoder_of(recipe, cache)
    console.print(report.plain(f"encoder {recipe.encoder}"))
    return encoder


def finish(
    run: Callable[[Recipe, js.Checkpoint | None, Callback], js.Result],
    save: Callable[[Path, Recipe, js.Result], Path],
    output: Path,
    demand: Demand,
    console: Console,
    watchers: Watchers,
    keeper: Keeper,
    *,
    writes: bool = True,
) -> int:
    """Paints, saves, prints where the picture is, and returns the exit code.

    Args:
        run: Paints by a recipe, from a checkpoint or anew; tells the progress to a callback.
        save: Writes the result to a path, with the recipe that it was painted by.
        output: Where it should go.
        demand: How much memory that takes.
        console: For everything else that is told.
        watchers: Who else hears of the progress.
        keeper: Of the run's checkpoints.
        writes: Whether this process is the one to save the picture.

    Raises:
        ResourceError: There is not enough memory, or nowhere to save the picture.
    """
    with Interruption(console) as interruption:
        began = time.monotonic()

        def paint(recipe: Recipe) -> js.Result:
            resume = keeper.begin(recipe)

            def kept(callback: Callback) -> js.Result:
                return run(recipe, resume, keeper.heard_by(callback))

            return _paint(kept, demand.shape, console, interruption, watchers)

        recipe, result = within_memory(keeper.pin(demand), paint, console.print)
        if not writes:
            return interruption.exit_code
        report.answer(**_facts(result, time.monotonic() - began))
        path, in_place = keep(lambda path: save(path, recipe, result), output)
        report.print_path(path)
    # The photograph as it was is not what was asked for either.
    unpainted = result.status == "non-finite" and not len(result.terms.style)
    in_order = in_place and not unpainted and not watchers.failed
    return keeper.ended(interruption.exit_code if in_order else 1)


def keep(save: Callable[[Path], Path], output: Path) -> tuple[Path, bool]:
    """Saves a picture, elsewhere if need be; returns where, and whether it is as asked for.

    Raises:
        ResourceError: There is nowhere to save it.
    """
    path, trouble = save_somewhere(save, output)
    if trouble:  # Said even if quiet: it is not where it was asked for.
        report.print_error(f"{trouble}; the picture is in {path.resolve()}")
    return path, not trouble


def _paint(
    run: Callable[[Callback], js.Result],
    shape: tuple[int, int],
    console: Console,
    interruption: Interruption,
    watchers: Watchers,
) -> js.Result:
    """Runs under a progress bar; a signal ends it early, and an overflow is told."""
    console.print(f"device {jax.devices()[0].device_kind}, size {shape[1]}×{shape[0]}")
    with watchers:
        with report.RunBar(console) as bar:

            def show(progress: js.Progress) -> bool:
                bar.update(progress)
                watchers.see(progress)
                return interruption.number is not None

            result = run(show)
        watchers.end(result)
    steps = len(result.terms.style)
    if result.status == "converged":
        console.print(f"converged after {steps} iterations: no step lowers the loss any further")
    if result.status == "non-finite":
        # Said even if quiet: the picture is not what was asked for.
        report.console().print(
            f"stopped after {steps} iterations: not finite is the loss's {_named(result)}; saving "
            f"the last good image; try {_SMALLER[result.overflowed[0]]}"
        )
    return result


def _facts(result: js.Result, seconds: float) -> dict[str, Any]:
    """Returns what programs are answered of a result."""
    height, width = resize.shape_of(result.image)
    return {
        "size": [width, height],
        "status": result.status,
        "iterations": len(result.terms.style),
        "evaluations": result.evaluations,
        "terms": {k: float(v[-1]) for k, v in result.terms._asdict().items() if len(v)},
        "seconds": round(seconds, 3),
    }


def _named(result: js.Result) -> str:
    return " and ".join(result.overflowed) + (" term" * (result.overflowed != ("gradient",)))
