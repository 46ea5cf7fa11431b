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

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from flax import serialization
from jax import lax
from PIL import Image

import jaxstyle as js
from jaxstyle.pretrained import save_encoder

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PARTS = ("kernel", "bias")
BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 2))  # VGG19's widths and convolutions
EPSILON, STATISTICS_MOMENTUM = 1e-5, 0.9
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


# --- the network ----------------------------------------------------------------------------------


def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout)


@jax.custom_vjp
def convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """3×3 convolution, zero-padded, whose kernel gradient is a few matrix products."""
    return convolve(x, kernel)


def kernel_gradient(x: jax.Array, g: jax.Array) -> jax.Array:
    # XLA's CPU backend is slow at the convolution that autodiff emits here. Three matrix products
    # over shifted rows, on chunks of the batch that stay in the cache, take half to two thirds of
    # its time; looped over in a scan they lose.
    n, h, w, c = x.shape
    chunk = max(1, 32768 // (h * w))

    def part(x: jax.Array, g: jax.Array) -> jax.Array:
        padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        columns = jnp.concatenate([padded[:, :, j : j + w] for j in range(3)], -1)
        flat = g.reshape(-1, g.shape[-1])
        return jnp.stack([columns[:, i : i + h].reshape(-1, 3 * c).T @ flat for i in range(3)])

    total = sum(part(x[i : i + chunk], g[i : i + chunk]) for i in range(0, n, chunk))
    return jnp.asarray(total).reshape(3, 3, c, -1)


def _convolution_forward(x, kernel):
    return convolve(x, kernel), (x, kernel)


def _convolution_backward(saved, g):
    x, kernel = saved
    return convolve(g, kernel[::-1, ::-1].swapaxes(2, 3)), kernel_gradient(x, g)


convolution.defvjp(_convolution_forward, _convolution_backward)


def channel_sum(x: jax.Array) -> jax.Array:
    return x.sum(2).sum((0, 1))


@jax.custom_vjp
def normalise_relu(z: jax.Array, scale: jax.Array, bias: jax.Array):
    """ReLU of the batch normalisation, with the batch's mean and variance; two passes each way."""
    return _normalise_forward(z, scale, bias)[0]


def _normalise_forward(z, scale, bias):
    count = z.size / z.shape[-1]
    mean = channel_sum(z) / count
    variance = jnp.maximum(channel_sum(z * z) / count - mean**2, 0)
    inverse = lax.rsqrt(variance + EPSILON)
    y = nn.relu((z - mean) * (inverse * scale) + bias)
    return (y, mean, variance), (z, scale, bias, mean, inverse)


def _normalise_backward(saved, cotangents):
    z, scale, bias, mean, inverse = saved
    normalised = (z - mean) * inverse
    g = jnp.where(normalised * scale + bias > 0, cotangents[0], 0)
    count = z.size / z.shape[-1]
    d_bias, d_scale = channel_sum(g), channel_sum(g * normalised)
    return scale * inverse * (g - d_bias / count - normalised * (d_scale / count)), d_scale, d_bias


normalise_relu.defvjp(_normalise_forward, _normalise_backward)


def average_pool(x: jax.Array) -> jax.Array:
    n, h, w, c = x.shape
    return x[:, : h // 2 * 2, : w // 2 * 2].reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4))


class Layer(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    width: int

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Normalise with the batch's statistics to train, else with the running ones."""
        kernel = self.param("kernel", nn.initializers.he_normal(), (3, 3, x.shape[-1], self.width))
        scale = self.param("scale", nn.initializers.ones, (self.width,))
        bias = self.param("bias", nn.initializers.zeros, (self.width,))
        mean = self.variable("batch_stats", "mean", jnp.zeros, (self.width,))
        variance = self.variable("batch_stats", "variance", jnp.ones, (self.width,))
        z = convolution(x, kernel)
        if not train:
            return nn.relu((z - mean.value) * (lax.rsqrt(variance.value + EPSILON) * scale) + bias)
        y, *now = normalise_relu(z, scale, bias)
        for kept, new in zip((mean, variance), now, strict=True):
            kept.value = STATISTICS_MOMENTUM * kept.value + (1 - STATISTICS_MOMENTUM) * new
        return y


def layer_widths(width: float) -> list[tuple[str, int]]:
    return [
        (f"conv{b}_{i + 1}", round(channels * width))
        for b, (channels, count) in enumerate(BLOCKS, 1)
        for i in range(count)
    ]


def normalise_pixels(pixels: jax.Array) -> jax.Array:
    return (pixels.astype(jnp.float32) / 255 - jnp.array(MEAN)) / jnp.array(STD)


class Classifier(nn.Module):
    """The encoder, global average pooling and a linear layer."""

    width: float
    classes: int

    @nn.compact
    def __call__(self, pixels: jax.Array, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Logits and features of `uint8[n, h, w, 3]`."""
        x, features = normalise_pixels(pixels), {}
        for name, width in layer_widths(self.width):
            if name.endswith("_1") and features:
                x = average_pool(x)
            x = features[name] = Layer(width, name=name)(x, train)
        return nn.Dense(self.classes, name="head")(x.mean((1, 2))), features


# --- the photographs ------------------------------------------------------------------------------


def cut(image: Image.Image, size: int, box: tuple[float, float, float, float]) -> np.ndarray:
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box))


class Photographs:
    """Images of class folders, decoded when first needed, kept while the memory limit allows."""

    def __init__(self, folder: Path, cache_gib: float):
        folders = folder.iterdir() if folder.is_dir() else ()
        self.classes = sorted(p.name for p in folders if p.is_dir())
        endings = {".jpg", ".jpeg", ".png", ".webp"}
        found = [
            (path, label)
            for label, name in enumerate(self.classes)
            for path in sorted((folder / name).rglob("*"))
            if path.suffix.lower() in endings
        ]
        if len(self.classes) < 2 or not found:
            sys.exit(f"--data {folder}: needs a folder of images for each of two or more classes")
        self.paths = [path for path, _ in found]
        self.labels = np.array([label for _, label in found], np.int32)
        self.cache: dict[int, Image.Image] = {}
        self.room = cache_gib * 2**30

    def image(self, index: int) -> Image.Image:
        """The whole image, in RGB."""
        if index in self.cache:
            return self.cache[index]
        try:
            with Image.open(self.paths[index]) as file:
                file.draft("RGB", (256, 256))  # large JPEGs are decoded at the scale that is needed
                image = file.convert("RGB")
        except OSError as error:
            sys.exit(f"{self.paths[index]}: not a readable image ({error}); repair or remove it")
        size = image.width * image.height * 4  # Pillow keeps four bytes a pixel
        if size <= self.room:
            self.room -= size
            self.cache[index] = image
        return image

    def centre(self, index: int, size: int) -> np.ndarray:
        """The largest square in the middle, resized."""
        image = self.image(index)
        side = min(image.size)
        x, y = (image.width - side) / 2, (image.height - side) / 2
        return cut(image, size, (x, y, x + side, y + side))

    def crop(self, index: int, size: int, smallest: float, rng: np.random.Generator) -> np.ndarray:
        """A random rectangle, resized to a square, mirrored half the time."""
        image = self.image(index)
        area = rng.uniform(smallest, 1) * image.width * image.height
        ratio = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        w, h = min(np.sqrt(area * ratio), image.width), min(np.sqrt(area / ratio), image.height)
        x, y = rng.uniform(0, image.width - w), rng.uniform(0, image.height - h)
        pixels = cut(image, size, (x, y, x + w, y + h))
        return pixels[:, ::-1] if rng.random() < 0.5 else pixels


def prefetch(make: Callable[[int], Any], count: int, threads: int) -> Iterator[Any]:
    """`make(0), make(1), …` in order, a few ahead in background threads."""
    with ThreadPoolExecutor(threads) as pool:
        ahead = [pool.submit(make, i) for i in range(min(count, threads + 2))]
        for i in range(count):
            result = ahead.pop(0).result()
            if i + threads + 2 < count:
                ahead.append(pool.submit(make, i + threads + 2))
            yield result


def training_batches(config: Config, photographs: Photographs, indices, epoch: int, size: int):
    # Everything random follows from (seed, epoch, image), so that a resumed run sees the same data.
    order = np.random.default_rng([config.seed, epoch]).permutation(indices)

    def make(batch: int):
        chosen = order[batch * config.batch_size :][: config.batch_size]
        rngs = (np.random.default_rng([config.seed, epoch, int(i)]) for i in chosen)
        crops = [photographs.crop(i, size, config.crop_area, next(rngs)) for i in chosen]
        return np.stack(crops), photographs.labels[chosen]

    return prefetch(make, len(indices) // config.batch_size, config.threads)


def centre_batches(photographs: Photographs, indices, size: int, batch_size: int, threads: int):
    def make(batch: int):
        chosen = indices[batch * batch_size :][:batch_size]
        return np.stack([photographs.centre(i, size) for i in chosen]), photographs.labels[chosen]

    return prefetch(make, -(-len(indices) // batch_size), threads)


# --- training -------------------------------------------------------------------------------------


def make_optimiser(config: Config, steps: int) -> optax.GradientTransformation:
    warm_up = min(2 * steps // sum(config.epochs), steps // 2)
    peak = config.peak_rate
    rate = optax.warmup_cosine_decay_schedule(peak / 20, peak, warm_up, steps)
    decay = optax.add_decayed_weights(
        config.weight_decay, mask=lambda params: jax.tree.map(lambda p: p.ndim > 1, params)
    )
    return optax.chain(decay, optax.sgd(rate, momentum=0.9, nesterov=True))


def variables_of(state) -> dict[str, Any]:
    return {key: state[key] for key in ("params", "batch_stats")}


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


def held_out_accuracy(config, photographs, indices, predict, state, size: int) -> float:
    # Random crops show objects larger than centre crops do; a larger image makes up for it.
    side = round(size * 8 / 7)
    batches = centre_batches(photographs, indices, side, config.batch_size, config.threads)
    right = [np.asarray(predict(state, pixels)).argmax(-1) == labels for pixels, labels in batches]
    return float(np.concatenate(right).mean())


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def train_epoch(config, batches, count: int, step, state, title: str, left: Callable[[int], float]):
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
    write_atomically(path, lambda temporary: temporary.write_bytes(data))
    lines = "".join(json.dumps(entry) + "\n" for entry in history)
    log = config.out.with_suffix(".jsonl")
    write_atomically(log, lambda temporary: temporary.write_text(lines))


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
    """All epochs, from the checkpoint where there is one; the final state and the history."""
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
    predict = jax.jit(lambda state, pixels: model.apply(variables_of(state), pixels, False)[0])
    for epoch in range(len(history), len(schedule)):
        size, started = schedule[epoch], time.perf_counter()
        later = count * sum((s / size) ** 2 for s in schedule[epoch + 1 :])
        title = f"epoch {epoch + 1} of {len(schedule)}, {size} px"
        batches = training_batches(config, photographs, training, epoch, size)
        state, loss, speed = train_epoch(
            config, batches, count, step, state, title, lambda i, later=later: count - i + later
        )
        accuracy = held_out_accuracy(config, photographs, held_out, predict, state, size)
        entry = {"epoch": epoch + 1, "size": size, "loss": loss, "held_out_accuracy": accuracy}
        entry |= {"images_per_second": speed, "seconds": time.perf_counter() - started}
        history.append(entry)
        print(f"{title}: mean loss {loss:.3f}, held-out accuracy {accuracy:.3f}", flush=True)
        save_checkpoint(checkpoint, config, state, history)
    return state, history


# --- the encoder's file ---------------------------------------------------------------------------


def fold(state, names: Sequence[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Kernel and bias of each convolution with the batch normalisation folded in, in float64."""
    folded = {}
    for name in names:
        layer, stats = state["params"][name], state["batch_stats"][name]
        wide = {k: np.asarray(v, np.float64) for k, v in (*layer.items(), *stats.items())}
        factor = wide["scale"] / np.sqrt(wide["variance"] + EPSILON)
        folded[name] = wide["kernel"] * factor, wide["bias"] - wide["mean"] * factor
    return folded


def as_encoder(
    folded: dict[str, tuple[np.ndarray, np.ndarray]], dtype: str = "float32"
) -> js.Encoder:
    params = {
        name: {k: jnp.asarray(v.astype(dtype), jnp.float32) for k, v in zip(PARTS, pair)}
        for name, pair in folded.items()
    }
    widths = tuple(folded[f"conv{b}_1"][1].size for b in range(1, len(BLOCKS) + 1))
    vgg = js.VGG(tuple(count for _, count in BLOCKS), widths, "average")
    return js.Encoder(params, vgg, "torch")


def encode(encoder: js.Encoder, pixels: jax.Array) -> dict[str, jax.Array]:
    """Features of `uint8[n, h, w, 3]` by the library that will use the encoder."""
    names = encoder.vgg.layers
    return jax.vmap(lambda image: js.encode(encoder, image, names))(pixels / jnp.float32(255))


def rescale(config: Config, photographs: Photographs, indices, folded):
    """Every layer's mean activation becomes 1: exact, since the ReLU is positively homogeneous."""
    chosen, size = indices[: config.rescale_images], config.rescale_size
    encoder = as_encoder(folded)
    means = jax.jit(lambda x: {k: v.mean((1, 2, 3)) for k, v in encode(encoder, x).items()})
    batches = centre_batches(photographs, chosen, size, 8, config.threads)
    found = [jax.device_get(means(pixels)) for pixels, _ in batches]
    scaled, before = {}, 1.0
    for name, (kernel, bias) in folded.items():
        scale = 1 / np.concatenate([batch[name] for batch in found]).mean(dtype=np.float64)
        scaled[name] = kernel * (scale / before), bias * scale
        before = scale
    return as_encoder(scaled, "float16")


def check_encoder(model: Classifier, state, encoder: js.Encoder, pixels: np.ndarray) -> None:
    """The stored encoder must give the trained network's features, up to each layer's scale."""
    trained = model.apply(variables_of(state), pixels, False)[1]
    for name, features in encode(encoder, jnp.asarray(pixels)).items():
        a, b = (np.asarray(f, np.float64).ravel() for f in (trained[name], features))
        cosine = a @ b / np.sqrt((a @ a) * (b @ b))
        if not cosine > 0.9999:
            sys.exit(f"{name}: folding changed the features (cosine {cosine:.6f})")


def provenance_of(config: Config, accuracy: float) -> dict[str, Any]:
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        commit = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = "unknown"
    words = ["scripts/train_encoder.py", "--data", config.data.name, "--out", config.out.name]
    for key, value in config.recipe().items():
        values = value if isinstance(value, tuple) else (value,)
        words += ["--" + key.replace("_", "-"), *map(str, values)]
    return {
        "command": " ".join(words),
        "commit": commit,
        "seed": config.seed,
        "data": config.name,
        "attribution": config.attribution,
        "held_out_accuracy": accuracy,
        "date": datetime.date.today().isoformat(),
        "licence": config.licence,
    }


def main(config: Config) -> None:
    """Train, fold, check, write."""
    config.check()
    photographs = Photographs(config.data, config.cache_gib)
    order = np.random.default_rng(config.seed).permutation(len(photographs.paths))
    held_out, training = order[: config.held_out], order[config.held_out :]
    if len(training) < config.batch_size:
        sys.exit(f"--held-out {config.held_out}: too many, --data has {len(order)} images")
    config.out.parent.mkdir(parents=True, exist_ok=True)
    model = Classifier(config.width, len(photographs.classes))
    blank = jnp.zeros((1, 32, 32, 3), jnp.uint8)
    state = dict(jax.jit(model.init, static_argnums=2)(jax.random.key(config.seed), blank, False))
    state, history = train(config, photographs, training, held_out, model, state)
    folded = fold(state, [name for name, _ in layer_widths(config.width)])
    encoder = rescale(config, photographs, training, folded)
    pixels = np.stack([photographs.centre(i, 128) for i in held_out[:16]])
    check_encoder(model, state, encoder, pixels)
    provenance = provenance_of(config, history[-1]["held_out_accuracy"])
    save_encoder(config.out, encoder, provenance, dtype="float16")
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
