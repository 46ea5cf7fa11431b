"""Code that the painting subcommands share: one job with progress, checkpoints and output."""

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

import jaxstyle as js
from jaxstyle import files, gallery, pretrained
from jaxstyle.cli import report
from jaxstyle.cli.interruption import Interruption
from jaxstyle.cli.saving import save_somewhere
from jaxstyle.cli.streams import print_to_stdout
from jaxstyle.errors import InputError
from jaxstyle.files.result import opacity_of
from jaxstyle.jobs import Inputs, Job, Painter, check_inputs_kept, last_terms, steps_done
from jaxstyle.jobs.checkpoints import Command, RunFolder, check_folder
from jaxstyle.jobs.painter import RunOnce
from jaxstyle.ops import resize
from jaxstyle.recipes.recipe import Recipe

# What to try if a term is not finite.
_ADVICE = {
    "content": "a smaller --content-weight",
    "style": "a smaller --style-weight",
    "tv": "a smaller --tv-weight",
}


def begin(cache: Path | None, *, keep: bool) -> None:
    """Checks the device, and stores compiled programs if they are wanted.

    Raises:
        InputError: JAX_PLATFORMS names no device of this machine.
    """
    check_devices()
    if keep:
        keep_programs(cache)


def keep_programs(cache: Path | None) -> None:
    """Stores compiled programs in the cache folder, unless other users may write there."""
    if not pretrained.keep_programs(cache):
        folder = pretrained.cache_folder(cache)
        line = f"{folder}: other users can write to this folder; compiled programs are not cached"
        report.console().print(report.plain(line))


def check_devices() -> None:
    """Checks that JAX_PLATFORMS names a device of this machine.

    Raises:
        InputError: It does not.
    """
    wanted = os.environ.get("JAX_PLATFORMS")
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        if not wanted:
            raise
        raise InputError(
            f"JAX_PLATFORMS={wanted}: no such device; unset it, or install the matching JAX"
        ) from error


def check_masks(content_mask: Path | None, style_masks: Sequence[Path]) -> None:
    """Checks that there are masks for both sides or for none.

    Raises:
        InputError: There are masks for one side only.
    """
    if (content_mask is None) != (not style_masks):
        lacking = "--style-mask" if content_mask else "--content-mask"
        raise InputError(f"{lacking}: missing; give masks for both the photograph and the painting")


def print_remarks(inputs: Inputs) -> None:
    """Prints which parts of masks are ignored, even if quiet."""
    for line in inputs.masks.remarks if inputs.masks else ():
        report.console().print(report.plain(line))


def print_hidden_works(jobs: Iterable[Job], console: Console) -> None:
    """Prints which files are used although works of the gallery have their names."""
    for path in sorted({path for job in jobs for path in job.pictures if gallery.hides_work(path)}):
        console.print(f"{path}: the file of this name is used, not the picture of the gallery")


def run_job(
    command: Any,
    name: str,
    job: Job,
    *,
    options: Mapping[str, Any],
    mesh: js.Mesh | None = None,
    writes: bool = True,
) -> int:
    """Paints a job, saves the picture, prints where it is, and returns the exit code.

    Args:
        command: ``Stylize`` or ``Texture``: the output, and how the run is watched and saved.
        name: The subcommand, for ``jaxstyle resume``.
        job: The job to paint.
        options: The subcommand's other options, for ``jaxstyle resume``.
        mesh: The devices that share the picture; one device if None.
        writes: Whether this is the process that saves the picture.

    Raises:
        InputError: An input or the output cannot be used.
        ResourceError: The memory is too small, or the picture cannot be saved anywhere.
    """
    overwrite = command.overwrite or command.replaces
    files.check_output(command.output, overwrite=overwrite)
    check_inputs_kept([command.output], [job], "choose another name")
    begun = check_folder(command.checkpoint, command.checkpoint_every)
    begin(command.cache, keep=command.compile_cache)
    console = report.console(quiet=command.quiet or not writes)
    print_hidden_works([job], console)
    painter = Painter(cache=command.cache, reuse=False, notice=console.print)
    inputs = painter.load(job)
    shape = inputs.shapes[0]
    files.check_output(command.output, overwrite=overwrite, shape=shape)
    print_remarks(inputs)
    watchers, every = command.watching.make(
        command.output,
        job.recipe,
        shape,
        console,
        overwrite=command.overwrite,
        begun=begun and {"watching": {}, **begun["options"], "output": begun["output"]},
        writes=writes,
        alpha=lambda image: opacity_of(inputs.content, image),
    )
    steps = sum(scale.iterations for scale in job.recipe.make_schedule().scales_of(shape))
    check_inputs_kept(command.watching.files(command.output, steps), [job], "choose another name")
    console.print(report.plain(f"encoder {job.recipe.encoder}"))
    options = {**options, "overwrite": command.overwrite, "watching": command.watching.to_table()}
    folder = RunFolder(
        command.checkpoint,
        command.checkpoint_every,
        Command(name, options, command.output),
        inputs,
        report.print_error,  # Even if quiet.
    )
    with Interruption(console) as interruption:
        began = time.monotonic()

        def attempt(recipe: Recipe, run: RunOnce) -> js.Result:
            resume = folder.begin(recipe)
            console.print(f"device {jax.devices()[0].device_kind}, size {shape[1]}×{shape[0]}")
            with watchers:
                with report.RunBar(console) as bar:

                    def show(progress: js.Progress) -> bool:
                        bar.update(progress)
                        watchers.see(progress)
                        return interruption.number is not None

                    callback = folder.saving(show)
                    result = run(callback=callback, callback_every=every, resume=resume)
                watchers.end(result)
            return result

        painting = painter.paint(inputs, around=attempt, mesh=mesh, pinned=folder.pinned)
        _print_status(painting.result, console)
        if not writes:
            return interruption.exit_code
        report.answer(**_facts(painting.result, time.monotonic() - began))
        facts = {} if mesh is None else {"devices": len(mesh)}

        def save(path: Path) -> Path:
            replaces = overwrite and path == command.output
            return painter.save(painting, path, overwrite=replaces, **facts)

        path, in_place = save_or_explain(save, command.output)
        unprinted = print_to_stdout(lambda: report.print_path(path))
    succeeded = in_place and painting.is_painted and not watchers.failed
    code = interruption.exit_code if succeeded else 1
    if code == 0:
        folder.end()
    if unprinted is not None:
        raise unprinted
    return code


def save_or_explain(save: Callable[[Path], Path], output: Path) -> tuple[Path, bool]:
    """Saves a picture, elsewhere if necessary; returns where, and whether it is in its place.

    Raises:
        ResourceError: It cannot be saved anywhere.
    """
    path, trouble = save_somewhere(save, output)
    if trouble:  # Even if quiet, because the picture is not in the requested place.
        report.print_error(f"{trouble}; the picture was saved as {path.resolve()}")
    return path, not trouble


def _print_status(result: js.Result, console: Console) -> None:
    steps = steps_done(result)
    if result.status == "converged":
        console.print(f"converged after {steps} iterations: no step lowers the loss further")
    if result.status == "non-finite":
        named = " and ".join(result.overflowed) + " term" * (result.overflowed != ("gradient",))
        advice = _ADVICE.get(result.overflowed[0], "smaller weights")
        # Even if quiet, because the picture is not as requested.
        report.console().print(
            f"stopped after {steps} iterations: the loss's {named} is not finite; saving the last "
            f"good image; try {advice}"
        )


def _facts(result: js.Result, seconds: float) -> dict[str, Any]:
    """Returns what ``--json`` says about a result."""
    height, width = resize.shape_of(result.image)
    return {
        "size": [width, height],
        "status": result.status,
        "iterations": steps_done(result),
        "evaluations": result.evaluations,
        "terms": last_terms(result),
        "seconds": round(seconds, 3),
    }
