"""Films: warping, consistency, the temporal term, frames that follow each other, the command."""

import gc
import signal

import av
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from PIL import Image

import command
import films
import jaxstyle as js
from command import check_refused
from films import Moving
from jaxstyle import cli, files
from jaxstyle.errors import InputError
from jaxstyle.video import folder as folders
from jaxstyle.video.motion import motion_between
from jaxstyle.video.reading import Clip, open_source, parse_time

folder = command.folder

LAYERS = {"content_layers": {"conv2_2": 1.0}, "style_layers": {"conv1_1": 1.0}}
RECIPE = js.Recipe(size="original", iterations=3, scales=1, coarsest=16, memory="whole", **LAYERS)
QUICK = [*command.LAYERS, "--size", "32", "--scales", "1", "--iterations", "3", "--coarsest", "16"]
QUICK += [*command.ENCODER, "--frame-iterations", "2", "--quiet"]


def video(*options, film="in.mp4", out="out.mp4"):
    return cli.main(["video", film, "painting.png", "-o", out, *QUICK, *options])


@pytest.fixture(scope="module")
def scenes():
    """Two shots of four frames, so that there is one cut."""
    return Moving(4).frames + Moving(4, seed=7).frames


@pytest.mark.parametrize("method", ["linear", "spline"])
def test_a_warp_by_whole_pixels_is_a_shift(rng, method):
    image = jnp.asarray(rng.uniform(size=(20, 30, 3)), "float32")
    flow = jnp.full((20, 30, 2), jnp.array([3.0, -2.0]))
    warped = js.video.warp(image, flow, method=method)
    np.testing.assert_allclose(warped[4:16, 4:24], image[2:14, 7:27], atol=1e-6)


@pytest.mark.parametrize(("method", "tolerance"), [("linear", 3e-2), ("spline", 2e-3)])
def test_a_warp_by_a_rotation_is_the_rotated_picture(method, tolerance):
    y, x = np.mgrid[:40, :40] - 19.5
    angle = 0.2
    x1, y1 = np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y

    def picture(y, x):
        return jnp.asarray(0.5 + 0.4 * np.sin(0.6 * x + 0.3 * y)[..., None], "float32")

    flow = jnp.asarray(np.stack([x1 - x, y1 - y], -1), "float32")
    warped = js.video.warp(picture(y, x), flow, method=method)
    error = np.abs(warped - picture(y1, x1))[8:-8, 8:-8].max()
    assert error < tolerance


def test_the_gradient_of_a_warp(rng):
    image = jnp.asarray(rng.uniform(size=(8, 9, 2)), "float32")
    # Away from whole pixels, where the interpolation has a kink.
    flow = jnp.asarray(rng.uniform(0.2, 0.8, size=(8, 9, 2)), "float32")
    check_grads(
        lambda i, f: jnp.square(js.video.warp(i, f, method="spline")).sum(),
        (image, flow),
        order=1,
        modes=["rev"],
        rtol=2e-2,
    )


def test_consistency_distrusts_what_was_hidden():
    film = Moving(2, (60, 80), speed=(0.0, 6.0))
    backward = film.flows[1]
    forward = -jnp.roll(backward, -6, axis=1) * (jnp.arange(80) < 74)[:, None]
    trust = np.asarray(js.video.consistency(forward, backward))
    moved = np.asarray(backward[..., 0]) != 0
    appeared = np.roll(moved, -6, axis=1) & ~moved  # behind the square
    assert trust[appeared].max() < 0.5
    still = ~moved & ~np.roll(moved, -6, axis=1)
    still[:, :3] = still[:, -3:] = False
    assert np.median(trust[still]) == 1
    assert np.median(trust[moved]) > 0.9


def test_the_temporal_term_is_the_same_in_tiles(encoder, pictures, rng):
    objective = js.Objective(
        content_layers=("conv2_2",), style_layers=("conv1_1",), extra=["temporal"]
    )
    image, warped = jnp.asarray(rng.uniform(size=(2, 36, 44, 3)), "float32")
    trust = jnp.asarray(rng.uniform(size=(36, 44)), "float32")
    scene = js.Scene(pictures[0], data={"temporal": (warped, trust)})
    targets = js.make_targets(scene, pictures[1], encoder, objective)
    weights = js.LossWeights(extra={"temporal": 7.0})
    oracle = 7 * (np.asarray(trust)[..., None] * np.square(image - warped)).mean()
    results = []
    for plan in (js.Whole(), js.Tiles(32)):
        terms = js.loss_terms(image, targets, weights, encoder, objective, plan=plan)
        assert float(terms["temporal"]) == pytest.approx(oracle, rel=1e-5)
        gradient = jax.grad(js.loss)(image, targets, weights, encoder, objective, plan=plan)
        results.append(np.asarray(gradient))
    np.testing.assert_allclose(*results, atol=1e-4 * np.abs(results[0]).max())


def test_motion_is_found_and_a_cut_has_none():
    film, other = Moving(2, (96, 128), pan=(0.0, 3.0)), Moving(1, (96, 128), seed=5)
    flow = js.video.dis_flow()
    motion = motion_between(*film.frames, flow)
    assert motion is not None
    error = np.linalg.norm(np.asarray(motion.flow - film.flows[1]), axis=-1)
    assert np.median(error[film.visible[1]]) < 0.3
    assert motion_between(film.frames[1], other.frames[0], flow) is None


def test_a_still_picture_stays(encoder, pictures):
    """Without motion, each frame starts from the very pixels of the one before it."""
    frames = Moving(1).frames * 3
    settings = js.video.FrameSettings(frame_iterations=0)
    first, *others = js.video.paint_frames(
        RECIPE, frames, pictures[1], encoder=encoder, settings=settings
    )
    for other in others:
        np.testing.assert_array_equal(other.canvas, first.canvas)


def test_the_temporal_term_makes_a_film_steady(encoder, pictures, rng):
    """The noise of a camera does not become flicker."""
    frames = [
        frame + jnp.asarray(rng.normal(0, 0.02, frame.shape), "float32")
        for frame in Moving(1).frames * 4
    ]
    flicker = []
    for weight in (0.0, 10_000.0):
        settings = js.video.FrameSettings(temporal_weight=weight)
        painted = js.video.paint_frames(
            RECIPE,
            [jnp.clip(frame, 0, 1) for frame in frames],
            pictures[1],
            encoder=encoder,
            settings=settings,
            flow=lambda first, second: jnp.zeros((48, 64, 2)),
        )
        images = np.stack([frame.image for frame in painted])
        flicker.append(np.square(np.diff(images, axis=0)).mean())
    assert flicker[1] < flicker[0] / 4


def test_nothing_compiles_after_the_second_frame(encoder, pictures):
    compiled = []
    frames = Moving(4, (40, 52)).frames  # a size that no other test has

    def listen(event, duration, **more):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        painted = js.video.paint_frames(RECIPE, frames, pictures[1], encoder=encoder)
        counts = [len(compiled) for _ in painted]
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert counts[1] > 0
    assert counts[1:] == [counts[1]] * 3


def test_few_frames_are_in_memory(encoder, pictures):
    """However long the film is."""
    frames = (jnp.full((32, 32, 3), 0.5 + i / 100) for i in range(30))
    most, recipe = 0, RECIPE.replace(iterations=0)
    settings = js.video.FrameSettings(frame_iterations=0)
    before = None
    for i, _ in enumerate(
        js.video.paint_frames(recipe, frames, pictures[1], encoder=encoder, settings=settings)
    ):
        gc.collect()
        images = sum(array.shape == (32, 32, 3) for array in jax.live_arrays())
        before = images if i == 2 else before
        most = max(most, images)
    assert i == 29
    assert most <= before + 2


def test_sound_and_time_stamps_are_those_of_the_film(folder, scenes):
    times = [0, 10, 15, 35, 40, 50, 70, 75]  # a variable frame rate
    films.write("in.mp4", scenes, sound=True, times=times)
    assert video() == 0
    assert films.packets("out.mp4", "audio") == films.packets("in.mp4", "audio")
    painted, stamps = films.pictures("out.mp4")
    assert stamps == pytest.approx([time / 100 for time in times])
    assert painted[0].shape == (24, 32, 3)
    assert not (folder / "out.mp4.frames").exists()


def test_a_part_of_a_film(folder, scenes):
    films.write("in.mp4", scenes, sound=True)
    assert video("--from", "0.2", "--to", "0:0.7", "--every", "2", "--preview", "now.png") == 0
    _, times = films.pictures("out.mp4")
    assert times == pytest.approx([0, 0.2, 0.4])
    before = [data for time, data in films.packets("in.mp4", "audio") if 0.2 <= time < 0.7]
    after = films.packets("out.mp4", "audio")
    assert before[:-2] == [data for _, data in after][: len(before) - 2]
    assert 0 <= after[0][0] < 0.03
    assert files.read_shape("now.png") == (24, 32)


@pytest.mark.parametrize("out", ["out.webm", "out.gif", "out.webp", "out.mkv", "out"])
def test_formats(folder, scenes, out):
    (folder / "in").mkdir()
    for i, frame in zip((1, 2, 10), scenes, strict=False):
        files.save_image(f"in/{i}.png", frame)
    assert video("--fps", "5", "--frame-iterations", "0", film="in", out=out) == 0
    if out == "out":
        names = [path.name for path in sorted((folder / "out").iterdir())]
        assert names == ["000000.png", "000001.png", "000002.png"]
    elif out == "out.webp":
        with Image.open(out) as image:
            assert image.n_frames == 3
    else:
        painted, times = films.pictures(out)
        assert times == pytest.approx([0, 0.2, 0.4], abs=0.011)
        assert painted[0].shape == (24, 32, 3)


def pixels(folder, name):
    return [np.asarray(files.load_image(path)) for path in sorted((folder / name).iterdir())]


def test_a_killed_run_continues_to_the_same_pixels(folder, scenes, monkeypatch, capsys):
    films.write("in.mp4", scenes)
    colours = ["--colour", "luminance"]  # frames then start from something else than the picture
    assert video(*colours, out="whole") == 0
    keep, kept = folders.FrameFolder.keep, []

    def killed(self, painted):
        if len(kept) == 2:
            raise KeyboardInterrupt
        kept.append(painted)
        keep(self, painted)

    monkeypatch.setattr(folders.FrameFolder, "keep", killed)
    assert video(*colours, out="again") == 130
    assert not (folder / "again").exists()
    monkeypatch.setattr(folders.FrameFolder, "keep", keep)
    capsys.readouterr()
    assert video("--iterations", "4", out="again") == 2
    assert "other settings (settings)" in capsys.readouterr().err
    assert video(*colours, "--json", out="again") == 0
    assert '"painted": 6' in capsys.readouterr().out
    np.testing.assert_array_equal(pixels(folder, "again"), pixels(folder, "whole"))


def test_shares_join_to_the_film_of_one_run(folder, scenes, capsys):
    films.write("in.mp4", scenes)
    assert video(out="one") == 0
    for share in ("1/2", "0/2"):
        assert video("--shard", share, out="many") == 0
        assert not (folder / "many").exists()
    capsys.readouterr()
    assert video("--json", out="many") == 0
    assert '"painted": 0' in capsys.readouterr().out
    np.testing.assert_array_equal(pixels(folder, "many"), pixels(folder, "one"))


def test_ctrl_c_writes_the_film_so_far(folder, scenes, monkeypatch):
    films.write("in.mp4", scenes, sound=True)
    keep = folders.FrameFolder.keep

    def interrupted(self, painted):
        keep(self, painted)
        if painted.number == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(folders.FrameFolder, "keep", interrupted)
    assert video() == 130
    assert len(films.pictures("out.mp4")[0]) == 3
    monkeypatch.setattr(folders.FrameFolder, "keep", keep)
    assert video() == 0
    assert len(films.pictures("out.mp4")[0]) == 8


def test_ctrl_c_during_the_first_frame_writes_nothing(folder, scenes, monkeypatch):
    films.write("in.mp4", scenes)
    show = cli.report.Bar.show

    def interrupted(self, *arguments):
        show(self, *arguments)
        if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(cli.report.Bar, "show", interrupted)
    assert video("--iterations", "1000") == 130
    assert not (folder / "out.mp4").exists()


def test_a_damaged_film_loses_only_frames(folder, scenes, capsys):
    films.write("in.mp4", scenes, codec="mjpeg", kind="mov")
    data = bytearray((folder / "in.mp4").read_bytes())
    packet = films.packets("in.mp4", "video")[2][1]
    at = bytes(data).index(packet)
    data[at : at + len(packet)] = bytes(len(packet))
    (folder / "in.mp4").write_bytes(data)
    assert video() == 0
    assert "damaged" in capsys.readouterr().err
    times = films.pictures("out.mp4")[1]
    assert len(times) == 7
    assert times[2:] == pytest.approx([0.3, 0.4, 0.5, 0.6, 0.7])


def test_a_full_disk_keeps_the_frames(folder, scenes, monkeypatch, capsys):
    films.write("in.mp4", scenes)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("jaxstyle.video.writing._write_streams", full)
    assert video() == 1
    assert "out.mp4: cannot be written (No space left on device)" in capsys.readouterr().err
    assert len(list((folder / "out.mp4.frames").glob("*.png"))) == 8


@pytest.mark.parametrize(
    ("options", "needles"),
    [
        ({"film": "none.mp4"}, ["none.mp4: no such file"]),
        ({"film": "photo.png", "out": "photo.png"}, ["photo.png: unknown suffix"]),
        ({"film": "text.mp4"}, ["text.mp4: is not a film that can be read"]),
        ({"film": "empty"}, ["empty: has no pictures"]),
        ({"out": "none/out.mp4"}, ["its folder does not exist"]),
        ({"out": "in.mp4"}, ["in.mp4: exists already"]),
        ({"options": ["--from", "9"]}, ["in.mp4: has no frame"]),
        ({"options": ["--from", "soon"]}, ["--from soon: not a time"]),
        ({"options": ["--every", "0"]}, ["--every 0"]),
        ({"options": ["--fps", "0"]}, ["--fps 0"]),
        ({"options": ["--shard", "2/2"]}, ["--shard 2/2"]),
        ({"options": ["--frame-iterations", "-1"]}, ["frame"]),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_input_is_refused_in_one_line(folder, scenes, capsys, options, needles):
    films.write("in.mp4", scenes[:2])
    (folder / "text.mp4").write_text("not a film")
    (folder / "empty").mkdir()
    more = options.pop("options", [])
    check_refused(capsys, folder, video(*more, **options), *needles)


def test_the_film_itself_is_never_replaced(folder, scenes, capsys):
    films.write("in.mp4", scenes[:2])
    before = (folder / "in.mp4").read_bytes()
    assert video("--overwrite", out="in.mp4") == 2
    assert "would replace an input" in capsys.readouterr().err
    assert (folder / "in.mp4").read_bytes() == before


def test_frames_of_a_folder_have_one_size(folder, scenes):
    files.save_image("1.png", scenes[0])
    (folder / "in").mkdir()
    files.save_image("in/1.png", scenes[0])
    files.save_image("in/2.png", scenes[0][:40])
    with pytest.raises(InputError, match=r"2\.png: has another size"):
        list(open_source(folder / "in", Clip()).frames())


def test_ten_bits_and_odd_sizes_are_read(folder):
    if "libx264" not in av.codecs_available:
        pytest.skip("this PyAV has no H.264")
    with av.open("deep.mkv", "w") as film:
        stream = film.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 45, 33, "yuv444p10le"
        grey = np.full((33, 45, 3), 128, np.uint8)
        film.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        film.mux(stream.encode(None))
    frame = open_source(folder / "deep.mkv", Clip()).first()
    np.testing.assert_allclose(frame.pixels, grey, atol=2)
    assert video("--size", "original", film="deep.mkv") == 0
    assert films.pictures("out.mp4")[0][0].shape == (32, 44, 3)


def test_times():
    assert parse_time("--to", "1:02:03") == 3723
    with pytest.raises(InputError, match="--to 1:x: not a time"):
        parse_time("--to", "1:x")
