"""What the command tells of its surroundings, to people, to shells and to programs."""

import json
import os
import shutil
import subprocess
import sys

import pytest

import command
import jaxstyle as js
from command import ENCODER, QUICK, stylize
from jaxstyle import cli
from jaxstyle.cli import doctor

folder = command.folder


def answer_of(capsys):
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    return json.loads(out)


def test_doctor_finds_all_well_and_clears(folder, capsys):
    (folder / "cache/compiled").mkdir(parents=True)
    (folder / "cache/compiled/a-cache").write_bytes(b"0" * 2_000_000)
    (folder / "cache/vgg19.h5").write_bytes(b"0" * 3_000_000)
    assert cli.main(["doctor", "--json"]) == 0
    rows = {row["what"]: row["is"] for row in answer_of(capsys)["rows"]}
    assert rows["jaxstyle"] == js.__version__
    assert (rows["kept programs"], rows["downloads"]) == ("2.0 MB", "3.0 MB")
    assert rows["encoder vgg16"] == rows["encoder vgg19"] == "here"
    assert "weights download vgg16-torch" in rows["encoder vgg16-torch"]
    assert rows["self-test"].startswith("paints, and derivatives hold")
    cli.main(["doctor", "--clear"])
    assert not (folder / "cache/compiled/a-cache").exists()
    assert (folder / "cache/vgg19.h5").exists()


def test_doctor_sees_a_wrong_derivative(monkeypatch):
    plain = js.loss
    monkeypatch.setattr(js, "loss", lambda *a: js.compare and _held(plain(*a)))
    assert any("by differences" in line for line in doctor._self_test())


def _held(loss):
    import jax

    return 2 * loss - jax.lax.stop_gradient(loss)


@pytest.mark.parametrize(("platforms", "driver", "advice"), [
    ("", "CUDA Version: 13.1", 'pip install "jax[cuda13]"'),
    ("", "CUDA Version: 12.4", 'pip install "jax[cuda12]"'),
    ("cpu", "CUDA Version: 12.4", "JAX_PLATFORMS=cpu keeps JAX off it"),
])  # fmt: skip
def test_doctor_advises_where_a_gpu_is_left_out(
    folder, capsys, monkeypatch, platforms, driver, advice
):
    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    monkeypatch.setattr(doctor, "_driver", lambda: driver)
    monkeypatch.setattr(doctor, "_self_test", lambda: iter(()))
    assert cli.main(["doctor"]) == 1
    told = capsys.readouterr().err
    assert "NVIDIA GPU: is present" in told
    assert advice in told


def test_doctor_tells_the_rest_where_there_is_no_device(folder):
    words = [sys.executable, "-m", "jaxstyle", "doctor", "--json"]
    environment = os.environ | {"JAX_PLATFORMS": "no-such"}
    told = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert told.returncode == 1
    found = json.loads(told.stdout)
    rows = {row["what"]: row["is"] for row in found["rows"]}
    assert rows["JAX_PLATFORMS"] == "no-such"
    assert {"extra web", "extra plot", "extra video", "extra ray", "free memory"} <= rows.keys()
    assert "self-test" not in rows
    assert len(found["errors"]) == told.stderr.count("\n") == 1
    assert "JAX_PLATFORMS=no-such: names no device" in told.stderr
    assert "unset it" in told.stderr


def test_programs_are_answered(folder, capsys):
    assert stylize("--json") == 0
    found = answer_of(capsys)
    assert (found["exit_code"], found["paths"], found["errors"]) == (0, ["out.png"], [])
    assert (found["size"], found["status"], found["iterations"]) == ([40, 33], "finished", 4)
    assert found["terms"].keys() == set(js.LossTerms._fields)
    assert stylize("--json") == 2  # It exists by now.
    refused = answer_of(capsys)
    assert (refused["exit_code"], refused["paths"]) == (2, [])
    assert refused["errors"][0].startswith("out.png: exists already")
    assert cli.main(["stylize", "--json", "--solver", "newton"]) == 2
    assert "newton" in answer_of(capsys)["errors"][0]
    assert cli.main(["presets", "list", "--json"]) == 0
    assert {"gatys", "default"} <= {row["name"] for row in answer_of(capsys)["rows"]}
    words = ["sweep", "photo.png", "painting.png", "-o", "sheet.png", "--style-weight", "1,9"]
    assert cli.main([*words, *ENCODER, *QUICK, "--json"]) == 0
    found = answer_of(capsys)
    assert found["paths"] == ["sheet.png"]
    assert [row["style_weight"] for row in found["rows"]] == ["1", "9"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script(capsys, shell):
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "stylize" in script
    assert "style-weight" in script


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_bash_completes(tmp_path):
    run = [sys.executable, "-m", "jaxstyle", "completion", "bash"]
    (tmp_path / "script").write_text(subprocess.check_output(run, text=True))

    def completed(*words):
        line = f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}"
        function = "$(complete -p jaxstyle | sed 's/.*-F \\([^ ]*\\).*/\\1/')"
        told = f'source ./script; {line}; {function}; printf "%s\\n" "${{COMPREPLY[@]}}"'
        command = ["bash", "--norc", "-c", told]
        return subprocess.check_output(command, text=True, cwd=tmp_path).split()

    assert completed("jaxstyle", "sty") == ["stylize"]
    assert {"rerun", "resume"} <= set(completed("jaxstyle", "re"))
    assert "--style-weight" in completed("jaxstyle", "stylize", "--style-w")
    assert set(completed("jaxstyle", "stylize", "--solver", "a")) == {"adam"}
