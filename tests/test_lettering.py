"""Contact sheets: layout, characters without a font, and long text."""

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import ImageFont

from jaxstyle.cli import lettering
from jaxstyle.cli.contact_sheet import make_sheet


def test_characters_without_a_font_are_escaped(monkeypatch):
    monkeypatch.setattr(lettering, "system_fonts", lambda size: [])
    text, _ = lettering.lettering("a 日.jpg", 14)
    assert text == r"a \u65e5.jpg"


def test_a_system_font_replaces_missing_characters(monkeypatch):
    try:
        other = ImageFont.truetype("DejaVuSans.ttf", 14)
    except OSError:
        pytest.skip("no DejaVu Sans")
    monkeypatch.setattr(lettering, "system_fonts", lambda size: [other])
    assert lettering.lettering("ℵ.jpg", 14) == ("ℵ.jpg", other)


@pytest.mark.parametrize("text", ["one two three four five " * 9, "x" * 200, ""])
def test_text_fits_a_width(text):
    lines, font = lettering.wrapped(text, 14, 120)
    assert max(map(font.getlength, lines)) <= 120
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    short, font = lettering.fitting(text, 14, 120)
    assert font.getlength(short) <= 120
    assert text.startswith(short.removesuffix("…"))


@pytest.mark.parametrize("labels", [["12345"], ["12", "abc"]])
@pytest.mark.parametrize("caption", [[], ["content 0.5", "style 2", "a long caption " * 9]])
def test_sheet_shows_every_picture_completely(labels, caption):
    count = np.prod([len(values) for values in labels])
    colours = [(255, 10 * i, 0) for i in range(count)]
    images = [jnp.full((20, 30, 3), jnp.array(colour) / 255) for colour in colours]
    captions = [caption] * count if caption else []
    sheet = np.rint(255 * np.asarray(make_sheet(images, captions, "title", labels)))
    assert [(sheet == colour).all(-1).sum() for colour in colours] == [20 * 30] * count
