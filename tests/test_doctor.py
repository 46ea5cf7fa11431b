"""``jaxstyle doctor``, and the JSON objects of ``--json``."""

import json
import os
import subprocess
import sys

import jax
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


def test_doctor_passes_and_clears(folder, capsys):
    (folder / "cache/compiled").mkdir(parents=True)
    (folder / "cache/compiled/a-cache").write_bytes(b"0" * 2_000_000)
    (folder / "cache/vgg19.h5").write_bytes(b"0" * 3_000_000)
    assert cli.main(["doctor", "--json"]) == 0
    rows = {row["what"]: row["is"] for row in answer_of(capsys)["rows"]}
    assert rows["jaxstyle"] == js.__version__
    assert (rows["compiled programs"], rows["downloads"]) == ("2.0 MB", "3.0 MB")
    assert rows["encoder vgg16"] == rows["encoder vgg19"] == "installed"
    assert "weights download vgg16-torch" in rows["encoder vgg16-torch"]
    assert rows["self-test"].startswith("paints")
    assert rows["sums"].startswith("right")
    cli.main(["doctor", "--clear"])
    assert not (folder / "cache/compiled/a-cache").exists()
    assert (folder / "cache/vgg19.h5").exists()


def test_doctor_detects_a_wrong_derivative(monkeypatch):
    plain = js.loss
    monkeypatch.setattr(js, "loss", lambda *a: _half_held(plain(*a)))
    assert any("by finite differences" in line for line in doctor._painting())


def _half_held(loss):
    return 2 * loss - jax.lax.stop_gradient(loss)


@pytest.mark.parametrize(("platforms", "driver", "advice"), [
    ("", "CUDA Version: 13.1", 'pip install "jax[cuda13]"'),
    ("", "CUDA Version: 12.4", 'pip install "jax[cuda12]"'),
    ("cpu", "CUDA Version: 12.4", "because of JAX_PLATFORMS=cpu"),
])  # fmt: skip
def test_doctor_advises_about_an_unused_gpu(folder, capsys, monkeypatch, platforms, driver, advice):
    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    monkeypatch.setattr(doctor, "_driver", lambda: driver)
    monkeypatch.setattr(doctor, "_painting", lambda: iter(()))
    assert cli.main(["doctor"]) == 1
    printed = capsys.readouterr().err
    assert "NVIDIA GPU: not used" in printed
    assert advice in printed


def test_doctor_detects_wrong_sums(monkeypatch):
    plain = jax.vmap

    def faulty(function):
        return lambda rows: plain(function)(rows).at[32_768].set(0)

    monkeypatch.setattr(jax, "vmap", faulty)
    assert [line.split()[0] for line in doctor._wrong_rows()] == ["1"]


def test_doctor_times_an_evaluation_on_an_accelerator(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(doctor, "_SIDE", 32)
    monkeypatch.setattr(doctor.time, "perf_counter", iter(range(100)).__next__)
    ((what, time),) = doctor._speed()
    assert what == "evaluation, 32×32, tf32"
    assert time.startswith("50.00 ms (goal on an H200: 1.5 ms)")  # 1 s for 20


def test_doctor_without_a_device(folder):
    words = [sys.executable, "-m", "jaxstyle", "doctor", "--json"]
    environment = os.environ | {"JAX_PLATFORMS": "no-such"}
    printed = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert printed.returncode == 1
    found = json.loads(printed.stdout)
    rows = {row["what"]: row["is"] for row in found["rows"]}
    assert rows["JAX_PLATFORMS"] == "no-such"
    assert {"extra web", "extra plot", "extra video", "extra ray", "free memory"} <= rows.keys()
    assert "self-test" not in rows
    assert len(found["errors"]) == printed.stderr.count("\n") == 1
    assert "JAX_PLATFORMS=no-such: no such device" in printed.stderr
    assert "unset it" in printed.stderr


def test_json_objects(folder, capsys):
    assert stylize("--json") == 0
    found = answer_of(capsys)
    assert (found["exit_code"], found["paths"], found["errors"]) == (0, ["out.png"], [])
    assert (found["size"], found["status"], found["iterations"]) == ([40, 33], "finished", 4)
    assert {"content", "style", "tv"} <= found["terms"].keys()
    assert stylize("--json") == 2  # the output exists
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
