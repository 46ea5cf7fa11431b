"""What the documents promise: files that exist, and a bundled encoder of our own."""

import re
from pathlib import Path

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxstyle as js
from jaxstyle.pretrained import bundled_file, read_attributes

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("weights/*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if "://" not in link:
            assert (page.parent / link.partition("#")[0]).exists(), f"{page.name}: {link}"


def test_pictures_are_small():
    for picture in (ROOT / "docs/examples").iterdir():
        assert picture.stat().st_size <= 300_000, picture.name


def test_bundled_encoder():
    path = bundled_file()
    assert path is not None
    assert path.stat().st_size <= 8_000_000
    with h5py.File(path) as file:
        kernel = file["conv1_1/kernel"]
        assert isinstance(kernel, h5py.Dataset)
        assert kernel.dtype == np.float16
    attributes = read_attributes(path)
    assert attributes["held_out_accuracy"] >= 0.8
    for name in ("command", "commit", "seed", "data", "attribution", "date", "licence"):
        assert name in attributes
    encoder = js.load_encoder("bundled")
    assert encoder.layers[-1] == "conv5_2"
    assert encoder.vgg.pooling == "average"


def test_bundled_encoder_sees_photographs_at_a_mean_of_1():
    """Roughly, on a picture that is none of the training's; a forgotten scale is far off."""
    encoder = js.load_encoder("bundled", padding="zeros")
    image = js.load_image(ROOT / "docs/examples/harbour.jpg", size=224)
    features = jax.jit(lambda x: js.encode(encoder, x, encoder.vgg.layers))(image)
    means = {name: float(jnp.mean(f)) for name, f in features.items()}
    assert all(0.3 < mean < 3 for mean in means.values()), means
