"""From the trained classifier to the encoder's file.

The batch normalisation is folded into the convolutions, every layer is rescaled to a mean
activation of 1, and the result is held against the classifier before it is written.
"""

import datetime
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxstyle as js
from jaxstyle.pretrained.store import Arrays, make_encoder

from .network import EPSILON, Classifier, variables_of
from .photographs import Batch


def fold(state, vgg: js.VGG) -> Arrays:
    """Kernel and bias of each convolution with the batch normalisation folded in, in float64."""
    folded = {}
    for name in vgg.layers:
        layer, stats = state["params"][name], state["batch_stats"][name]
        wide = {k: np.asarray(v, np.float64) for k, v in (*layer.items(), *stats.items())}
        factor = wide["scale"] / np.sqrt(wide["variance"] + EPSILON)
        bias = wide["bias"] - wide["mean"] * factor
        folded[name] = {"kernel": wide["kernel"] * factor, "bias": bias}
    return folded


def encode(encoder: js.Encoder, pixels: jax.Array) -> dict[str, jax.Array]:
    """Features of `uint8[n, h, w, 3]` by the library that will use the encoder."""
    names = encoder.vgg.layers
    return jax.vmap(lambda image: js.encode(encoder, image, names))(pixels / jnp.float32(255))


def rescale(folded: Arrays, vgg: js.VGG, batches: Iterable[Batch]) -> js.Encoder:
    """Every layer's mean activation becomes 1: exact, since the ReLU is positively homogeneous."""
    encoder = make_encoder(folded, vgg, "torch")
    means = jax.jit(lambda x: {k: v.mean((1, 2, 3)) for k, v in encode(encoder, x).items()})
    found = [jax.device_get(means(pixels)) for pixels, _ in batches]
    scaled, before = {}, 1.0
    for name, layer in folded.items():
        scale = 1 / np.concatenate([batch[name] for batch in found]).mean(dtype=np.float64)
        parts = {"kernel": layer["kernel"] * (scale / before), "bias": layer["bias"] * scale}
        # The file's precision, so that what is checked is what is written.
        scaled[name] = {part: value.astype(np.float16) for part, value in parts.items()}
        before = scale
    return make_encoder(scaled, vgg, "torch")


def check_encoder(model: Classifier, state, encoder: js.Encoder, pixels: np.ndarray) -> None:
    """The stored encoder must give the trained network's features, up to each layer's scale."""
    trained = model.apply(variables_of(state), pixels, False)[1]
    for name, features in encode(encoder, jnp.asarray(pixels)).items():
        a, b = (np.asarray(f, np.float64).ravel() for f in (trained[name], features))
        cosine = a @ b / np.sqrt((a @ a) * (b @ b))
        if not cosine > 0.9999:
            sys.exit(f"{name}: folding changed the features (cosine {cosine:.6f})")


def provenance(**facts: Any) -> dict[str, Any]:
    """The facts about a training, with the commit and the date."""
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        commit = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = "unknown"
    return facts | {"commit": commit, "date": datetime.date.today().isoformat()}
