"""The documents: links lead to files, pictures are small, examples run."""

import re
from pathlib import Path

import pytest

from jaxstyle import cli

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("weights/*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if "://" not in link:
            assert (page.parent / link.partition("#")[0]).exists(), f"{page.name}: {link}"


def test_pictures_are_small():
    for picture in (ROOT / "docs/examples").iterdir():
        assert picture.stat().st_size <= 300_000, picture.name


def shortened(text):
    """Returns the examples of a page as one program with small pictures and a small network."""
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    code = re.sub(r"size=\d+", "size=32", code).replace("load_encoder()", 'load_encoder("random")')
    return re.sub(r"iterations=\d+", "iterations=2", code).replace('encoder="vgg16"', "seed=1")


@pytest.mark.parametrize(
    "page", ["README.md", "docs/extending.md", "docs/tutorial.md", "docs/perceptual.md"]
)
def test_examples_run(page, tmp_path, monkeypatch):
    code = shortened((ROOT / page).read_text(encoding="utf-8"))
    assert code.count("js.") > 4
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    exec(compile(code, page, "exec"), {"__name__": page})


def test_commands_in_readme_are_valid_and_write_different_files():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"^    (jaxstyle .*)$|`(jaxstyle \w+ .*?)`", text, re.MULTILINE)
    commands = ["".join(pair).split()[1:] for pair in found]
    commands = [words for words in commands if "-o" in words]
    assert len(commands) > 9
    for words in commands:
        if words[0] != "rerun":  # reads the result of the first command
            cli._parse(words)
    outputs = [words[words.index("-o") + 1] for words in commands]
    assert len(outputs) == len({*outputs})
