"""One picture on many devices, or in many processes, is the same as on one."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxstyle as js
from command import LAYERS, check_refused, folder  # noqa: F401
from jaxstyle import cli, files
from jaxstyle.cli import processes, rerun

SHARING = Path(__file__).with_name("sharing.py")
LINE = r"jaxstyle: a process that shares the picture has ended, .*\n"


def share(function, *cases):
    """Runs a function of sharing.py with eight devices, and returns its result for each case."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    run = subprocess.run(
        [sys.executable, SHARING, function, json.dumps(cases)],
        env=os.environ | {"XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


# test_plans.py has up to three devices; here some have no rows of their own at the deepest layer.
CASES = [[8, [33, 23], "replicate", {"masked": True, "statistic": "mean-std"}]]
SLOW = [
    [4, [44, 20], "circular", {"pooling": "l2", "tv": "isotropic^1.25"}],
    [3, [150, 85], "zeros", {"masked": True, "plan": {"tile": 48}}],
    [1, [32, 24], "replicate", {}],
    [4, [32, 20], "replicate-first", {"pooling": "average", "plan": {"recompute": False}}],
    [8, [19, 40], "zeros", {"normalise_gradients": True}],
    [4, [203, 40], "replicate-first", {"pooling": "l2", "plan": {"tile": 40}}],
    [1, [120, 70], "replicate", {"plan": {"tile": 40}}],
]


@pytest.mark.parametrize("cases", [CASES, pytest.param(SLOW, marks=pytest.mark.slow)])
def test_loss_and_gradient_agree_with_those_of_one_device(cases):
    """In float64, where rounding is small."""
    found = share("differences", *cases)
    assert len(found) == len(cases)
    assert max(found) < 1e-10, list(zip(found, cases, strict=True))


def test_features_never_leave_their_device():
    """Neighbours exchange rows; nothing is gathered, not even in the loop of the solver."""
    one, four, eight, loop, tiled = share(
        "program", [1, 256], [4, 256], [8, 256], [4, 64, 3], [4, 1024, None, {"tile": 48}]
    )
    for counts in (four, eight, loop, tiled):
        assert counts["all-gather"] == counts["all-to-all"] == 0, counts
        assert counts["collective-permute"] > 0
        assert counts["all-reduce"] > 0
    assert one["collective-permute"] == 0
    # A device's share and the rows around it, and what does not depend on the image's size.
    fixed = 2 * eight["bytes"] - four["bytes"]
    for counts, devices in ((four, 4), (eight, 8)):
        assert counts["bytes"] < 1.25 * one["bytes"] / devices + max(fixed, 0), (one, counts)
    assert eight["bytes"] < one["bytes"] / 4
    # Four times as many rows; a device keeps the features of one window.
    assert tiled["bytes"] < 2 * four["bytes"]


@pytest.mark.parametrize(
    ("solver", "masked"),
    [("lbfgs", True), pytest.param("adam", False, marks=pytest.mark.slow)],
)
def test_runs_are_resumed_with_any_number_of_devices(solver, masked):
    """Bit for bit with as many."""
    ((same, others),) = share("resumed", [solver, masked])
    assert same == 0
    assert others < 1e-4


def test_wrong_devices_and_targets_are_refused(encoder, pictures):
    with pytest.raises(js.InputError, match=r"^devices 1000: JAX has \d"):
        js.mesh(1000)
    # Targets of another size would be filled up with zeros.
    content, style = pictures
    objective = js.Objective(content_layers=("conv2_1",), style_layers=("conv1_1",))
    targets = js.make_targets(content[:-8], style, encoder, objective)
    arguments = content, targets, js.LossWeights(), encoder, objective
    for call in (js.loss, partial(js.optimise, iterations=1)):
        with pytest.raises(js.InputError, match="the targets are for another"):
            call(*arguments, plan=js.Devices(1))


def test_missing_options_are_named(folder, capsys):  # noqa: F811
    pictures = ["stylize", "photo.png", "painting.png", "-o", "out.png"]
    for options, message in (
        (["--devices", "none"], "--devices none: "),
        (["--process-id", "1"], "--coordinator: goes with --process-id"),
        (["--coordinator", "x:1", "--process-id", "0", "--num-processes", "2"], "--coordinator: "),
        (["--devices", "1000"], "--devices 1000: JAX has "),
        (["--devices", "1", "--coordinator", "x:1", "--checkpoint", "kept"], "--checkpoint: not"),
        (["--devices", "1", "--coordinator", "x:1", "--json"], "--json: not"),
    ):
        assert cli.main([*pictures, "--no-compile-cache", *options]) == 2
        assert capsys.readouterr().err.startswith(f"jaxstyle: {message}")


def several(address, count):
    where = ["--devices", "all", "--coordinator", address, "--process-id", "0"]
    return [*where, "--num-processes", str(count)]


def test_unusable_coordinators_are_refused_in_one_line(folder, monkeypatch, capsys):  # noqa: F811
    """For example a port in use, with which JAX would crash."""
    monkeypatch.setattr(processes, "are_several", lambda command: False)  # in this process
    with socket.create_server(("", 0)) as other:
        used = f"localhost:{other.getsockname()[1]}"
        for address, count, message in (
            (used, 2, f"--coordinator {used}: process 0 cannot listen on this port (Address"),
            ("localhost", 2, "--coordinator localhost: not an address"),
            ("localhost:1", 0, "--num-processes 0: give 1 or more"),
        ):
            words = ["stylize", "photo.png", "painting.png", "-o", "out.png"]
            code = cli.main([*words, *several(address, count)])
            check_refused(capsys, folder, code, message)


def test_checkpoints_and_numbered_pictures_agree_with_one_device(folder, monkeypatch):  # noqa: F811
    """The run is interrupted and resumed; the result is that of one device."""
    # One device is treated like none otherwise.
    monkeypatch.setattr(processes, "mesh_of", lambda command: command.devices and js.mesh(1))
    small = [*LAYERS, "--encoder", "narrow.h5", "--size", "40", "--iterations", "9"]
    pictures = ["stylize", "photo.png", "painting.png", *small]
    shared = ["--devices", "1", "--memory", "auto", "--checkpoint", "kept", "--save-every", "4"]
    assert cli.main([*pictures, "-o", "one.png"]) == 0
    heard = files.save_checkpoint
    with pytest.MonkeyPatch.context() as patch:

        def interrupt(*arguments):
            heard(*arguments)
            raise KeyboardInterrupt

        patch.setattr(files, "save_checkpoint", interrupt)
        options = ["-o", "many.png", "--checkpoint-every", "0"]
        assert cli.main([*pictures, *shared, *options]) == 130
    assert json.loads(Path("kept/run.json").read_text())["options"]["devices"] == "1"
    assert cli.main(["resume", "kept"]) == 0
    assert (folder / "many-4.png").exists() or (folder / "many-04.png").exists()
    assert files.load_metadata("many.png").provenance["devices"] == 1
    one, many = (np.asarray(files.load_image(name)) for name in ("one.png", "many.png"))
    assert np.abs(one - many).max() <= 1.01 / 255


def test_rerun_uses_the_same_number_of_devices(monkeypatch):
    monkeypatch.setattr(jax, "devices", lambda: [None] * 3)
    counts = {2: "2", 3: "3", 4: None, 1: None, "all": None}
    assert {n: rerun._devices_here({"devices": n}) for n in counts} == counts
    assert rerun._devices_here({}) is None


@pytest.mark.parametrize(("number", "message"), [
    (signal.SIGKILL, "this process was ended by signal 9 (out of memory?); "),
    (signal.SIGABRT, "a process that shares the picture has ended, "),
], ids=str)  # fmt: skip
def test_the_signal_that_ended_a_worker_is_named(tmp_path, monkeypatch, capsys, number, message):
    (tmp_path / "python").write_text(f"#!/bin/sh\nulimit -c 0; kill -{number.value} $$\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert processes.watch(["stylize"]) == 1
    assert capsys.readouterr().err.startswith(f"jaxstyle: {message}")


@pytest.mark.parametrize(("error", "message"), [
    ("UNAVAILABLE: Task 1 is gone\nmore", "ended, or this one failed by itself (UNAVAILABLE: Task"),
    ("RESOURCE_EXHAUSTED: Out of memory", "out of memory: "),
])  # fmt: skip
def test_the_error_of_a_worker_is_printed(monkeypatch, capsys, error, message):
    def fail(_):
        raise jax.errors.JaxRuntimeError(error)

    monkeypatch.setenv("JAXSTYLE_WATCHED", "1,2")
    monkeypatch.setattr(cli.Stylize, "run", fail)
    assert cli._run(["stylize", "photo.png", "painting.png", "-o", "out.png"]) == 1
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def start(number, port, *options):
    """Starts one of two processes that share a picture."""
    where = ["--coordinator", f"127.0.0.1:{port}", "--process-id", str(number)]
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "jaxstyle", "stylize", "photo.png", "painting.png", *LAYERS),
            *("--encoder", "narrow.h5", "--size", "40", "--scales", "1", "--no-compile-cache"),
            *("--devices", "all", *where, "--num-processes", "2", *options),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def ended():
    """Processes that are ended with the test, with their children."""
    running = []
    yield running
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_two_processes_paint_the_picture_of_one(folder, ended):  # noqa: F811
    one = [*LAYERS, "--encoder", "narrow.h5", "--size", "40", "--scales", "1", "--iterations", "4"]
    assert cli.main(["stylize", "photo.png", "painting.png", "-o", "one.png", *one]) == 0
    port = free_port()
    watched = ["--trace", "two.jsonl", "--save-every", "3", "--preview", "seen.png"]
    options = ["-o", "two.png", "--iterations", "4", *watched]
    ended += [start(number, port, *options) for number in (0, 1)]
    outputs = [process.communicate(timeout=300) for process in ended]
    assert [process.returncode for process in ended] == [0, 0], outputs
    assert outputs[0][0] == "two.png\n"
    assert outputs[1] == ("", "")
    pictures = [np.asarray(files.load_image(name)) for name in ("one.png", "two.png")]
    assert np.abs(pictures[0] - pictures[1]).max() <= 1.01 / 255
    steps = [json.loads(line) for line in Path("two.jsonl").read_text().splitlines()]
    assert len([step for step in steps if "iteration" in step]) == 4
    names = {"one.png", "painting.png", "photo.png", "seen.png", "two-3.png", "two.png"}
    assert {path.name for path in folder.glob("*.png")} == names


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_process_that_dies_ends_the_other_with_one_line(folder, ended, victim):  # noqa: F811
    endless = ["-o", "out.png", "--solver", "adam", "--iterations", "100000000", "--quiet"]
    port = free_port()
    ended += [start(number, port, *endless) for number in (0, 1)]
    time.sleep(20)  # They have connected or not: the message is the same.
    os.killpg(ended[victim].pid, signal.SIGKILL)
    out, err = ended[1 - victim].communicate(timeout=200)
    assert ended[1 - victim].returncode == 1
    assert out == ""
    assert re.fullmatch(LINE, err), err
    assert not (folder / "out.png").exists()


def test_shares_of_rows():
    """Every share has whole strides of the deepest layer, and all shares have every row."""
    for count in (1, 3):
        mesh = js.Mesh(tuple(jax.devices()[:1]) * count)
        for height in (1, 15, 16, 17, 100):
            rows = mesh.rows(height, 16)
            assert rows.share % 16 == 0
            assert rows.room - 16 * count < height <= rows.room
            assert rows.at(4).share * 16 == rows.share
