"""Untrusted text, such as file names, is printed without control characters."""

import io
import os
from pathlib import Path

import pytest
from rich.console import Console

import command
from command import QUICK, check_refused, stylize
from jaxstyle import cli, pretrained
from jaxstyle.cli import report

folder = command.folder

NASTY = "x[/]:smile:\x1b[2J\a\u202e\n.h5"
ESCAPED = r"x[/]:smile:\x1b[2J\x07\u202e\n.h5"


def check_printed(printed):
    assert all(c.isprintable() or c == "\n" for c in printed), printed


@pytest.mark.parametrize("by", ["option", "file"])
def test_names_of_files(folder, capsys, by):
    Path("x[").mkdir()
    Path("narrow.h5").rename(NASTY)
    Path("mine.toml").write_text(
        f'encoder = "{ESCAPED}"'.replace(r"\x1b", r"\u001b").replace(r"\x07", r"\u0007")
    )
    chosen = ["--encoder", NASTY] if by == "option" else ["--config", "mine.toml"]
    words = ["stylize", "photo.png", "painting.png", *QUICK, "--no-compile-cache", *chosen]
    assert cli.main([*words, "-o", "out.png"]) == 0
    printed = capsys.readouterr().err
    assert f"encoder {ESCAPED}\n" in printed
    check_printed(printed)
    with pytest.raises(SystemExit):
        cli.main([*words, "--help"])
    check_printed(capsys.readouterr().out)
    # Other programs read the unchanged name.
    assert cli.main([*words, "-o", "a\x1b.png"]) == 0
    assert capsys.readouterr().out == "a\x1b.png\n"


def test_a_result_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    report.print_path(Path("a\x1b.png"))
    assert capsys.readouterr().out == "a\\x1b.png\n"


def test_results_in_a_file_below_a_bar_on_a_terminal(capsys):
    with report.Bar(Console(file=io.StringIO(), force_terminal=True)):
        report.print_path(Path("a.png"))
    assert capsys.readouterr().out == "a.png\n"


def test_attributes_of_a_file(folder, capsys, encoder):
    pretrained.save_encoder("a.h5", encoder, {"no\x1bte": NASTY, "long": "x" * 9999})
    assert cli.main(["weights", "verify", "a.h5"]) == 0
    printed = capsys.readouterr().out
    check_printed(printed)
    assert rf"no\x1bte: {ESCAPED}" in printed
    assert max(map(len, printed.splitlines())) < 1100


def test_tables(capsys):
    report.print_table([("[red]a[/]", "b\x1b[2J"), ("日本", "c")], ("one", "two"))
    rows = capsys.readouterr().out.splitlines()
    assert [row.split() for row in rows] == [
        ["one", "two"], ["[red]a[/]", r"b\x1b[2J"], ["日本", "c"],
    ]  # fmt: skip


@pytest.mark.parametrize("option", ["--encoder", "--solver", "--frobnicate"])
@pytest.mark.parametrize("value", [NASTY, "x" * 2000])
def test_values_of_options(folder, capsys, option, value):
    check_refused(capsys, folder, stylize(f"{option}={value}"))
    code = stylize(f"{option}={value}")
    printed = capsys.readouterr().err
    check_printed(printed)
    assert (code, len(printed) < 1100) == (2, True)


@pytest.mark.parametrize(("text", "needle"), [
    ("a = " + "[" * 5000 + "]" * 5000, "nested"),
    ("style_weight = " + "9" * 400, "style_weight"),
    ("style_layers = {image = " + "9" * 400 + "}", "style_layers"),
    ("seed = " + "9" * 400, "seed"),
    ("seed = " + "9" * 5000, "digits"),
    ('"' + "k" * 10_000 + '" = 1', "no such setting"),
    ('"\\u001b[2J" = 1', r"\x1b[2J"),
    ('preset = "\\u001b[2J"', r"\x1b[2J"),
    ("#" * (1 << 20) + "\n", "too large"),
], ids=lambda text: text[:12])  # fmt: skip
def test_invalid_settings(folder, capsys, text, needle):
    Path("mine.toml").write_text(text)
    check_refused(capsys, folder, stylize("--config", "mine.toml"), "mine.toml", needle)
    stylize("--config", "mine.toml")
    printed = capsys.readouterr().err
    check_printed(printed)
    assert len(printed) < 1100


@pytest.mark.parametrize("name", ["pipe", "/dev/zero", "."])
def test_settings_that_are_not_a_file(folder, capsys, name):
    os.mkfifo("pipe")
    check_refused(capsys, folder, stylize("--config", name), name, "not a regular file")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--size", "65537"), ("--history", "1001"), ("--style-scale", "65"),
        ("--iterations", "9" * 400),
    ],
)  # fmt: skip
def test_numbers_that_are_too_large(folder, capsys, option, value):
    check_refused(capsys, folder, stylize(option, value), option, "at most")


def test_a_painting_that_is_too_large(folder, capsys):
    code = stylize("--size", "40000x40", "--style-scale", "2")
    check_refused(capsys, folder, code, "--style-scale 2", "65536")
