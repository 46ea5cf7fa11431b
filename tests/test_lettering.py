"""Text on contact sheets: characters that no font has, and long text."""

import pytest
from PIL import ImageFont

from jaxstyle.cli import lettering


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
