"""``quality``: what the precision of convolutions does to the default recipe's results."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar, get_args
from unittest import mock

import jax
import numpy as np

import jaxstyle as js
from jaxstyle.ops import convolution
from jaxstyle.ops.convolution import Precision

from .options import Measurement, Numbers
from .outcome import Row
from .pictures import example_pictures

_TF32_BITS = 10
_NUDGE = 1e-6
_RECIPE = js.Recipe()

loss_terms = jax.jit(js.loss_terms, static_argnums=4)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quality(Measurement):
    """Compare the losses that runs end at, computed in float32, and the images."""

    network: ClassVar[dict[str, Any]] = {"pooling": _RECIPE.pooling, "padding": _RECIPE.padding}
    sizes: Numbers = (256,)
    """The command's --size."""
    encoder: str = _RECIPE.encoder
    """The network's parameters, as of jaxstyle stylize."""
    iterations: int = _RECIPE.iterations
    """At the finest scale."""
    coarse_iterations: int = _RECIPE.coarse_iterations
    """At each coarser one."""
    nudges: int = 4
    """Runs from the photograph with a little noise: how far apart runs end by chance."""

    def measure(self, encoder: js.VGGEncoder) -> list[Row]:
        """Returns rows for every size and painting."""
        paintings = ("painting.jpg", "window.jpg")
        return [
            row for size in self.sizes for p in paintings for row in self._rows(encoder, size, p)
        ]

    def _rows(self, encoder: js.VGGEncoder, size: int, painting: str) -> list[Row]:
        recipe = dataclasses.replace(
            _RECIPE,
            size=size,
            iterations=self.iterations,
            coarse_iterations=self.coarse_iterations,
        )
        content, style = example_pictures(recipe, painting)
        objective, loss_weights = recipe.make_objective(), recipe.make_loss_weights()
        exact = at(encoder, "highest")
        targets = js.make_targets(content, style, exact, objective)

        def run(precision: Precision, start: jax.Array = content) -> jax.Array:
            options: dict[str, Any] = recipe.make_options() | {"init": start}
            with as_on_tensor_cores(precision):
                return js.stylize(content, style, at(encoder, precision), **options).image

        images = {p: run(p) for p in get_args(Precision)}
        for seed in range(self.nudges):
            noise = jax.random.normal(jax.random.key(seed), content.shape)
            images[f"highest, nudge {seed}"] = run("highest", content + _NUDGE * noise)
        rows: list[Row] = []
        for name, image in images.items():
            terms = loss_terms(image, targets, loss_weights, exact, objective)
            levels = 255 * np.abs(np.asarray(image - images["highest"]))
            row: Row = {"size": size, "painting": painting, "precision": name}
            row |= {k: float(v) for k, v in terms._asdict().items()} | {"loss": float(terms.loss)}
            rows.append(row | {"levels from highest": float(levels.mean())})
        return rows


def at(encoder: js.VGGEncoder, precision: Precision) -> js.VGGEncoder:
    """Returns the encoder with convolutions in some precision."""
    network = encoder.network.clone(precision=precision)
    return dataclasses.replace(encoder, network=network)


@contextlib.contextmanager
def as_on_tensor_cores(precision: Precision) -> Iterator[None]:
    """Rounds what convolutions multiply, where CPUs compute in float32 for tf32, too."""
    if precision != "tf32" or jax.default_backend() != "cpu":
        yield
        return
    convolve = convolution._convolve

    def rounded(
        x: Any, kernel: Any, pad: Any, precision: Any, transformed: Any = None
    ) -> jax.Array:
        x, kernel = (jax.lax.reduce_precision(a, 8, _TF32_BITS) for a in (x, kernel))
        return convolve(x, kernel, pad, precision)

    # Winograd's products would be of sums that tensor cores do not see.
    direct = mock.patch.object(convolution, "_takes_winograd", return_value=False)
    # What is traced meanwhile goes by the same names as what is not rounded.
    jax.clear_caches()
    with direct, mock.patch.object(convolution, "_convolve", rounded):
        yield
    jax.clear_caches()
