"""Train the small VGG encoder that jaxstyle bundles, from scratch, on a folder of class folders.

VGG19's layout up to conv5_2 at a fraction of its width, with batch normalisation after every
convolution and average pooling, learns to name the class of an image. Then the classifier is
dropped, the normalisation folded into the convolutions, and every layer rescaled to a mean
activation of 1.

The bundled encoder was trained on Caltech 101 (CaltechDATA, https://doi.org/10.22002/D1.20086,
CC BY 4.0): unpack it and give --data .../101_ObjectCategories. Any other folder of class folders,
such as ImageNet's train, works the same way.

A run that was stopped continues from its checkpoint with the same images in the same order.
"""

import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from flax import serialization

from jaxstyle.atomic import replacing
from jaxstyle.pretrained import save_encoder
from training.export import check_encoder, fold, provenance, rescale
from training.network import Classifier, narrow_vgg, variables_of
from training.photographs import Batch, Photographs

CALTECH_101 = (
    "Caltech 101 (Fei-Fei Li, Marco Andreetto, Marc'Aurelio Ranzato, Pietro Perona; Caltech, "
    "2003; CC BY 4.0; doi:10.22002/D1.20086)"
)


@dataclasses.dataclass(frozen=True)
class Config:
    """The options; each default is written here and nowhere else."""

    data: Path  # folder of class folders of images
    out: Path  # HDF5 file to write; the log (.jsonl) and the checkpoint lie beside it
    seed: int = 0  # of the initial parameters, the held-out split, the order and the crops
    width: float = 0.5  # multiplier of VGG's widths 64, 128, 256, 512, 512
    sizes: tuple[int, ...] = (48, 64, 96, 112)  # sides of the crops in pixels, stage by stage
    epochs: tuple[int, ...] = (10, 12, 6, 2)  # epochs of each stage
    batch_size: int = 64  # images a step
    peak_rate: float = 0.12  # of SGD with Nesterov momentum; short warm-up, then cosine to zero
    weight_decay: float = 5e-4  # of the kernels
    label_smoothing: float = 0.1  # share of the target spread over all classes
    crop_area: float = 0.35  # smallest part of an image's area that a crop may show
    held_out: int = 600  # images never trained on
    rescale_images: int = 512  # images over which the mean activations are measured
    rescale_size: int = 224  # their side in pixels
    checkpoint: Path | None = None  # default: OUT with the ending .checkpoint
    cache_gib: float = 4.0  # decoded images kept in memory; others are decoded each epoch
    threads: int = 2  # that decode, crop and resize
    name: str = "Caltech 101"  # of the data, for the file's provenance
    attribution: str = CALTECH_101  # of the data, for the file's provenance
    licence: str = "Apache-2.0"  # of the trained parameters

    def recipe(self) -> dict[str, Any]:
        """What decides the training: a checkpoint continues only under the same recipe."""
        keys = "seed width sizes epochs batch_size peak_rate weight_decay label_smoothing crop_area"
        return {key: getattr(self, key) for key in f"{keys} held_out".split()}

    def command(self) -> str:
        """The call that repeats the training."""
        words = ["scripts/train_encoder.py", "--data", self.data.name, "--out", self.out.name]
        for key, value in self.recipe().items():
            values = value if isinstance(value, tuple) else (value,)
            words += ["--" + key.replace("_", "-"), *map(str, values)]
        return " ".join(words)

    def check(self) -> None:
        """Say what is wrong with the options in one line, and exit."""
        if not self.sizes or len(self.sizes) != len(self.epochs) or min(self.epochs) < 1:
            sys.exit(f"--epochs {self.epochs}: needs a number from 1 for each of --sizes")
        if min(self.sizes) < 32:
            sys.exit(f"--sizes {self.sizes}: four poolings need crops of at least 32 pixels")
        for key in ("width", "batch_size", "held_out", "rescale_images", "threads"):
            if getattr(self, key) <= 0:
                option = key.replace("_", "-")
                sys.exit(f"--{option} {getattr(self, key)}: must be more than 0")
        if not 0 < self.crop_area <= 1:
            sys.exit(f"--crop-area {self.crop_area}: must lie in (0, 1]")


def make_optimiser(config: Config, steps: int) -> optax.GradientTransformation:
    warm_up = min(2 * steps // sum(config.epochs), steps // 2)
    peak = config.peak_rate
    rate = optax.warmup_cosine_decay_schedule(peak / 20, peak, warm_up, steps)
    decay = optax.add_decayed_weights(
        config.weight_decay, mask=lambda params: jax.tree.map(lambda p: p.ndim > 1, params)
    )
    return optax.chain(decay, optax.sgd(rate, momentum=0.9, nesterov=True))


def make_step(model: Classifier, optimiser: optax.GradientTransformation, smoothing: float):
    def loss(params, batch_stats, pixels, labels):
        variables = {"params": params, "batch_stats": batch_stats}
        (logits, _), updated = model.apply(variables, pixels, True, mutable=["batch_stats"])
        target = optax.smooth_labels(jax.nn.one_hot(labels, model.classes), smoothing)
        return optax.softmax_cross_entropy(logits, target).mean(), updated["batch_stats"]

    @jax.jit
    def step(state, pixels, labels):
        gradient = jax.value_and_grad(loss, has_aux=True)
        (value, stats), grads = gradient(state["params"], state["batch_stats"], pixels, labels)
        updates, optimiser_state = optimiser.update(grads, state["optimiser"], state["params"])
        params = optax.apply_updates(state["params"], updates)
        return {"params": params, "batch_stats": stats, "optimiser": optimiser_state}, value

    return step


def held_out_accuracy(
    config: Config, photographs: Photographs, indices: np.ndarray, predict, state, size: int
) -> float:
    """Share of the held-out images that are named rightly: centre squares, of the crops' size."""
    batches = photographs.centre_batches(indices, size, config.batch_size)
    right = [np.asarray(predict(state, pixels)).argmax(-1) == labels for pixels, labels in batches]
    return float(np.concatenate(right).mean())


def predictor(model: Classifier):
    return jax.jit(lambda state, pixels: model.apply(variables_of(state), pixels, False)[0])


def train_epoch(
    config: Config,
    batches: Iterable[Batch],
    count: int,
    step,
    state,
    title: str,
    left: Callable[[int], float],
):
    """The state after one epoch, the mean loss and the images a second; prints its progress.

    `left(i)` says how many batches of this epoch's size are left after its batch i, to the end of
    the whole run.
    """
    started, losses, speed = time.perf_counter(), [], 0.0
    for i, (pixels, labels) in enumerate(batches, 1):
        state, value = step(state, pixels, labels)
        losses.append(float(value))
        if not np.isfinite(losses[-1]):
            sys.exit(f"{title}: the loss is {losses[-1]}; lower --peak-rate {config.peak_rate}")
        if i == 1:  # the first step compiles
            started = time.perf_counter()
        elif i % 25 == 0 or i == count:
            speed = (i - 1) * config.batch_size / (time.perf_counter() - started)
            minutes = left(i) * config.batch_size / speed / 60
            progress = f"{title}, batch {i}/{count}: loss {np.mean(losses[-25:]):.3f}"
            print(f"{progress}, {speed:.0f} images/s, {minutes:.0f} min left", flush=True)
    return state, float(np.mean(losses)), speed


def save_checkpoint(path: Path, config: Config, state, history: list[dict[str, Any]]) -> None:
    record: dict[str, Any] = {"recipe": json.dumps(config.recipe()), "history": json.dumps(history)}
    record["state"] = serialization.to_state_dict(jax.device_get(state))
    data = serialization.msgpack_serialize(record)
    with replacing(path) as temporary:
        temporary.write_bytes(data)
    lines = "".join(json.dumps(entry) + "\n" for entry in history)
    log = config.out.with_suffix(".jsonl")
    with replacing(log) as temporary:
        temporary.write_text(lines)


def load_checkpoint(path: Path, config: Config, state) -> tuple[Any, list[dict[str, Any]]]:
    try:
        saved: Any = serialization.msgpack_restore(path.read_bytes())
        recipe = json.loads(saved["recipe"])
    except (ValueError, KeyError, TypeError) as error:
        sys.exit(f"{path}: not a checkpoint ({error}); remove it, or name another --checkpoint")
    if recipe != json.loads(json.dumps(config.recipe())):
        sys.exit(f"{path}: made with other options; remove it, or name another --checkpoint")
    return serialization.from_state_dict(state, saved["state"]), json.loads(saved["history"])


def train(config: Config, photographs: Photographs, training, held_out, model, state):
    """All epochs, from the checkpoint where there is one; the final state."""
    stages = zip(config.sizes, config.epochs, strict=True)
    schedule = [size for size, epochs in stages for _ in range(epochs)]
    count = len(training) // config.batch_size
    optimiser = make_optimiser(config, len(schedule) * count)
    state, history = state | {"optimiser": optimiser.init(state["params"])}, []
    checkpoint = config.checkpoint or config.out.with_suffix(".checkpoint")
    if checkpoint.exists():
        state, history = load_checkpoint(checkpoint, config, state)
        print(f"continuing after epoch {len(history)} from {checkpoint}", flush=True)
    step = make_step(model, optimiser, config.label_smoothing)
    predict = predictor(model)
    for epoch in range(len(history), len(schedule)):
        size, started = schedule[epoch], time.perf_counter()
        later = count * sum((s / size) ** 2 for s in schedule[epoch + 1 :])
        title = f"epoch {epoch + 1} of {len(schedule)}, {size} px"
        batches = photographs.crop_batches(
            training, size, config.batch_size, config.crop_area, [config.seed, epoch]
        )
        state, loss, speed = train_epoch(
            config, batches, count, step, state, title, lambda i, later=later: count - i + later
        )
        accuracy = held_out_accuracy(config, photographs, held_out, predict, state, size)
        entry = {"epoch": epoch + 1, "size": size, "loss": loss, "held_out_accuracy": accuracy}
        entry |= {"images_per_second": speed, "seconds": time.perf_counter() - started}
        history.append(entry)
        print(f"{title}: mean loss {loss:.3f}, held-out accuracy {accuracy:.3f}", flush=True)
        save_checkpoint(checkpoint, config, state, history)
    return state


def main(config: Config) -> None:
    """Train, fold, check, write."""
    config.check()
    photographs = Photographs(config.data, config.cache_gib, config.threads)
    order = np.random.default_rng(config.seed).permutation(len(photographs.paths))
    held_out, training = order[: config.held_out], order[config.held_out :]
    if len(training) < config.batch_size:
        sys.exit(f"--held-out {config.held_out}: too many, --data has {len(order)} images")
    config.out.parent.mkdir(parents=True, exist_ok=True)
    vgg = narrow_vgg(config.width)
    model = Classifier(vgg, len(photographs.classes))
    blank = jnp.zeros((1, 32, 32, 3), jnp.uint8)
    state = dict(jax.jit(model.init, static_argnums=2)(jax.random.key(config.seed), blank, False))
    state = train(config, photographs, training, held_out, model, state)
    batches = photographs.centre_batches(training[: config.rescale_images], config.rescale_size, 8)
    encoder = rescale(fold(state, vgg), vgg, batches)
    pixels = np.stack([photographs.centre(i, 128) for i in held_out[:16]])
    check_encoder(model, state, encoder, pixels)
    facts = provenance(
        command=config.command(),
        seed=config.seed,
        data=config.name,
        attribution=config.attribution,
        held_out_accuracy=held_out_accuracy(
            config, photographs, held_out, predictor(model), state, config.sizes[-1]
        ),
        licence=config.licence,
    )
    save_encoder(config.out, encoder, facts, dtype="float16")
    print(f"{config.out}: {config.out.stat().st_size / 1e6:.1f} MB")


def keep_freed_memory() -> None:
    # glibc returns large blocks to the system at once, and every step would fault its activations
    # in again, which halved the speed of the large layers. Read when a process starts: start again.
    wanted = {
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": str(2**40),
        "MALLOC_TOP_PAD_": str(2**28),
        "MALLOC_ARENA_MAX": "1",
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    }
    if sys.platform == "linux" and not wanted.keys() & os.environ.keys():
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | wanted)


if __name__ == "__main__":
    keep_freed_memory()
    main(tyro.cli(Config, description=__doc__))
