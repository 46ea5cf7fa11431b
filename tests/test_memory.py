"""Runs that do not fit into the memory are refused before they start, with options that do fit."""

import itertools
import json
import re
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage
from PIL import ImageCms

import command
import jaxstyle as js
from command import stylize
from jaxstyle import cli, files, pretrained
from jaxstyle.errors import ResourceError
from jaxstyle.jobs import checkpoints, painter, sweeps
from jaxstyle.recipes import demand as memory
from jaxstyle.recipes import fitting, system_memory
from jaxstyle.recipes.recipe import Recipe

folder = command.folder


@pytest.fixture(scope="module")
def vgg16():
    return pretrained.load_encoder("vgg16")


def demand_of(encoder, devices=1, shared=False, **settings):
    recipe = Recipe(**{"memory": "whole"} | settings)
    shape = recipe.shape_of((300, 400))
    style = recipe.style_shape_of((500, 400), shape)
    return memory.demand_of(encoder, recipe, shape, [style], devices=devices, shared=shared)


def set_room(monkeypatch, room):
    monkeypatch.setattr(fitting, "_rooms", lambda: iter([(memory.RESIDENT, room, "more")]))


@pytest.mark.parametrize("gigabytes", [0.1, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("settings", [
    {"size": 3000}, {"size": 3000, "memory": "tiles"}, {"size": (2000, 3000)}, {"size": 2000},
    {"size": 2000, "side": "shorter"}, {"size": 2500, "solver": "adam"},
    {"size": 3000, "history": 100},
], ids=str)  # fmt: skip
def test_the_advice_fits(vgg16, monkeypatch, settings, gigabytes):
    set_room(monkeypatch, gigabytes * 1e9)
    demand = demand_of(vgg16, **settings)
    with pytest.raises(ResourceError) as caught:
        fitting.choose(demand)
    line = str(caught.value)
    assert "\n" not in line
    assert f"{demand.shape[1]}×{demand.shape[0]} px" in line
    low = re.search(r"--memory (tiles)", line.partition(";")[2])
    size = re.search(r"--size (\d+)(?:x(\d+))?", line)
    if gigabytes == 0.1:
        assert (low, size) == (None, None)
        return
    assert low or size
    advised = dict(settings)
    if low:
        advised["memory"] = low[1]
    if size and "or --size" not in line:
        advised["size"] = tuple(map(int, size.groups())) if size[2] else int(size[1])
    assert fitting.choose(demand_of(vgg16, **advised))
    if low and "or --size" in line:  # One or the other.
        advised = settings | {"size": tuple(map(int, size.groups())) if size[2] else int(size[1])}
        assert fitting.choose(demand_of(vgg16, **advised))


def test_memory_grows_with_size_history_and_layers(vgg16):
    def taken(**settings):
        demand = demand_of(vgg16, **settings)
        return demand.bytes_of(memory.RESIDENT, demand.recipe.memory)

    plain = taken(size=1000)
    assert taken(size=2000) > 2 * plain
    assert taken(size=2000, memory="tiles") < 0.7 * taken(size=2000)
    assert taken(size=1000, history=50) - plain >= 80 * 12 * 750 * 1000
    assert taken(size=1000, style_scale=3.0) > 2 * plain
    shallow = {"style_layers": {"conv1_1": 1.0}, "content_layers": {"conv1_2": 1.0}}
    assert taken(size=1000, **shallow) < 0.8 * plain


@pytest.mark.parametrize(("gigabytes", "ways"), [
    (100, ["whole", "tiles"]), (12, ["tiles"]), (4.5, ["tiles"]),
])  # fmt: skip
def test_auto_chooses_the_fastest_plan_that_fits(vgg16, monkeypatch, gigabytes, ways):
    """The fastest way first; then fewer pairs, and no more than that would free."""
    set_room(monkeypatch, gigabytes * 1e9)
    chosen = fitting.choose(demand_of(vgg16, size=3000, memory="auto"))
    assert [choice.recipe.memory for choice in chosen] == ways
    fewer = [choice.recipe.history < Recipe().history for choice in chosen]
    assert fewer == [gigabytes == 4.5] * len(ways)
    for choice in chosen:
        assert choice.bytes_of(memory.RESIDENT, choice.recipe.memory) <= gigabytes * 1e9
    sliced = demand_of(vgg16, size=1000, memory="auto", statistic="sliced")
    assert "tiles" not in [choice.recipe.memory for choice in fitting.choose(sliced)]


def test_a_run_out_of_memory_continues_with_the_next_smaller_plan(vgg16, monkeypatch):
    set_room(monkeypatch, 100e9)
    tried, lines = [], []

    def run(recipe):
        tried.append(recipe.memory)
        if recipe.memory != "tiles":
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes")
        return "picture"

    demand = demand_of(vgg16, size=3000, memory="auto")
    recipe, result = fitting.within_memory(demand, run, lines.append)
    assert (tried, recipe.memory, result) == (["whole", "tiles"], "tiles", "picture")
    assert [line.partition(":")[0] for line in lines][:1] == ["memory whole"]
    assert all("trying again with --memory" in line for line in lines[1:])
    with pytest.raises(ResourceError, match="did not fit"):
        fitting.within_memory(demand.with_recipe(memory="whole"), run, lines.append)


def test_a_failed_attempt_is_freed_before_the_next(vgg16, monkeypatch):
    set_room(monkeypatch, 100e9)
    held = []

    def run(recipe):
        assert [array() for array in held] == [None] * len(held)
        array = np.zeros(9)
        held.append(weakref.ref(array))
        try:
            raise RuntimeError("RESOURCE_EXHAUSTED")
        except RuntimeError as error:
            raise MemoryError from error

    with pytest.raises(ResourceError, match="did not fit"):
        fitting.within_memory(demand_of(vgg16, size=3000, memory="auto"), run, str)
    assert len(held) == 2


@pytest.fixture
def demanded(monkeypatch):
    """The demands of commands."""
    demands, within = [], painter.within_memory

    def note(demand, *arguments):
        demands.append(demand)
        return within(demand, *arguments)

    monkeypatch.setattr(painter, "within_memory", note)
    return demands


def test_a_texture_counts_its_painting_at_the_painted_size(folder, demanded):
    """However large it is in its file."""
    PillowImage.new("RGB", (100, 200)).save("large.png")
    words = ["texture", "--overwrite", "-o", "out.png", *command.ENCODER]
    words += ["--style-layers", "conv1_1", "--scales", "1", "--iterations", "1"]
    for name, size in (("painting.png", "32x16"), ("large.png", "32x16")):
        assert cli.main([*words, name, "--size", size]) == 0
    assert demanded[0].pixels < 1
    assert demanded[1].pixels == 32 * 16 / 2 / (32 * 16)


def test_tiles_that_cannot_be_cut_are_not_cheap(vgg16, monkeypatch):
    """Joined borders want whole strides, or the only window is the whole image."""
    joined = pretrained.load_encoder("vgg16", padding="circular")
    seamless = {"padding": "circular", "scales": 1, "memory": "tiles"}
    cut, whole = (demand_of(joined, size=(n, n), **seamless) for n in (3008, 3000))
    plain = demand_of(vgg16, size=(3000, 3000), memory="tiles")
    untiled = demand_of(vgg16, size=(3000, 3000), memory="whole")
    assert cut.resident == pytest.approx(plain.resident, rel=0.01)
    assert whole.resident > 0.8 * untiled.resident > 2 * cut.resident
    # A coarser size may be the one that cannot be cut.
    scaled = {"scales": 2, "scale_factor": 1.2, "coarsest": 64}
    assert demand_of(joined, size=(3008, 3008), **seamless | scaled).resident > 2 * cut.resident
    set_room(monkeypatch, 3e9)
    for memory_choice in ("tiles", "auto"):
        with pytest.raises(ResourceError, match=r"; try (--memory whole and )?--size"):
            fitting.choose(whole.with_recipe(memory=memory_choice))


def test_a_sweep_is_painted_as_it_fits(folder, monkeypatch, capsys):
    """All pictures at once, or one after the other with the same result."""
    words = ["sweep", "photo.png", "painting.png", *command.ENCODER, *command.QUICK]
    words += ["--style-weight", "1,9", "--overwrite", "-o", "sheets"]
    demands, demand_of = [], memory.demand_of

    def note(*arguments, **options):
        demands.append(demand_of(*arguments, **options))
        return demands[-1]

    monkeypatch.setattr(painter, "demand_of", note)
    monkeypatch.setattr(memory, "serial_lanes", lambda program: False)
    swept, pictures = [], []
    plain = sweeps.paint_all
    monkeypatch.setattr(sweeps, "paint_all", lambda *w, **k: swept.append(1) or plain(*w, **k))
    for _ in range(2):
        assert cli.main(words) == 0
        assert "memory whole: " in capsys.readouterr().err
        paths = sorted(Path("sheets").glob("s*=*"))
        pictures.append([np.asarray(js.load_image(path)) for path in paths])
        assert all(files.load_metadata(path).settings["memory"] == "whole" for path in paths)
        needed = [demands[0]._replace(lanes=lanes).resident for lanes in (1, 2)]
        set_room(monkeypatch, sum(needed) / 2)
    assert swept == [1]
    np.testing.assert_allclose(*pictures, atol=2.01 / 255)
    set_room(monkeypatch, 1e6)
    assert cli.main(words) == 1
    assert "out of memory" in capsys.readouterr().err


def test_masks_need_memory(folder, demanded):
    columns = np.repeat(np.linspace(0, 255, 4).astype(np.uint8), 11)
    guide = np.broadcast_to(columns[None, :, None], (36, 44, 3))
    PillowImage.fromarray(guide).save("guide.png")
    masks = ["--content-mask", "guide.png", "--style-mask", "guide.png"]
    assert stylize() == stylize(*masks, styles=("photo.png",), out="b.png") == 0
    plain, masked = demanded
    assert masked.regions == 4

    def more(way):
        line = memory.RESIDENT
        return masked.bytes_of(line, way) - plain.bytes_of(line, way)

    # The masks at least, and the features of each region.
    assert more("whole") > 4 * 4 * 33 * 40


def test_devices_share_the_memory_of_a_picture(vgg16):
    """All but a tile, of which each has one; borders that are joined are not cut there."""
    sizes = {"size": (4096, 4096), "scales": 1}

    def taken(way, **how):
        return demand_of(vgg16, **sizes, memory=way, **how).bytes_of(memory.RESIDENT, way)

    assert taken("whole") > 8 * 0.7 * taken("whole", devices=8)
    assert taken("whole", devices=8) > 1.2 * taken("tiles", devices=8)
    assert taken("whole", devices=8) > 1.5 * taken("whole", devices=8, shared=True)
    for encoder, tiled in ((vgg16, True), (js.load_encoder("vgg16", padding="circular"), False)):
        shared = demand_of(encoder, size=(8192, 8192), scales=1, devices=2, shared=True)
        assert ("tiles" in shared.memories) == tiled


def test_plans_go_from_the_largest_to_the_smallest(vgg16):
    """A picture of a single tile is not cut."""
    for side, plans in ((512, "whole"), (1800, "whole tiles"), (4096, "whole tiles")):
        demand = demand_of(vgg16, size=(side, side), memory="auto")
        assert demand.memories == tuple(plans.split())
        taken = [demand.bytes_of(memory.RESIDENT, way) for way in demand.memories]
        assert taken == sorted(taken, reverse=True)


def fail_first(monkeypatch, after):
    """Lets memory run out in the first attempt, after so many calls of the callback."""
    monkeypatch.setattr(memory.Demand, "memories", ("whole", "tiles"))
    paint, tried = painter.paint, []

    def failing(recipe, *arguments, callback, **options):
        tried.append(recipe)
        first, heard = len(tried) == 1, itertools.count(1)

        def hear(progress):
            stop = callback(progress)
            if first and next(heard) == after:
                raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes")
            return stop

        return paint(recipe, *arguments, callback=hear, **options)

    monkeypatch.setattr(painter, "paint", failing)
    return tried


def test_watchers_see_only_the_attempt_that_fits(folder, monkeypatch):
    """Its checkpoints go, too: those that the first attempt has left would win by their numbers."""
    monkeypatch.setattr(checkpoints, "_MAX_SHARE", float("inf"))
    saved, kept = [], files.save_checkpoint

    def save(folder, checkpoint):
        kept(folder, checkpoint)
        saved.append(sorted(path.name for path in Path(folder).glob("*.npz")))

    monkeypatch.setattr(files, "save_checkpoint", save)
    tried = fail_first(monkeypatch, after=3)
    watched = ["--trace", "run.jsonl", "--timelapse", "film.webp", "--checkpoint", "kept"]
    assert stylize(*watched, "--checkpoint-every", "0", "--iterations", "8") == 0
    assert [recipe.memory for recipe in tried] == ["whole", "tiles"]
    rows = [json.loads(line) for line in Path("run.jsonl").read_text().splitlines()]
    assert [row["iteration"] for row in rows] == list(range(1, 9))
    with PillowImage.open("film.webp") as film:
        assert film.n_frames == 8
    assert not list(Path().glob(".jaxstyle*"))
    assert [len(names) for names in saved] == [1, 2, 2, 1, *[2] * 7]
    assert not Path("kept").exists()


@pytest.mark.parametrize("error", [
    RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes"), MemoryError(),
    RuntimeError("std::bad_alloc"),
], ids=str)  # fmt: skip
def test_an_unexpected_lack_of_memory_is_one_line(folder, capsys, monkeypatch, error):
    def exhausted(*arguments, **options):
        raise error

    monkeypatch.setattr(painter, "paint", exhausted)
    assert stylize("--quiet") == 1
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert "out of memory: 40×33 px" in printed


@pytest.mark.parametrize("version", [1, 2])
def test_control_groups(tmp_path, monkeypatch, version):
    """The first level above leaves 50 bytes, the second 700; files that are cached may go."""
    names = (
        ("memory.limit_in_bytes", "memory.usage_in_bytes")
        if version == 1
        else ("memory.max", "memory.current")
    )
    prefix = "total_" if version == 1 else ""
    top = tmp_path / "memory" if version == 1 else tmp_path
    for path, limit, used in ((top / "a/b", 1000, 950), (top / "a", 900, 300)):
        path.mkdir(parents=True, exist_ok=True)
        for name, value in zip(names, (limit, used)):
            (path / name).write_text(f"{value}\n")
        (path / "memory.stat").write_text(
            f"{prefix}active_file 60\n{prefix}inactive_file 40\nx 1\n"
        )
    (tmp_path / "own").write_text("7:pids:/a\n4:memory:/a/b\n" if version == 1 else "0::/a/b\n")
    monkeypatch.setattr(system_memory, "_CGROUPS", tmp_path)
    assert sorted(system_memory._cgroups(tmp_path / "own")) == [150, 700]
    (top / "a/b" / names[0]).write_text("max\n")
    assert sorted(system_memory._cgroups(tmp_path / "own")) == [700]


def test_a_limit_of_the_address_space(folder):
    code = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_AS, (5 << 30,) * 2);"
    code += "os.execv(sys.executable, [sys.executable, '-m', 'jaxstyle', *sys.argv[1:]])"
    words = ["stylize", "photo.png", "painting.png", "-o", "out.png", "--encoder", "vgg16"]
    words += ["--size", "3000", "--quiet", "--no-compile-cache"]
    printed = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert (printed.returncode, printed.stdout) == (1, "")
    assert printed.stderr.count("\n") == 1
    assert re.search(r"out of memory: 3000×.*--memory tiles.*--size \d+", printed.stderr)


READING = """
import sys
from pathlib import Path
from pathlib import Path
import jax
from jaxstyle import files
jax.block_until_ready(files.load_image(sys.argv[1]))
for path in sys.argv[1:]:
    def memory(name):
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # The peak starts anew.
    image = files.load_image(path)
    print((memory("VmHWM") - before) / (image.size / 3))
    del image
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells the peak")
def test_reading_needs_few_bytes_per_pixel(tmp_path):
    """The image itself is 12 of them."""
    values = np.zeros((2000, 2000, 3), np.uint8)
    values[::2] = 99
    image, exif = PillowImage.fromarray(values), PillowImage.Exif()
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    start = int.from_bytes(profile[profile.index(b"rTRC") + 4 :][:4])
    profile[start : start + 14] = b"curv" + bytes(4) + (1).to_bytes(4) + b"\1\x80"  # Gamma 1.5.
    exif[274] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    image.save(tmp_path / "profile.jpg", icc_profile=bytes(profile))
    image.convert("CMYK").save(tmp_path / "inks.jpg")
    image.quantize(4).save(tmp_path / "palette.png")
    tifffile.imwrite(tmp_path / "float.tif", values / np.float32(255), photometric="rgb")
    paths = sorted(map(str, tmp_path.iterdir()))
    printed = subprocess.check_output([sys.executable, "-c", READING, *paths], text=True)
    taken = dict(zip(paths, map(float, printed.split()), strict=True))
    assert max(taken.values()) <= 20, taken
