"""What the painting subcommands share: pictures, encoder, the run under its bar, the result."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast, get_args

import jax
from rich.console import Console

import jaxstyle as js
from jaxstyle import files, pretrained, report, resize, vgg
from jaxstyle.arrays import Image
from jaxstyle.atomic import make_private
from jaxstyle.cli.interruption import Interruption
from jaxstyle.cli.memory import Demand, watching
from jaxstyle.cli.saving import save_somewhere
from jaxstyle.compilation import keep_traces
from jaxstyle.errors import InputError, unknown
from jaxstyle.recipe import Recipe
from jaxstyle.schedule import Init

# What to try where a term is not finite.
_SMALLER = {
    "content": "a smaller --content-weight",
    "style": "a smaller --style-weight",
    "tv": "a smaller --tv-weight",
    "gradient": "smaller weights",
}


def keep_programs(cache: Path | None) -> None:
    """Keeps traces in the cache folder and, unless JAX was told of another, compiled programs.

    Whoever may write there could have us run what they like: then none are kept.
    """
    traced, compiled = (pretrained.cache_folder(cache) / name for name in ("traced", "compiled"))
    try:
        private = make_private(traced) and make_private(compiled)
    except OSError:
        return  # A run without a cache takes longer, and that is all.
    if not private:
        others = "others than you may write there"
        report.console().print(report.plain(f"{traced.parent}: {others}; no programs are kept"))
        return
    keep_traces(traced)
    if getattr(jax.config, "jax_compilation_cache_dir", None) is None:
        jax.config.update("jax_compilation_cache_dir", str(compiled))
        # Small programs too: together they are a second of the wait.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


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


def load_style(path: Path, recipe: Recipe, shape: tuple[int, int]) -> Image:
    """Loads a painting at the size that the recipe gives it beside a result of ``shape``."""
    style = files.load_image(path)
    return resize.resize(style, recipe.style_shape_of(resize.shape_of(style), shape))


def load_init(init: str) -> Init | Image:
    """Loads the picture to start from, unless it goes by a name."""
    if init in get_args(Init):
        return cast(Init, init)
    if not os.path.exists(init):
        raise unknown("init", init, get_args(Init), ", or a file that exists")
    return files.load_image(init)


def load_encoder(recipe: Recipe, cache: Path | None, console: Console) -> js.Encoder:
    """Loads the recipe's encoder and says which one it is."""
    encoder = pretrained.load_encoder(
        recipe.encoder,
        pooling=recipe.pooling,
        padding=recipe.padding,
        precision=recipe.precision,
        cache=cache,
        seed=recipe.seed,
    )
    vgg.truncate(encoder, recipe.make_objective().layers)
    console.print(report.plain(f"encoder {recipe.encoder}"))
    return encoder


def finish(
    run: Callable[[Callable[[js.Progress], bool]], js.Result],
    save: Callable[[Path, js.Result], Path],
    output: Path,
    demand: Demand,
    console: Console,
) -> int:
    """Paints, saves, prints where the picture is, and returns the exit code.

    Args:
        run: Paints; hears of the progress by a callback.
        save: Writes the result to a path.
        output: Where it should go.
        demand: How much memory that takes.
        console: For everything else that is told.

    Raises:
        ResourceError: There is not enough memory, or nowhere to save the picture.
    """
    with Interruption(console) as interruption:
        with watching(demand):
            result = _paint(run, demand.shape, console, interruption)
        path, trouble = save_somewhere(lambda path: save(path, result), output)
        if trouble:  # Said even if quiet: it is not where it was asked for.
            report.print_error(f"{trouble}; the picture is in {path.resolve()}")
        report.print_path(path)
    # The photograph as it was is not what was asked for either.
    unpainted = result.status == "non-finite" and not len(result.terms.style)
    return 1 if trouble or unpainted else interruption.exit_code


def _paint(
    run: Callable[[Callable[[js.Progress], bool]], js.Result],
    shape: tuple[int, int],
    console: Console,
    interruption: Interruption,
) -> js.Result:
    """Runs under a progress bar; a signal ends it early, and an overflow is told."""
    console.print(f"device {jax.devices()[0].device_kind}, size {shape[1]}×{shape[0]}")
    with report.RunBar(console) as bar:

        def show(progress: js.Progress) -> bool:
            bar.update(progress)
            return interruption.number is not None

        result = run(show)
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


def _named(result: js.Result) -> str:
    return " and ".join(result.overflowed) + (" term" * (result.overflowed != ("gradient",)))


def settings(
    recipe: Recipe, encoder: js.Encoder, result: js.Result, more: Mapping[str, Any]
) -> dict[str, str]:
    """Returns everything that it takes to make the picture again; of files, the names only."""
    values = recipe.to_table() | {
        "init": Path(recipe.init).name,
        "encoder": Path(recipe.encoder).name,
        "pooling": encoder.vgg.pooling,
        "version": js.__version__,
        "encoder_sha256": pretrained.fingerprint(encoder),
        "evaluations": result.evaluations,
        "status": result.status,
        **more,
    }
    return {k: v if isinstance(v, str) else json.dumps(v) for k, v in values.items()}
