"""``--help``, suggestions, and shell completion."""

import re
import shutil
import subprocess

import pytest

from jaxstyle import cli
from jaxstyle.cli import usage

COMMANDS = {(name,): kind for name, kind in cli.COMMANDS.items()} | {
    (outer, inner): kind
    for outer, command in cli.COMMANDS.items()
    for inner, kind in usage.subcommands_of(command).items()
}


def help_of(capsys, *words):
    with pytest.raises(SystemExit):
        cli.main([*words, "--help"])
    return capsys.readouterr().out


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_has_every_option_once_with_a_text(capsys, monkeypatch, words):
    monkeypatch.setenv("COLUMNS", "120")
    shown = help_of(capsys, *words)
    squashed = " ".join(re.sub(r"[│|]", " ", shown).split())
    for option in usage.options_of(COMMANDS[words]):
        assert option.help, option.name
        assert " ".join(option.help.replace("|", " ").split()) in squashed
        for flag in option.flags if usage.Positional not in option.metadata else []:
            rows = re.findall(rf"^. (?:-o PATH, )?(?:\S+, )?{flag}[ ,]", shown, re.M)
            assert len(rows) == 1, flag
    assert not re.search(r"None|default: (True|False)", shown)


def test_options_are_in_groups(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    shown = help_of(capsys, "stylize")
    groups = re.findall(r"(\w+) options \W", shown)
    assert groups == ["result", "strength", "size", "regions", "watching", "machine", "expert"]
    strength = shown.partition("strength options")[2].partition("size options")[0]
    assert "--style-weight" in strength
    assert "--solver" not in strength


def test_help_of_the_program(capsys):
    shown = help_of(capsys)
    assert "--version" in shown
    assert all(f" {name} " in shown for name in cli.COMMANDS)


@pytest.mark.parametrize(("words", "needle"), [
    (["stylise", "a.jpg"], "perhaps stylize"),
    (["help"], "perhaps --help"),
    (["stylize", "a", "b", "-o", "c.png", "--stile-weight", "3"], "perhaps --style-weight"),
    (["stylize", "a", "b", "-o", "c.png", "--overwrit"], "perhaps --overwrite"),
    (["doctor", "--jsn"], "perhaps --json"),
])  # fmt: skip
def test_misspelled_words_have_a_suggestion(capsys, words, needle):
    assert cli.main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert needle in line


# --- Shell completion -----------------------------------------------------------------------------

CASES = [
    ("sty", {"stylize", "styles"}),
    ("stylize pho", {"photo.png"}),
    ("stylize photo.png pai", {"painting.png"}),
    ("stylize photo.png painting.png --style-w", {"--style-weight"}),
    ("stylize --solver a", {"adam"}),
    ("stylize --preset gat", {"gatys"}),
    ("stylize photo.png --encoder vgg16-", {"vgg16-torch"}),
    ("stylize photo.png --content-mask pho", {"photo.png"}),
    ("weights con", {"convert"}),
    ("weights convert pho", {"photo.png"}),
]


@pytest.fixture
def script(tmp_path, monkeypatch, capsys):
    """Returns a function that writes the script of a shell, beside two pictures."""
    monkeypatch.chdir(tmp_path)
    for name in ("photo.png", "painting.png"):
        (tmp_path / name).touch()

    def write(shell):
        if not shutil.which(shell):
            pytest.skip(f"no {shell}")
        assert cli.main(["completion", shell]) == 0
        (tmp_path / "script").write_text(capsys.readouterr().out)

    return write


def test_bash_completes(script):
    script("bash")
    lines = ["source ./script"]
    for words, _ in CASES:
        count = len(words.split())
        lines += [f"COMP_WORDS=(jaxstyle {words}); COMP_CWORD={count}; COMPREPLY=()"]
        lines += [
            "$(complete -p jaxstyle | sed 's/.*-F \\([^ ]*\\).*/\\1/')",
            'echo "${COMPREPLY[@]}"',
        ]
    command = ["bash", "--norc", "-c", "\n".join(lines)]
    found = subprocess.check_output(command, text=True).splitlines()
    assert [set(line.split()) for line in found] == [wanted for _, wanted in CASES]


def test_fish_completes(script):
    script("fish")
    for words, wanted in CASES:
        code = f"source ./script; complete -C 'jaxstyle {words}'"
        found = subprocess.check_output(["fish", "--no-config", "-c", code], text=True)
        assert {line.partition("\t")[0] for line in found.splitlines()} == wanted, words


def test_zsh_reads_its_script(script):
    script("zsh")
    subprocess.run(["zsh", "-n", "./script"], check=True)
