"""Judge an encoder by the eyes of another: does what it paints look like the style to a third?

For pairs of crops a picture is painted twice, with the encoder and with the random one. Both
results, and the content they started from, are then measured by the style term of judges that took
no part in the painting: an encoder trained from another seed, and the random network of another
seed. The table shows the style term relative to the content's; less is nearer to the style.

    python scripts/judge_encoder.py --judge judge.h5 --contents photo.jpg --styles painting.jpg
"""

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import jax
import jax.numpy as jnp
import tyro
from rich.console import Console
from rich.table import Table

import jaxstyle as js
from jaxstyle.resize import scale_to

LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")


@dataclasses.dataclass(frozen=True)
class Judgement:
    """Judge an encoder by the eyes of another."""

    judge: Path
    """Encoder file that took no part in the painting."""
    contents: tuple[Path, ...]
    """Photographs to cut the contents from."""
    styles: tuple[Path, ...]
    """Paintings to cut the styles from."""
    encoder: str = "bundled"
    """The encoder to judge."""
    pairs: int = 20
    """How many pairs."""
    size: int = 128
    """Side of the crops in pixels."""
    iterations: int = 60
    """Solver iterations."""
    seed: int = 0
    """Of the choice of crops."""
    out: Path | None = None
    """Markdown file to write the table to."""


def pairs(options: Judgement) -> Iterator[tuple[str, jax.Array, jax.Array]]:
    """Square crops, drawn at random, of every content with every style in turn."""
    files = list(itertools.product(options.contents, options.styles))
    for i in range(options.pairs):
        corners = jax.random.split(jax.random.fold_in(jax.random.key(options.seed), i))
        pair = files[i % len(files)]
        content, style = (
            crop(js.load_image(file, 4 * options.size), corner, options.size)
            for file, corner in zip(pair, corners, strict=True)
        )
        yield ", ".join(file.stem for file in pair), content, style


def crop(image: jax.Array, key: jax.Array, size: int) -> jax.Array:
    """A square of twice the side, at half the resolution: enough of a picture to have a style."""
    limits = jnp.array(image.shape[:2]) - 2 * size
    y, x = jax.random.randint(key, (2,), 0, jnp.maximum(limits, 0) + 1).tolist()
    return scale_to(image[y : y + 2 * size, x : x + 2 * size], size)


def style_term(judge: js.Encoder, image: jax.Array, style: jax.Array) -> float:
    objective = js.Objective((), LAYERS)
    targets = js.make_targets(image, style, judge, objective)
    weights = js.LossWeights(style=1.0, style_layers={})
    return float(js.loss_terms(image, targets, weights, judge, objective).style)


def main() -> None:
    options = tyro.cli(Judgement)
    painters = {"encoder": js.load_encoder(options.encoder), "random": js.load_encoder("random")}
    judges = {
        "trained": js.load_encoder(str(options.judge)),
        "random": js.load_encoder("random", seed=1),
    }
    schedule = js.Schedule(iterations=options.iterations, scales=1)
    columns = [f"{painter}, judged by {judge}" for judge in judges for painter in painters]
    rows = []
    for names, content, style in pairs(options):
        painted = {
            name: js.stylize(encoder, content, style, schedule=schedule).image
            for name, encoder in painters.items()
        }
        scores = [
            style_term(judge, painted[painter], style) / style_term(judge, content, style)
            for judge in judges.values()
            for painter in painters
        ]
        rows.append((names, scores))
        print(names, *(f"{score:.3f}" for score in scores), flush=True)
    rows.append(("median", [median(s[k] for _, s in rows) for k in range(len(columns))]))
    table = Table("content, style", *columns)
    for names, scores in rows:
        table.add_row(names, *(f"{score:.3f}" for score in scores))
    Console(width=160).print(table)
    better = sum(s[0] < s[1] for _, s in rows[:-1])
    print(
        f"nearer to the style than with random, by the trained judge: {better} of {options.pairs}"
    )
    if options.out:
        lines = [f"| content, style | {' | '.join(columns)} |", "| --- " * (len(columns) + 1) + "|"]
        lines += [f"| {n} | {' | '.join(f'{s:.3f}' for s in scores)} |" for n, scores in rows]
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
