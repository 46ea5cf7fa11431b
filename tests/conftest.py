"""Fixtures of all tests. Shapes and types of the whole library are checked while they run."""

import atexit
import os
import shutil
import signal
import tempfile
from importlib.metadata import version

import jaxtyping

# A shell ignores Ctrl-C in the background, and its child processes inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Programs that run for milliseconds need not be fast; without these flags, compiling takes two
# thirds of the tests' time.
_QUICK = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
if version("jaxlib").startswith(("0.6.", "0.7.", "0.8.", "0.9.", "0.10.")):  # gone in 0.12
    _QUICK += " --xla_cpu_use_fusion_emitters=false"
# The other processes of pytest inherit it.
if _QUICK not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{_QUICK} {os.environ.get('XLA_FLAGS', '')}"

# Tests share compiled programs, also with the other processes of pytest, which inherit the folder.
# This process removes it.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp()
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)

jaxtyping.install_import_hook("jaxstyle", "beartype.beartype")

import jax  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

from jaxstyle.encoder.vgg import VGG  # noqa: E402
from jaxstyle.pretrained import random_encoder  # noqa: E402


@pytest.fixture(scope="session")
def encoder():
    """A narrow network of three blocks, which runs in milliseconds."""
    return random_encoder(VGG(depths=(2, 2, 1), widths=(6, 8, 10), pooling="average"))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def pictures(rng):
    """A content image and a style image of different sizes: smooth, with an edge."""

    def picture(h, w):
        y, x = np.mgrid[:h, :w]
        phase, k = rng.uniform(0, 6, 3), rng.uniform(0.1, 0.5, (2, 3))
        waves = 0.5 + 0.4 * np.sin(y[..., None] * k[0] + x[..., None] * k[1] + phase)
        return jax.numpy.asarray(np.where((x > w // 2)[..., None], waves, 1 - waves), "float32")

    return picture(36, 44), picture(40, 32)
