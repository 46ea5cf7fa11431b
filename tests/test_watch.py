"""Watching a run: files are complete, pictures are right, and the result is the same."""

import base64
import io
import itertools
import json
import os
import pty
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

import command
import jaxstyle as js
from command import check_refused, stylize
from jaxstyle import cli, files
from jaxstyle.cli import plot, report
from jaxstyle.cli.watch import graphics
from jaxstyle.cli.watch.graphics import graphics_of
from jaxstyle.cli.watch.trace import Trace
from jaxstyle.cli.watch.watcher import Watchers

folder = command.folder
OBJECTIVE = js.Objective(content_layers=("conv2_1",), style_layers=("image", "conv1_1"))
TWO_SCALES = [*command.LAYERS, "--size", "40", "--scales", "2", "--coarsest", "16"]
TWO_SCALES += ["--iterations", "5", "--coarse-iterations", "4"]


def pixels_of(path, shape=None):
    with PillowImage.open(path) as image:
        if shape is not None:
            image = image.convert("RGB").resize(shape[::-1], PillowImage.Resampling.LANCZOS)
        return np.asarray(image.convert("RGB"), int)


def likeness(picture, other):
    """Returns the correlation of two pictures, which a format's loss of colours hardly changes."""
    return np.corrcoef(np.ravel(picture), np.ravel(other))[0, 1]


def run(encoder, pictures, **options):
    schedule = js.Schedule(iterations=9, coarse_iterations=7, scales=2, coarsest=16)
    options = {"objective": OBJECTIVE, "schedule": schedule} | options
    return js.stylize(*pictures, encoder, **options)


# --- Callbacks ------------------------------------------------------------------------------------


def test_chunks_end_at_the_iterations_of_callback_every(encoder, pictures):
    seen = []
    plain = run(encoder, pictures)
    result = run(encoder, pictures, callback=seen.append, callback_every=(3, 5))
    assert np.array_equal(result.image, plain.image)
    np.testing.assert_equal(result.terms, plain.terms)
    assert {3, 5, 6, 7, 9, 10, 12, 15, 16} <= {progress.step for progress in seen}
    assert [p.scale for p in seen] == sorted(p.scale for p in seen)
    assert {(p.scale, p.scales, p.shape) for p in seen} == {(1, 2, (18, 22)), (2, 2, (36, 44))}
    recent = {name: np.concatenate([p.recent[name] for p in seen]) for name in result.terms}
    np.testing.assert_equal(recent, result.terms)
    assert np.array_equal(seen[-1].picture(), result.image)
    with pytest.raises(js.InputError, match="callback_every 0"):
        run(encoder, pictures, callback_every=(0,))


def test_intermediate_pictures_keep_the_colours(encoder, pictures):
    seen = []
    result = run(encoder, pictures, colour="luminance", callback=seen.append)
    assert np.array_equal(seen[-1].picture(), result.image)
    grey, coloured = (np.ptp(x, axis=-1).mean() for x in (seen[0].image, seen[0].picture()))
    assert coloured > 3 * grey


# --- Escape sequences, read by independent decoders -----------------------------------------------


def decode_kitty(text):
    commands = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", text)
    assert "".join(f"\x1b_G{keys};{data}\x1b\\" for keys, data in commands) == text
    assert [keys[-3:] for keys, _ in commands] == ["m=1"] * (len(commands) - 1) + ["m=0"]
    assert all(len(data) <= 4096 and len(data) % 4 == 0 for _, data in commands)
    return decode_png("".join(data for _, data in commands)), commands[0][0]


def decode_png(data):
    with PillowImage.open(io.BytesIO(base64.b64decode(data, validate=True))) as image:
        return np.asarray(image)


def read_sixel(text):
    """Decodes sixels: registers, repeats, carriage returns and line feeds."""
    head = re.match(r'\x1bP[\d;]*q"1;1;(\d+);(\d+)', text)
    width, height = map(int, head.groups())
    picture = np.full((height + 5, width, 3), -1.0)
    registers, colour, x, y = {}, None, 0, 0
    tokens = re.compile(r"#(\d+);2;(\d+);(\d+);(\d+)|#(\d+)|!(\d+)([?-~])|([?-~])|(\$)|(-)")
    body = text[head.end() : -2]
    assert text.endswith("\x1b\\")
    assert tokens.sub("", body) == ""
    for token in tokens.finditer(body):
        number, r, g, b, select, count, repeated, single, back, down = token.groups()
        if number is not None:
            registers[number] = np.array([int(r), int(g), int(b)]) * 2.55
        elif select is not None:
            colour = registers[select]
        elif back or down:
            x, y = 0, y + 6 * bool(down)
        else:
            bits, count = ord(repeated or single) - 63, int(count or 1)
            for row in range(6):
                if bits >> row & 1:
                    picture[y + row, x : x + count] = colour
            x += count
            assert x <= width
    assert (picture[:height] >= 0).all(), "a pixel has no colour"
    assert (picture[height:] < 0).all(), "there are pixels below the picture"
    return picture[:height]


@pytest.fixture
def pixels(pictures):
    return np.asarray(np.rint(255 * pictures[0].clip(0, 1)), np.uint8)[:-2]  # 34 rows


def test_kitty(pixels, rng):
    noise = rng.integers(0, 256, (70, 80, 3), np.uint8)  # several pieces
    for picture in (pixels, noise):
        decoded, keys = decode_kitty(graphics.kitty(PillowImage.fromarray(picture), 30, 10))
        assert np.array_equal(decoded, picture)
        assert {"a=T", "f=100", "c=30", "r=10", "C=1"} <= {*keys.split(",")}


def test_sixel(pixels):
    decoded = read_sixel(graphics.sixel(PillowImage.fromarray(pixels)))
    assert decoded.shape == pixels.shape
    # A fixed palette of 256 colours would have an error of about 10.
    assert abs(decoded - pixels).mean() < 10
    few = pixels // 128 * 255
    assert abs(read_sixel(graphics.sixel(PillowImage.fromarray(few))) - few).max() < 1.5


def test_blocks(pixels):
    cells = [s for s in graphics.blocks(PillowImage.fromarray(pixels)) if s.style is not None]
    colours = [(cell.style.color.triplet, cell.style.bgcolor.triplet) for cell in cells]
    decoded = np.array(colours).reshape(17, -1, 2, 3).transpose(0, 2, 1, 3).reshape(34, -1, 3)
    assert np.array_equal(decoded, pixels)
    assert {cell.text for cell in cells} == {"▀"}


@pytest.mark.parametrize(("answer", "kind"), [
    (b"\x1b_Gi=31;OK\x1b\\\x1b[?62;c", "kitty"),
    (b"\x1b_Gi=31;OK\x1b\\\x1b[?65;4c", "sixel"),  # WezTerm, Konsole
    (b"\x1b[?62;4;22c", "sixel"),  # foot
    (b"\x1b[?64;1;2c", "blocks"),
    (b"\x1b[?4c", "blocks"),  # a VT132, no sixels
    (b"", "blocks"),
])  # fmt: skip
def test_answers_of_terminals(answer, kind):
    assert graphics_of(answer) == kind


# --- In a terminal --------------------------------------------------------------------------------


def in_terminal(*options, answer=b""):
    """Runs the command in a terminal of 100 by 30 cells, and returns what the terminal received."""
    words = [sys.executable, "-m", "jaxstyle", "stylize", "photo.png", "painting.png"]
    words += ["-o", "out.png", *command.ENCODER, *TWO_SCALES, *options]
    # The first process of a session that opens a terminal controls it.
    code = "import os, sys; os.open(os.ttyname(0), os.O_RDWR); os.execv(sys.argv[1], sys.argv[1:])"
    ours, theirs = pty.openpty()
    streams = {name: theirs for name in ("stdin", "stdout", "stderr")}
    environment = os.environ | {"COLUMNS": "100", "LINES": "30", "COLORTERM": "truecolor"}
    environment |= {"TERM": "xterm-256color"}
    with subprocess.Popen(
        [sys.executable, "-c", code, *words], start_new_session=True, env=environment, **streams
    ) as process:
        os.close(theirs)
        received = b""
        while True:
            try:
                received += os.read(ours, 100_000)
            except OSError:  # closed at the other end
                break
            if answer and received.endswith(b"\x1b[c"):
                os.write(ours, answer)
        os.close(ours)
        assert process.wait(60) == 0, received
    return received.decode()


def test_pictures_are_drawn_in_one_place(folder):
    pyte = pytest.importorskip("pyte")
    received = in_terminal("--watch", "blocks")
    screen = pyte.Screen(100, 30)
    pyte.Stream(screen).feed(received)
    rows = [y for y, row in enumerate(screen.display) if "▀" in row]
    assert len(rows) == 20, screen.display
    assert rows == list(range(rows[0], rows[0] + 20))
    assert received.count("\x1b[20A") > 1  # drawn again and again
    width = screen.display[rows[0]].count("▀")
    cells = [[screen.buffer[y][x] for x in range(width)] for y in rows]
    colour = [[[bytes.fromhex(c) for c in (cell.fg, cell.bg)] for cell in row] for row in cells]
    shown = np.array([[[[*c] for c in pair] for pair in row] for row in colour])
    shown = shown.transpose(0, 2, 1, 3).reshape(40, width, 3)
    assert abs(shown - pixels_of("out.png", (40, width))).mean() < 3
    # Below the picture, only the path is left.
    left = [line.rstrip() for line in screen.display[rows[-1] + 1 :]]
    assert [line for line in left if line] == ["out.png"]


def test_the_bar_and_the_protocol_of_the_terminal(folder):
    received = in_terminal("--watch", answer=b"\x1b[?62;4;22c")
    pictures = re.findall(r"\x1b7(\x1bP0;1q.*?\x1b\\)\x1b8", received, re.DOTALL)
    shown = read_sixel(pictures[-1])
    assert likeness(shown, pixels_of("out.png", shown.shape[:2])) > 0.97
    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", received)
    for needle in ("scale 1/2, 20×16", "scale 2/2, 40×33", "iteration 9/9", "left"):
        assert needle in plain
    assert re.search(r"content \S+  style \S+  tv \S+  .*(it/s|s/it)  \d+\.\d GB", plain)


def test_one_line_per_scale_without_a_terminal(folder, capsys):
    assert stylize("--watch", "sixel", quick=TWO_SCALES) == 0
    received = capsys.readouterr().err
    assert "not a terminal" in received
    assert "\x1b" not in received
    lines = [line for line in received.splitlines() if line.startswith("scale ")]
    assert [line.partition(":")[0] for line in lines] == ["scale 1/2, 20×16", "scale 2/2, 40×33"]
    assert "4 iterations in" in lines[0]
    assert "5 iterations in" in lines[1]
    assert stylize("--quiet", "--watch", out="b.png") == 0
    assert capsys.readouterr().err == ""


# --- Files ----------------------------------------------------------------------------------------


def frames_of(path):
    if path.suffix == ".mp4":
        av = pytest.importorskip("av")
        with av.open(str(path)) as film:
            return [frame.to_ndarray(format="rgb24").astype(int) for frame in film.decode(video=0)]
    with PillowImage.open(path) as film:
        count = range(film.n_frames)
        return [np.asarray((film.seek(i), film.convert("RGB"))[1], int) for i in count]


@pytest.mark.parametrize("suffix", ["webp", "gif", "mp4"])
def test_files_of_a_run(folder, suffix):
    if suffix == "mp4":
        pytest.importorskip("av")
    film = Path(f"film.{suffix}")
    files_of_a_run = ["--preview", "now.png", "--save-every", "3", "--trace", "run.jsonl"]
    assert stylize(*files_of_a_run, "--timelapse", str(film), quick=TWO_SCALES) == 0
    if suffix == "webp":
        assert stylize(out="plain.png", quick=TWO_SCALES) == 0
        assert Path("out.png").read_bytes() == Path("plain.png").read_bytes()
    final = pixels_of("out.png")
    assert np.array_equal(pixels_of("now.png"), final)
    numbered = sorted(str(path) for path in Path().glob("out-*.png"))
    assert numbered == ["out-3.png", "out-6.png", "out-9.png"]
    assert [pixels_of(path).shape for path in numbered] == [(16, 20, 3), (33, 40, 3), (33, 40, 3)]
    assert np.array_equal(pixels_of("out-9.png"), final)
    frames = frames_of(film)
    # Nine iterations; in MP4 the last picture is shown for two seconds, 24 frames.
    assert len(frames) == (8 + 24 if suffix == "mp4" else 9)
    height, width, _ = frames[-1].shape
    near = pixels_of("out.png", (height, width))
    # MP4 halves the resolution of colours.
    assert likeness(frames[-1], near) > (0.95 if suffix == "mp4" else 0.97)
    assert likeness(frames[0], near) < likeness(frames[-1], near)
    assert len(Path("run.jsonl").read_text().splitlines()) == 9
    assert not list(Path().glob(".jaxstyle*"))


def test_textures_are_watched(folder):
    words = ["texture", "painting.png", "-o", "out.png", *command.ENCODER, "--size", "32x32"]
    words += ["--style-layers", "image,conv1_1", "--iterations", "3", "--scales", "1"]
    assert cli.main([*words, "--save-every", "1", "--trace", "run.jsonl"]) == 0
    assert len(Path("run.jsonl").read_text().splitlines()) == 3
    assert len(list(Path().glob("out-?.png"))) == 3


def trace_of(path):
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return rows, np.array([[*row["terms"].values()] for row in rows]).T


@pytest.mark.parametrize("style_weight", [1.0, 1e30])
def test_a_trace_has_every_term(encoder, pictures, tmp_path, style_weight):
    path = tmp_path / "run.jsonl"
    weights = js.LossWeights(style=style_weight)
    solver = js.adam(1.0) if style_weight > 1 else None
    with Watchers([Trace(path)], pytest.fail) as watchers:
        result = run(encoder, pictures, loss_weights=weights, solver=solver, callback=watchers.see)
        watchers.end(result)
    rows, terms = trace_of(path)
    assert [*rows[0]["terms"]] == [*result.terms]
    values = np.asarray([*result.terms.values()])
    assert np.array_equal(terms.astype(np.float32), values)
    assert [row["iteration"] for row in rows] == list(range(1, len(rows) + 1))
    places = [(row["scale"], row["width"], row["height"]) for row in rows]
    assert len(rows) == 16 or result.status == "non-finite"
    assert places == ([(1, 22, 18)] * 7 + [(2, 44, 36)] * 9)[: len(rows)]
    seconds = [row["seconds"] for row in rows]
    assert seconds == sorted(seconds)


def test_ctrl_c_leaves_whole_files(folder, monkeypatch):
    plain = report.RunBar.update

    def interrupted(self, progress):
        plain(self, progress)
        if progress.step >= 6:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(report.RunBar, "update", interrupted)
    watched = ["--preview", "now.png", "--trace", "run.jsonl", "--timelapse", "film.webp"]
    assert stylize(*watched, "--save-every", "6", "--iterations", "1000") == 130
    assert files.load_metadata("out.png").provenance["status"] == "stopped"
    final = pixels_of("out.png")
    assert np.array_equal(pixels_of("now.png"), final)
    assert len(trace_of(Path("run.jsonl"))[0]) == 6
    assert likeness(frames_of(Path("film.webp"))[-1], pixels_of("out.png", (32, 40))) > 0.97
    assert np.array_equal(pixels_of("out-0006.png"), final)


def test_a_file_that_cannot_be_written_does_not_end_the_run(folder, monkeypatch, capsys):
    Path("there").mkdir()
    plain = report.RunBar.update

    def gone(self, progress):
        plain(self, progress)
        if Path("there").exists():
            Path("there").rmdir()

    monkeypatch.setattr(report.RunBar, "update", gone)
    watched = ["--preview", "there/now.png", "--trace", "run.jsonl"]
    assert stylize(*watched, quick=TWO_SCALES) == 1
    received = capsys.readouterr().err
    assert received.count("there/now.png") == 1
    assert "the run continues" in received
    assert len(trace_of(Path("run.jsonl"))[0]) == 9
    assert pixels_of("out.png").shape == (33, 40, 3)


@pytest.mark.parametrize(("options", "needles"), [
    (["--preview", "now.gif"], ["now.gif", ".png"]),
    (["--preview", "no/now.png"], ["no/now.png", "folder"]),
    (["--preview", "photo.png"], ["photo.png", "exists"]),
    (["--preview", "./out.png"], ["out.png", "two outputs"]),
    (["--timelapse", "film.avi"], ["film.avi", ".mp4"]),
    (["--timelapse", "film.mp4"], ["film.mp4", 'pip install "jaxstyle[video]"']),
    (["--trace", "run.txt"], ["run.txt", ".jsonl"]),
    (["--save-every", "0"], ["--save-every 0"]),
    (["--save-every", "2"], ["out-2.png", "exists"]),
    (["--watch=vga"], ["vga", "sixel"]),
])  # fmt: skip
def test_options_are_checked_before_the_run(folder, capsys, monkeypatch, options, needles):
    monkeypatch.setitem(sys.modules, "av", None)
    Path("out-2.png").write_bytes(b"another's")
    check_refused(capsys, folder, stylize(*options), *needles)
    assert not [*Path().glob("*.jsonl"), *Path().glob("film*"), *Path().glob("now*")]


# --- Plots ----------------------------------------------------------------------------------------


@pytest.fixture
def traces(tmp_path, monkeypatch):
    """Two traces of runs with the same scales, and one with other scales and another term."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name, lengths in (("one", (4, 6)), ("two", (4, 6)), ("other", (3, 3, 1))):
        numbers, lines = itertools.count(1), []
        for scale, length in enumerate(lengths, 1):
            for _ in range(length):
                names = ["content", "style", "tv", *(["my_term"] if name == "other" else [])]
                terms = {name: round(rng.uniform(0.1, 9), 3) for name in names} | {"extra": 0.0}
                number = next(numbers)
                line = {"scale": scale, "width": 40 * scale, "height": 30 * scale, "terms": terms}
                lines.append(json.dumps(line | {"iteration": number, "seconds": number / 2}))
        Path(f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return [Path(f"{name}.jsonl") for name in ("one", "two", "other")]


@pytest.mark.parametrize("over", ["iteration", "seconds"])
def test_a_plot_shows_the_terms(traces, over):
    pytest.importorskip("matplotlib")
    runs = [plot.read_trace(path, path.stem) for path in traces]
    figure = plot.draw(runs, over)
    titles = [ax.get_title(loc="left") for ax in figure.axes if ax.get_title(loc="left")]
    assert titles == ["content", "style", "total variation", "my term", "sum of the terms"]
    every = ["content", "style", "tv", "my_term"]
    for ax, names in zip(figure.axes, (*([name] for name in every), every)):
        lines = [line for line in ax.get_lines() if line.get_marker() == "None"]
        one_run = names == ["my_term"]
        assert len(lines) == (3 if one_run else 2 + 2 + 3)  # one per scale
        assert len({line.get_color() for line in lines}) == (1 if one_run else 3)
        rows = [json.loads(line) for path in traces for line in path.read_text().splitlines()]
        rows = [row for row in rows if not one_run or "my_term" in row["terms"]]
        data = np.concatenate([line.get_xydata() for line in lines])
        wanted = [[row[over], sum(row["terms"].get(name, 0) for name in names)] for row in rows]
        np.testing.assert_allclose(data, wanted)


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_plot_files(traces, capsys, suffix):
    pytest.importorskip("matplotlib")
    assert cli.main(["plot", "one.jsonl", "two.jsonl", "-o", f"a.{suffix}"]) == 0
    assert capsys.readouterr().out == f"a.{suffix}\n"
    assert cli.main(["plot", "one.jsonl", "two.jsonl", "-o", f"b.{suffix}"]) == 0
    assert Path(f"a.{suffix}").read_bytes() == Path(f"b.{suffix}").read_bytes()
    if suffix == "png":
        assert pixels_of("a.png").std() > 5
    if suffix == "svg":
        texts = {e.text.strip() for e in ElementTree.parse("a.svg").iter() if e.text}
        assert {"content", "style", "40×30", "80×60", "one", "two"} <= texts


def test_names_of_files_are_not_mathematics(traces):
    pytest.importorskip("matplotlib")
    for name in ("a$x^2$", "b$"):
        Path(f"{name}.jsonl").write_text(Path("one.jsonl").read_text())
    assert cli.main(["plot", "a$x^2$.jsonl", "b$.jsonl", "-o", "a.svg"]) == 0
    texts = {e.text.strip() for e in ElementTree.parse("a.svg").iter() if e.text}
    assert {"a$x^2$", "b$"} <= texts


def test_plots_that_are_refused(traces, capsys, monkeypatch):
    Path("no.jsonl").write_text('{"a": 1}\n')
    Path("empty.jsonl").write_text("")
    Path("half.jsonl").write_text(Path("one.jsonl").read_text()[:-9])
    cases = {
        ("no.jsonl", "-o", "a.png"): "no.jsonl: is not a trace",
        ("empty.jsonl", "-o", "a.png"): "empty.jsonl: is empty",
        ("absent.jsonl", "-o", "a.png"): "absent.jsonl",
        ("one.jsonl", "-o", "a.bmp"): "a.bmp: unknown suffix",
        ("one.jsonl", "-o", "one.jsonl"): "one.jsonl",
        ("-o", "a.png"): "trace",
    }
    for words, needle in cases.items():
        assert cli.main(["plot", *words]) == 2
        received = capsys.readouterr().err
        assert needle in received
        assert received.count("\n") == 1
    assert not Path("a.png").exists()
    assert cli.main(["plot", "half.jsonl", "-o", "a.png"]) == 0  # the last line is incomplete
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert cli.main(["plot", "one.jsonl", "-o", "b.png"]) == 2
    assert 'pip install "jaxstyle[plot]"' in capsys.readouterr().err
