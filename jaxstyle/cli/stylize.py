"""``jaxstyle stylize``: from two picture files to one."""

import dataclasses
import inspect
import json
import math
import os
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

import jax
from rich.console import Console
from tyro.conf import Positional, arg

import jaxstyle as js
from jaxstyle import files, pretrained, report, resize, vgg
from jaxstyle.arrays import Image
from jaxstyle.cli.options import Cache, Debug, Overwrite, Quiet
from jaxstyle.errors import InputError
from jaxstyle.resize import MIN_SIDE
from jaxstyle.schedule import Init

_BETTER = {
    "random": "untrained; for far better pictures, once: jaxstyle weights download vgg19",
    "bundled": "for more detail, once: jaxstyle weights download vgg19",
}
_SOLVERS = {"lbfgs": js.lbfgs, "adam": js.adam}
_DEFAULTS = inspect.signature(js.stylize).parameters
_ENCODER_DEFAULTS = inspect.signature(js.load_encoder).parameters
_SEEDS = 2**32


@dataclasses.dataclass(frozen=True)
class Stylize:
    """Paint a photograph in the manner of a painting."""

    content: Annotated[Positional[Path], arg(metavar="CONTENT")]
    """The photograph."""
    style: Annotated[Positional[Path], arg(metavar="STYLE")]
    """The painting."""
    output: Annotated[Path, arg(aliases=["-o"])]
    """The picture to write: .png, .jpg, .webp, or .tif with 16 bits."""
    size: int = 512
    """Longer side of the result, in pixels."""
    style_size: int | None = None
    """Longer side of the painting, in pixels: larger, larger strokes. As --size if left out."""
    iterations: int = js.Schedule.iterations
    """Solver iterations at the full size."""
    scales: int = js.Schedule.scales
    """Sizes from coarse to fine, each twice the one before; 1 for the full one only."""
    coarse_iterations: int = js.Schedule.coarse_iterations
    """Solver iterations at each coarser size."""
    coarsest: int = js.Schedule.coarsest
    """Shorter side, in pixels, below which a coarser size is left out."""
    style_weight: float = cast(float, js.LossWeights.style)
    """How much the style counts."""
    content_weight: float = cast(float, js.LossWeights.content)
    """How much the content counts."""
    tv_weight: float = cast(float, js.LossWeights.tv)
    """How much smoothness counts (total variation)."""
    content_layers: tuple[str, ...] = js.Objective.content_layers
    """Layers that carry the content."""
    style_layers: tuple[str, ...] = js.Objective.style_layers
    """Layers that carry the style; `image` is the palette."""
    encoder: str = _ENCODER_DEFAULTS["name"].default
    """auto, bundled, random, a file; or vgg19, vgg16, vgg19-torch, vgg16-torch, downloaded once."""
    pooling: vgg.Pooling | None = None
    """What stands between two blocks of the encoder; what it was trained with if left out."""
    padding: vgg.Padding = _ENCODER_DEFAULTS["padding"].default
    """What surrounds the pictures and features."""
    solver: Literal["lbfgs", "adam"] = "lbfgs"
    """How the image goes downhill."""
    init: str = _DEFAULTS["init"].default
    """content, matched (in the style's colours), style, noise, or a picture to start from."""
    seed: int = _DEFAULTS["seed"].default
    """Of everything random."""
    cache: Cache = None
    overwrite: Overwrite = False
    quiet: Quiet = False
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        self._check_numbers()
        files.check_output(self.output, overwrite=self.overwrite)
        content, style = files.load_picture(self.content), files.load_image(self.style)
        init = self._load_init()
        shape = self._shape("--size", content.image, self.size)
        style_shape = self._shape("--style-size", style, self.style_size or self.size)
        console = report.console(quiet=self.quiet)
        name = pretrained.resolve_encoder(self.encoder, self.cache)
        encoder = self._load_encoder(name, console)
        device = jax.devices()[0]
        console.print(f"device {device.device_kind}, size {shape[1]}×{shape[0]}")
        pictures = resize.resize(content.image, shape), resize.resize(style, style_shape)
        result = self._stylize(encoder, *pictures, init, console)
        if result.status == "non-finite":
            # Said even if quiet: the picture is not what was asked for.
            report.console().print(
                f"stopped after {len(result.terms.style)} iterations: the loss or its gradient is "
                "not finite; saving the last good image (smaller weights may help)"
            )
        path = files.save_image(
            self.output,
            result.image,
            alpha=None if content.alpha is None else _resize_alpha(content.alpha, shape),
            metadata=self._settings(name, encoder, result),
            overwrite=self.overwrite,
        )
        print(path)
        return 130 if result.status == "stopped" else 0

    def _stylize(
        self,
        encoder: js.Encoder,
        content: Image,
        style: Image,
        init: Init | Image,
        console: Console,
    ) -> js.Result:
        with report.RunBar(console) as bar:

            def show(progress: js.Progress) -> bool:
                bar.update(progress)
                return bar.interrupted

            return js.stylize(
                encoder,
                content,
                style,
                objective=js.Objective(self.content_layers, self.style_layers),
                loss_weights=js.LossWeights(self.content_weight, self.style_weight, self.tv_weight),
                solver=_SOLVERS[self.solver](),
                schedule=js.Schedule(
                    self.iterations, self.scales, self.coarse_iterations, self.coarsest
                ),
                init=init,
                seed=self.seed,
                callback=show,
            )

    def _check_numbers(self) -> None:
        for name in ("style_weight", "content_weight", "tv_weight"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{_option(name)} {value}: not a weight; give a number ≥ 0")
        least = {"size": MIN_SIDE, "style_size": MIN_SIDE, "scales": 1, "coarsest": MIN_SIDE}
        counts = (
            "size",
            "style_size",
            "iterations",
            "scales",
            "coarse_iterations",
            "coarsest",
            "seed",
        )
        for name in counts:
            value, minimum = getattr(self, name), least.get(name, 0)
            if value is not None and value < minimum:
                raise InputError(f"{_option(name)} {value}: too small; give at least {minimum}")
        if self.seed >= _SEEDS:
            raise InputError(f"--seed {self.seed}: too large; give less than {_SEEDS}")

    def _shape(self, option: str, image: Image, size: int) -> tuple[int, int]:
        shape = resize.fit(resize.shape_of(image), size)
        if min(shape) < MIN_SIDE:
            raise InputError(f"{option} {size}: the shorter side would be under {MIN_SIDE} px")
        return shape

    def _load_init(self) -> Init | Image:
        if self.init in get_args(Init):
            return cast(Init, self.init)
        if not os.path.exists(self.init):
            choices = ", ".join(get_args(Init))
            raise InputError(f"--init {self.init}: neither {choices} nor a file that exists")
        return files.load_image(self.init)

    def _load_encoder(self, name: str, console: Console) -> js.Encoder:
        encoder = pretrained.load_encoder(
            name,
            pooling=self.pooling,
            padding=self.padding,
            cache=self.cache,
            seed=self.seed,
            progress=None if self.quiet else report.DownloadBar(console),
        )
        vgg.truncate(encoder, (*self.content_layers, *self.style_layers))
        hint = _BETTER.get(name) if self.encoder == "auto" else None
        console.print(f"encoder {name}" + (f" ({hint})" if hint else ""))
        return encoder

    def _settings(self, name: str, encoder: js.Encoder, result: js.Result) -> dict[str, str]:
        """Everything that it takes to make the picture again; of files, the names only."""
        hidden = {"cache", "overwrite", "quiet", "debug", "output"}
        options = {k: v for k, v in dataclasses.asdict(self).items() if k not in hidden}
        names = {"init": Path(self.init).name, "encoder": Path(name).name}
        names |= {"content": self.content.name, "style": self.style.name}
        found = {
            "pooling": encoder.vgg.pooling,
            "style_size": self.style_size or self.size,
            "style_layer_weights": js.LossWeights().style_layers,
            "version": js.__version__,
            "encoder_sha256": pretrained.fingerprint(encoder),
            "evaluations": result.evaluations,
            "status": result.status,
        }
        return {k: _text(v) for k, v in (options | names | found).items()}


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _resize_alpha(alpha: jax.Array, shape: tuple[int, int]) -> jax.Array:
    return resize.resize(alpha[..., None], shape)[..., 0]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
