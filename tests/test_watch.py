"""What watches a run: it shows what is there, is whole whenever one looks, and changes nothing."""

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
from jaxstyle.cli.watch.ask import graphics_of
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
    """The correlation of two pictures: colours and chroma that a format lacks matter little."""
    return np.corrcoef(np.ravel(picture), np.ravel(other))[0, 1]


def run(encoder, pictures, **options):
    schedule = js.Schedule(iterations=9, coarse_iterations=7, scales=2, coarsest=16)
    options = {"objective": OBJECTIVE, "schedule": schedule} | options
    return js.stylize(*pictures, encoder, **options)


# --- What a callback hears ------------------------------------------------------------------------


def test_chunks_end_where_they_are_asked_to(encoder, pictures):
    seen = []
    plain = run(encoder, pictures)
    result = run(encoder, pictures, callback=seen.append, callback_every=(3, 5))
    assert np.array_equal(result.image, plain.image)
    assert np.array_equal(result.terms, plain.terms)
    assert {3, 5, 6, 7, 9, 10, 12, 15, 16} <= {progress.step for progress in seen}
    assert [p.scale for p in seen] == sorted(p.scale for p in seen)
    assert {(p.scale, p.scales, p.shape) for p in seen} == {(1, 2, (18, 22)), (2, 2, (36, 44))}
    assert np.array_equal(np.concatenate([p.recent for p in seen], 1), result.terms)
    assert np.array_equal(seen[-1].picture(), result.image)
    with pytest.raises(js.InputError, match="callback_every 0"):
        run(encoder, pictures, callback_every=(0,))


def test_the_picture_on_the_way_is_in_its_colours(encoder, pictures):
    seen = []
    result = run(encoder, pictures, colour="luminance", callback=seen.append)
    assert np.array_equal(seen[-1].picture(), result.image)
    grey, coloured = (np.ptp(x, axis=-1).mean() for x in (seen[0].image, seen[0].picture()))
    assert coloured > 3 * grey


# --- Escape sequences, read by other programs than wrote them -------------------------------------


def decode_kitty(text):
    commands = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", text)
    assert "".join(f"\x1b_G{keys};{data}\x1b\\" for keys, data in commands) == text
    assert [keys[-3:] for keys, _ in commands] == ["m=1"] * (len(commands) - 1) + ["m=0"]
    assert all(len(data) <= 4096 and len(data) % 4 == 0 for _, data in commands)
    return decode_png("".join(data for _, data in commands)), commands[0][0]


def decode_iterm(text):
    keys, data = re.fullmatch(r"\x1b\]1337;File=([^:]*):([^\a]*)\a", text).groups()
    assert f"size={len(base64.b64decode(data))};" in keys
    return decode_png(data), keys


def decode_png(data):
    with PillowImage.open(io.BytesIO(base64.b64decode(data, validate=True))) as image:
        return np.asarray(image)


def read_sixel(text):
    """A small sixel decoder: registers, repeats, carriage returns and line feeds."""
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
    return np.asarray(np.rint(255 * pictures[0].clip(0, 1)), np.uint8)[:-1]  # 35 rows


def test_kitty(pixels, rng):
    noise = rng.integers(0, 256, (70, 80, 3), np.uint8)  # of several pieces
    for picture in (pixels, noise):
        decoded, keys = decode_kitty(graphics.kitty(picture, 30, 10))
        assert np.array_equal(decoded, picture)
        assert {"a=T", "f=100", "c=30", "r=10", "C=1"} <= {*keys.split(",")}


def test_iterm(pixels):
    decoded, keys = decode_iterm(graphics.iterm(pixels, 30, 10))
    assert np.array_equal(decoded, pixels)
    assert {"inline=1", "width=30", "height=10"} <= {*keys.split(";")}


def test_sixel(pixels):
    decoded = read_sixel(graphics.sixel(pixels, 30, 10))
    assert decoded.shape == pixels.shape
    # 256 colours that knew nothing of the picture would be 40 apart, and so 10 from each.
    assert abs(decoded - pixels).mean() < 10
    few = pixels // 128 * 255
    assert abs(read_sixel(graphics.sixel(few, 1, 1)) - few).max() < 1.5


def test_blocks(pixels):
    rows = graphics.blocks(pixels)
    assert len(rows) == 18
    colours = [[(s.style.color.triplet, s.style.bgcolor.triplet) for s in row] for row in rows]
    decoded = np.array(colours).transpose(0, 2, 1, 3).reshape(36, -1, 3)
    assert np.array_equal(decoded[:35], pixels)
    assert {segment.text for row in rows for segment in row} == {"▀"}


@pytest.mark.parametrize(("answer", "kind"), [
    (b"\x1b_Gi=31;OK\x1b\\\x1bP>|kitty(0.40)\x1b\\\x1b[?62;c", "kitty"),
    (b"\x1bP>|iTerm2 3.5.0\x1b\\\x1b[?64;4;22c", "iterm"),
    (b"\x1b_Gi=31;OK\x1b\\\x1bP>|WezTerm 2024\x1b\\\x1b[?65;4c", "iterm"),
    (b"\x1bP>|foot(1.16)\x1b\\\x1b[?62;4;22c", "sixel"),
    (b"\x1b[?64;1;2c", "blocks"),
    (b"\x1b[?4c", "blocks"),  # a VT132, no sixels
    (b"", "blocks"),
])  # fmt: skip
def test_what_terminals_answer(answer, kind):
    assert graphics_of(answer) == kind


# --- In a terminal --------------------------------------------------------------------------------


def in_terminal(*options, answer=b""):
    """Runs the command in a terminal of 100 by 30 that answers, and returns what it was sent."""
    words = [sys.executable, "-m", "jaxstyle", "stylize", "photo.png", "painting.png"]
    words += ["-o", "out.png", *command.ENCODER, *TWO_SCALES, *options]
    # A session's first process, opening a terminal, becomes the one that the terminal is of.
    code = "import os, sys; os.open(os.ttyname(0), os.O_RDWR); os.execv(sys.argv[1], sys.argv[1:])"
    ours, theirs = pty.openpty()
    streams = {name: theirs for name in ("stdin", "stdout", "stderr")}
    surroundings = os.environ | {"COLUMNS": "100", "LINES": "30", "COLORTERM": "truecolor"}
    surroundings |= {"TERM": "xterm-256color"}
    with subprocess.Popen(
        [sys.executable, "-c", code, *words], start_new_session=True, env=surroundings, **streams
    ) as process:
        os.close(theirs)
        told = b""
        while True:
            try:
                told += os.read(ours, 100_000)
            except OSError:  # closed on their side
                break
            if answer and told.endswith(b"\x1b[c"):
                os.write(ours, answer)
        os.close(ours)
        assert process.wait(60) == 0, told
    return told.decode()


def test_pictures_stay_in_their_place(folder):
    pyte = pytest.importorskip("pyte")
    told = in_terminal("--watch", "blocks")
    screen = pyte.Screen(100, 30)
    pyte.Stream(screen).feed(told)
    rows = [y for y, row in enumerate(screen.display) if "▀" in row]
    assert len(rows) == 20, screen.display
    assert rows == list(range(rows[0], rows[0] + 20))
    assert told.count("\x1b[20A") > 1  # drawn again and again
    width = screen.display[rows[0]].count("▀")
    cells = [[screen.buffer[y][x] for x in range(width)] for y in rows]
    colour = [[[bytes.fromhex(c) for c in (cell.fg, cell.bg)] for cell in row] for row in cells]
    shown = np.array([[[[*c] for c in pair] for pair in row] for row in colour])
    shown = shown.transpose(0, 2, 1, 3).reshape(40, width, 3)
    assert abs(shown - pixels_of("out.png", (40, width))).mean() < 3
    # Below it the prompt's line has the path, and of the bar nothing is left.
    left = [line.rstrip() for line in screen.display[rows[-1] + 1 :]]
    assert [line for line in left if line] == ["out.png"]


def test_the_bar_and_the_terminals_own_choice(folder):
    told = in_terminal("--watch", answer=b"\x1bP>|foot(1.16)\x1b\\\x1b[?62;4;22c")
    pictures = re.findall(r"\x1b7(\x1bP0;1q.*?\x1b\\)\x1b8", told, re.DOTALL)
    shown = read_sixel(pictures[-1])
    assert likeness(shown, pixels_of("out.png", shown.shape[:2])) > 0.97
    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", told)
    for needle in ("scale 1/2, 20×16", "scale 2/2, 40×33", "iteration 9/9", "left"):
        assert needle in plain
    assert re.search(r"content \S+  style \S+  tv \S+  .*(it/s|s/it)  \d+\.\d GB", plain)


def test_a_line_a_scale_where_there_is_no_terminal(folder, capsys):
    assert stylize("--watch", "sixel", quick=TWO_SCALES) == 0
    told = capsys.readouterr().err
    assert "no terminal" in told
    assert "\x1b" not in told
    lines = [line for line in told.splitlines() if line.startswith("scale ")]
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
    # Nine iterations; in MP4 the last picture stays for two seconds of twelve pictures.
    assert len(frames) == (8 + 24 if suffix == "mp4" else 9)
    height, width, _ = frames[-1].shape
    near = pixels_of("out.png", (height, width))
    # MP4 has colours in half of the pixels on each side.
    assert likeness(frames[-1], near) > (0.95 if suffix == "mp4" else 0.97)
    assert likeness(frames[0], near) < likeness(frames[-1], near)
    assert len(Path("run.jsonl").read_text().splitlines()) == 9
    assert not list(Path().glob(".jaxstyle*"))


def test_textures_are_watched_too(folder):
    words = ["texture", "painting.png", "-o", "out.png", *command.ENCODER, "--size", "32x32"]
    words += ["--style-layers", "image,conv1_1", "--iterations", "3", "--scales", "1"]
    assert cli.main([*words, "--save-every", "1", "--trace", "run.jsonl"]) == 0
    assert len(Path("run.jsonl").read_text().splitlines()) == 3
    assert len(list(Path().glob("out-?.png"))) == 3


def trace_of(path):
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return rows, np.array([[row[name] for name in js.LossTerms._fields] for row in rows]).T


@pytest.mark.parametrize("style_weight", [1.0, 1e30])
def test_a_trace_has_every_term(encoder, pictures, tmp_path, style_weight):
    path = tmp_path / "run.jsonl"
    weights = js.LossWeights(style=style_weight)
    solver = js.adam(1.0) if style_weight > 1 else None
    with Watchers([Trace(path)], pytest.fail) as watchers:
        result = run(encoder, pictures, loss_weights=weights, solver=solver, callback=watchers.see)
        watchers.end(result)
    rows, terms = trace_of(path)
    assert np.array_equal(terms.astype(np.float32), np.asarray(result.terms))
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


def test_what_cannot_be_written_does_not_end_the_run(folder, monkeypatch, capsys):
    Path("there").mkdir()
    plain = report.RunBar.update

    def gone(self, progress):
        plain(self, progress)
        if Path("there").exists():
            Path("there").rmdir()

    monkeypatch.setattr(report.RunBar, "update", gone)
    watched = ["--preview", "there/now.png", "--trace", "run.jsonl"]
    assert stylize(*watched, quick=TWO_SCALES) == 1
    told = capsys.readouterr().err
    assert told.count("there/now.png") == 1
    assert "painting goes on" in told
    assert len(trace_of(Path("run.jsonl"))[0]) == 9
    assert pixels_of("out.png").shape == (33, 40, 3)


@pytest.mark.parametrize(("options", "needles"), [
    (["--preview", "now.gif"], ["now.gif", ".png"]),
    (["--preview", "no/now.png"], ["no/now.png", "folder"]),
    (["--preview", "photo.png"], ["photo.png", "exists"]),
    (["--preview", "./out.png"], ["out.png", "two things"]),
    (["--timelapse", "film.avi"], ["film.avi", ".mp4"]),
    (["--timelapse", "film.mp4"], ["film.mp4", 'pip install "jaxstyle[video]"']),
    (["--trace", "run.txt"], ["run.txt", ".jsonl"]),
    (["--save-every", "0"], ["--save-every 0"]),
    (["--save-every", "2"], ["out-2.png", "exists"]),
    (["--watch=vga"], ["vga", "kitty"]),
])  # fmt: skip
def test_refused_before_the_run(folder, capsys, monkeypatch, options, needles):
    monkeypatch.setitem(sys.modules, "av", None)
    Path("out-2.png").write_bytes(b"another's")
    check_refused(capsys, folder, stylize(*options), *needles)
    assert not [*Path().glob("*.jsonl"), *Path().glob("film*"), *Path().glob("now*")]


# --- Plots ----------------------------------------------------------------------------------------


@pytest.fixture
def traces(tmp_path, monkeypatch):
    """Two traces of runs with the same scales, and one with others."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name, lengths in (("one", (4, 6)), ("two", (4, 6)), ("other", (3, 3, 1))):
        numbers, lines = itertools.count(1), []
        for scale, length in enumerate(lengths, 1):
            for _ in range(length):
                terms = dict(zip(js.LossTerms._fields, rng.uniform(0.1, 9, 4).round(3).tolist()))
                place = {"scale": scale, "width": 40 * scale, "height": 30 * scale}
                number = next(numbers)
                line = place | terms | {"extra": 0.0, "iteration": number, "seconds": number / 2}
                lines.append(json.dumps(line))
        Path(f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return [Path(f"{name}.jsonl") for name in ("one", "two", "other")]


@pytest.mark.parametrize("over", ["iteration", "seconds"])
def test_a_plot_shows_the_terms(traces, over):
    pytest.importorskip("matplotlib")
    runs = [plot.read_trace(path, path.stem) for path in traces]
    figure = plot.draw(runs, over)
    titles = [ax.get_title(loc="left") for ax in figure.axes if ax.get_title(loc="left")]
    assert titles == ["content", "style", "total variation", "loss, the sum"]
    for ax, names in zip(figure.axes, (["content"], ["style"], ["tv"], js.LossTerms._fields)):
        lines = [line for line in ax.get_lines() if line.get_marker() == "None"]
        assert len(lines) == 2 + 2 + 3  # one a scale
        drawn = {line.get_color() for line in lines}
        assert len(drawn) == 3
        rows = [row for path in traces for row in trace_of(path)[0]]
        data = np.concatenate([line.get_xydata() for line in lines])
        wanted = [[row[over], sum(row[name] for name in names)] for row in rows]
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


def test_plots_that_are_refused(traces, capsys, monkeypatch):
    Path("no.jsonl").write_text('{"a": 1}\n')
    Path("empty.jsonl").write_text("")
    Path("half.jsonl").write_text(Path("one.jsonl").read_text()[:-9])
    cases = {
        ("no.jsonl", "-o", "a.png"): "no.jsonl: no trace",
        ("empty.jsonl", "-o", "a.png"): "empty.jsonl: has no line",
        ("absent.jsonl", "-o", "a.png"): "absent.jsonl",
        ("one.jsonl", "-o", "a.bmp"): "a.bmp: unknown suffix",
        ("one.jsonl", "-o", "one.jsonl"): "one.jsonl",
        ("-o", "a.png"): "trace",
    }
    for words, needle in cases.items():
        assert cli.main(["plot", *words]) == 2
        told = capsys.readouterr().err
        assert needle in told
        assert told.count("\n") == 1
    assert not Path("a.png").exists()
    assert cli.main(["plot", "half.jsonl", "-o", "a.png"]) == 0  # of a run on its way
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert cli.main(["plot", "one.jsonl", "-o", "b.png"]) == 2
    assert 'pip install "jaxstyle[plot]"' in capsys.readouterr().err
