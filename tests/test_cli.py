"""The command, end to end: what it writes, what it says, every bad input it must survive."""

import os
import subprocess
import sys
from pathlib import Path

import h5py
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image as PillowImage

import command
import jaxstyle as js
from command import QUICK, check_refused, stylize
from jaxstyle import cli, files, pretrained
from jaxstyle.jobs import painter

folder = command.folder


def test_writes_what_the_library_computes(folder, capsys):
    assert stylize() == 0
    assert capsys.readouterr().out == "out.png\n"
    result = js.stylize(
        js.load_image("photo.png", size=40),
        js.load_image("painting.png", size=40),
        js.load_encoder("narrow.h5"),
        objective=js.Objective(
            content_layers=("conv2_2",), style_layers=("image", "conv1_1", "conv3_1")
        ),
        loss_weights=js.LossWeights(style_layers={"image": 20.0}),
        schedule=js.Schedule(iterations=4, scales=1),
    )
    np.testing.assert_allclose(js.load_image("out.png"), result.image, atol=0.51 / 255)
    assert not np.allclose(result.image, js.load_image("photo.png", size=40), atol=0.05)


def test_says_device_encoder_and_size(folder, capsys):
    stylize()
    told = capsys.readouterr().err
    assert "device cpu" in told
    assert "encoder narrow.h5" in told
    assert "40×33" in told


def test_quiet_prints_the_path_only(folder, capsys):
    assert stylize("--quiet") == 0
    assert capsys.readouterr() == ("out.png\n", "")


def test_programs_are_kept_in_the_cache_folder(folder, monkeypatch):
    """In processes of their own: this one would go on keeping them."""
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.delenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", raising=False)
    words = ["stylize", "photo.png", "painting.png", "-o", "out.png", "--overwrite", "--quiet"]
    code = "import sys; from jaxstyle import cli; print(cli.main(sys.argv[1:]))"
    kept = []
    for _ in range(2):
        command = [sys.executable, "-c", code, *words, "--encoder", "narrow.h5", *QUICK]
        assert subprocess.check_output(command, text=True).split() == ["out.png", "0"]
        programs = folder.glob("cache/compiled/*-cache")
        kept.append({path: path.stat().st_mtime_ns for path in programs})
    assert kept[0] == kept[1] != {}
    # Even what compiles at once, such as where the loop starts.
    assert list(folder.glob("cache/compiled/jit_start-*"))


def test_no_compile_cache_keeps_none(folder):
    stylize()
    assert not (folder / "cache").exists()


def test_settings_are_in_the_file(folder, encoder):
    stylize("--style-weight", "77", "--seed", "5")
    settings, provenance = files.load_metadata("out.png")
    recipe = js.Recipe().updated(settings)
    assert (recipe.style_weight, recipe.seed, recipe.encoder) == (77.0, 5, "narrow.h5")
    assert recipe.to_table() == settings
    assert str(folder) not in str(settings | provenance)
    assert provenance["content"] == "photo.png"
    assert provenance["version"] == js.__version__
    assert provenance["encoder_sha256"] == pretrained.fingerprint(encoder)


def test_alpha_is_put_back(folder, pictures):
    alpha = np.linspace(0, 1, 44)[None].repeat(36, 0)
    files.save_image(
        "photo.png", pictures[0], alpha=jnp.asarray(alpha, jnp.float32), overwrite=True
    )
    assert stylize("--size", "44") == 0
    written = np.asarray(PillowImage.open("out.png"))
    assert written.shape == (36, 44, 4)
    np.testing.assert_allclose(written[..., 3] / 255, alpha, atol=0.01)


@pytest.mark.parametrize("out", ["out.jpg", "out.webp", "out.tif", "out.tiff", "out.jpeg"])
def test_other_formats(folder, out):
    assert stylize(out=out) == 0
    assert js.load_image(out).shape == (33, 40, 3)


def test_overflow_is_told_and_the_picture_saved(folder, capsys):
    assert stylize("--style-weight", "3.3e38") == 1
    told = capsys.readouterr().err
    assert "after 0 iterations: the loss's style term is not finite" in told
    assert "try a smaller --style-weight" in told
    assert js.load_image("out.png").shape == (33, 40, 3)


def put(name, data):
    Path(name).write_bytes(data)


BAD_PICTURES = {
    "missing file": (lambda: None, "no such file"),
    "folder": (lambda: Path("bad.png").mkdir(), "folder"),
    "empty file": (lambda: put("bad.png", b""), "empty"),
    "truncated": (lambda: put("bad.png", Path("photo.png").read_bytes()[:700]), "is damaged"),
    "text": (
        lambda: put("bad.png", b"Dear all, the photo is attached.\n" * 9),
        "not an image of a known format",
    ),
    "tiny": (lambda: PillowImage.new("RGB", (200, 15)).save("bad.png"), "16"),
    "bomb": (lambda: PillowImage.new("1", (20000, 20000)).save("bad.png"), "megapixels"),
}


@pytest.mark.parametrize("kind", BAD_PICTURES)
@pytest.mark.parametrize("place", [0, 1], ids=["content", "style"])
def test_bad_picture(folder, capsys, kind, place):
    make, needle = BAD_PICTURES[kind]
    make()
    names = ["photo.png", "photo.png"]
    names[place] = "bad.png"
    code = cli.main(["stylize", *names, "-o", "out.png", *command.ENCODER, *QUICK])
    check_refused(capsys, folder, code, "bad.png", needle)


@pytest.mark.parametrize(("options", "needles"), [
    (["--style-weight", "-1"], ["--style-weight", "-1"]),
    (["--content-weight", "nan"], ["--content-weight", "nan"]),
    (["--tv-weight", "inf"], ["--tv-weight", "inf"]),
    (["--style-weight", "much"], ["--style-weight", "much"]),
    (["--content-layers", "conv9_1"], ["conv9_1"]),
    (["--style-layers", "fc6"], ["fc6"]),
    (["--style-layers", "image=-2"], ["--style-layers", "image", "-2"]),
    (["--style-layers", "image=much"], ["--style-layers", "much"]),
    (["--content-layers", "image=nan"], ["--content-layers", "nan"]),
    (["--encoder", "vgg91"], ["vgg91"]),
    (["--encoder", "missing.h5"], ["missing.h5"]),
    (["--size", "15"], ["--size", "15"]),
    (["--size", "0"], ["--size"]),
    (["--size", "40x"], ["--size", "40x"]),
    (["--size", "40x15"], ["--size", "15"]),
    (["--size", "40x40x40"], ["--size", "40x40x40"]),
    (["--style-scale", "0"], ["--style-scale"]),
    (["--style-scale", "inf"], ["--style-scale"]),
    (["--style-scale", "0.3"], ["--style-scale", "0.3"]),
    (["--scales", "0"], ["--scales"]),
    (["--scale-factor", "1"], ["--scale-factor"]),
    (["--average", "1"], ["--average"]),
    (["--coarsest", "15"], ["--coarsest"]),
    (["--history", "0"], ["--history"]),
    (["--solver", "adam", "--learning-rate", "0"], ["--learning-rate"]),
    (["--solver", "adam", "--b2", "1"], ["--b2"]),
    (["--solver", "gradient-descent", "--decay", "2"], ["--decay"]),
    (["--clamp"], ["--clamp", "lbfgs"]),
    (["--statistic", "median"], ["median"]),
    (["--colour", "red"], ["red"]),
    (["--iterations", "-5"], ["--iterations"]),
    (["--init", "nothing"], ["--init", "nothing"]),
    (["--solver", "newton"], ["newton"]),
    (["--pooling", "min"], ["min"]),
    (["--frobnicate"], ["--frobnicate"]),
    (["--seed"], ["--seed"]),
    (["--seed", "-1"], ["--seed"]),
    (["--seed", "1" + "0" * 30], ["--seed"]),
    (["--init", "x" * 300 + ".png"], ["--init"]),
], ids=lambda value: " ".join(value))  # fmt: skip
def test_bad_option(folder, capsys, options, needles):
    check_refused(capsys, folder, stylize(*options), *needles)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_mistakes_are_one_line_on_every_terminal(tmp_path, encoding):
    words = [sys.executable, "-m", "jaxstyle", "stylize", "photo.png", "--solver", "newton"]
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    run = subprocess.run(words, capture_output=True, cwd=tmp_path, env=environment)
    told = run.stderr.decode(encoding)
    assert run.returncode == 2
    assert told.startswith("jaxstyle: ")
    assert "'newton'" in told
    assert told.count("\n") == 1
    assert not set("─│╭╰") & set(told)
    assert "----" not in told


@pytest.mark.parametrize(("options", "needles"), [
    (["--solver", "adam", "--clamp", "--variable", "encoder"], ["--clamp", "encoder"]),
    (["--normalise-gradients"], ["--normalise-gradients", "adam"]),
], ids=lambda value: " ".join(value))  # fmt: skip
def test_options_that_exclude_each_other(folder, capsys, options, needles):
    check_refused(capsys, folder, stylize("--quiet", *options), *needles)


def test_missing_arguments(folder, capsys):
    check_refused(capsys, folder, cli.main(["stylize"]), "CONTENT")
    check_refused(capsys, folder, cli.main(["stylize", "photo.png", "painting.png"]), "--output")
    check_refused(capsys, folder, cli.main(["paint"]), "paint")


@pytest.mark.parametrize(("out", "needle"), [
    ("nowhere/out.png", "nowhere"), ("out.xyz", ".xyz"), ("photo.png", "exists already"),
    (".", "is a folder"),
])  # fmt: skip
def test_bad_output(folder, capsys, out, needle):
    before = (folder / "photo.png").read_bytes()
    check_refused(capsys, folder, stylize(out=out), needle)
    assert (folder / "photo.png").read_bytes() == before


@pytest.mark.parametrize(("out", "options"), [
    ("photo.png", []), ("painting.png", []), ("link.png", []),
    ("out.png", ["--preview", "photo.png"]),
    ("out.png", ["--init", "third.png", "--timelapse", "third.webp"]),
])  # fmt: skip
def test_inputs_are_never_replaced(folder, capsys, out, options):
    """Not even with --overwrite, nor through a link."""
    Path("link.png").symlink_to("painting.png")
    files.save_image("third.webp", js.load_image("photo.png"))
    os.link("third.webp", "third.png")
    before = {path: path.read_bytes() for path in folder.glob("*.*p*")}
    code = stylize("--overwrite", "--quiet", *options, out=out)
    check_refused(capsys, folder, code, "would replace an input")
    assert before == {path: path.read_bytes() for path in folder.glob("*.*p*")}


def test_output_folder_that_cannot_be_written(folder, capsys, monkeypatch):
    # Permissions do not bind the superuser, under whom tests may run.
    monkeypatch.setattr("os.access", lambda *arguments, **options: False)
    check_refused(capsys, folder, stylize(), "out.png")


def test_overwrite(folder):
    put("out.png", b"old")
    assert stylize("--overwrite") == 0
    assert js.load_image("out.png").shape == (33, 40, 3)


def test_failed_write_leaves_the_old_file(folder, monkeypatch, capsys):
    put("out.png", b"old")
    monkeypatch.setattr(
        "os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left"))
    )
    assert stylize("--overwrite") == 1
    assert (folder / "out.png").read_bytes() == b"old"
    assert "No space left" in capsys.readouterr().err
    assert {p.name for p in folder.iterdir()} <= {
        "out.png",
        "photo.png",
        "painting.png",
        "narrow.h5",
        "cache",
    }


def test_corrupt_parameter_file(folder, capsys):
    put("narrow.h5", (folder / "narrow.h5").read_bytes()[:3000])
    check_refused(capsys, folder, stylize(), "narrow.h5")


def test_debug_shows_the_traceback(folder):
    with pytest.raises(js.InputError):
        stylize("--encoder", "missing.h5", "--debug")


def test_a_fault_of_ours_is_one_line(folder, capsys, monkeypatch):
    def fault(*arguments, **options):
        raise RuntimeError("a wheel came off\nand more")

    monkeypatch.setattr(painter, "paint", fault)
    assert stylize("--quiet") == 1
    assert (
        capsys.readouterr().err
        == "jaxstyle: RuntimeError: a wheel came off (--debug shows where)\n"
    )


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"jaxstyle {js.__version__}\n"


def test_module_and_command_are_the_same(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "jaxstyle", "--version"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert (run.returncode, run.stdout) == (0, f"jaxstyle {js.__version__}\n")


def test_weights_list(folder, capsys):
    assert cli.main(["weights", "list"]) == 0
    told = capsys.readouterr().out
    for name in ("vgg19", "vgg16", "vgg19-torch", "vgg16-torch", "random"):
        assert name in told
    assert "253f8cb515780f3b799900260a226db6" in told


def test_weights_verify(folder, capsys, encoder):
    assert cli.main(["weights", "verify", "narrow.h5"]) == 0
    told = capsys.readouterr().out
    assert "conv3_1" in told
    assert pretrained.fingerprint(encoder) in told


def test_weights_convert(folder, capsys, encoder, rng):
    with h5py.File("keras.h5", "w") as file:
        for block, depth in enumerate((2, 2, 3, 3, 3), 1):
            for i in range(1, depth + 1):
                name = f"block{block}_conv{i}"
                group = file.create_group(f"{name}/{name}")
                width = 3 if (block, i) == (1, 1) else 4
                group["kernel:0"] = rng.normal(size=(3, 3, width, 4)).astype("float32")
                group["bias:0"] = np.zeros(4, "float32")
    assert cli.main(["weights", "convert", "keras.h5", "ours.h5"]) == 0
    assert capsys.readouterr().out == "ours.h5\n"
    assert stylize("--encoder", "ours.h5") == 0
    assert cli.main(["weights", "convert", "keras.h5", "short.h5", "--dtype", "float16"]) == 0
    assert pretrained.verify("short.h5").dtype == "float16"


def test_weights_convert_refuses_what_it_does_not_know(folder, capsys):
    code = cli.main(["weights", "convert", "photo.png", "out.png"])
    check_refused(capsys, folder, code, "photo.png")
