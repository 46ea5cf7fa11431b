"""The command, end to end: files, messages, and bad input."""

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


def test_result_agrees_with_the_library(folder, capsys):
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


def test_prints_device_encoder_and_size(folder, capsys):
    stylize()
    printed = capsys.readouterr().err
    assert "device cpu" in printed
    assert "encoder narrow.h5" in printed
    assert "40×33" in printed


def test_quiet_prints_the_path_only(folder, capsys):
    assert stylize("--quiet") == 0
    assert capsys.readouterr() == ("out.png\n", "")


def test_programs_are_stored_in_the_cache_folder(folder, monkeypatch):
    """In separate processes: this one would go on storing them."""
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
    # Even programs that compile quickly, such as the start of the loop.
    assert list(folder.glob("cache/compiled/jit_start-*"))


def test_no_compile_cache_stores_no_programs(folder):
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


def test_overflow_is_reported_and_the_picture_saved(folder, capsys):
    assert stylize("--style-weight", "3.3e38") == 1
    printed = capsys.readouterr().err
    assert "after 0 iterations: the loss's style term is not finite" in printed
    assert "try a smaller --style-weight" in printed
    assert js.load_image("out.png").shape == (33, 40, 3)


def put(name, data):
    Path(name).write_bytes(data)


# test_files.py has all kinds of bad pictures.
BAD_PICTURES = {
    "missing file": (lambda: None, "no such file"),
    "truncated": (lambda: put("bad.png", Path("photo.png").read_bytes()[:700]), "is damaged"),
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
    (["--style-weight", "much"], ["--style-weight", "much"]),
    (["--content-layers", "conv9_1"], ["conv9_1"]),
    (["--style-layers", "image=-2"], ["--style-layers", "image", "-2"]),
    (["--style-layers", "image=much"], ["--style-layers", "much"]),
    (["--encoder", "vgg91"], ["vgg91"]),
    (["--encoder", "missing.h5"], ["missing.h5"]),
    (["--size", "15"], ["--size", "15"]),
    (["--size", "40x"], ["--size", "40x"]),
    (["--size", "40x40x40"], ["--size", "40x40x40"]),
    (["--style-scale", "0.3"], ["--style-scale", "0.3"]),
    (["--solver", "adam", "--learning-rate", "0"], ["--learning-rate"]),
    (["--clamp"], ["--clamp", "lbfgs"]),
    (["--statistic", "median"], ["median"]),
    (["--init", "nothing"], ["--init", "nothing"]),
    (["--solver", "newton"], ["newton"]),
    (["--frobnicate"], ["--frobnicate"]),
    (["--seed"], ["--seed"]),
    (["--seed", "1" + "0" * 30], ["--seed"]),
    (["--init", "x" * 300 + ".png"], ["--init"]),
], ids=lambda value: " ".join(value))  # fmt: skip
def test_bad_option(folder, capsys, options, needles):
    check_refused(capsys, folder, stylize(*options), *needles)


def test_mistakes_are_one_line_in_a_process(tmp_path):
    words = [sys.executable, "-m", "jaxstyle", "stylize", "photo.png", "--solver", "newton"]
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    run = subprocess.run(words, capture_output=True, cwd=tmp_path, env=environment)
    printed = run.stderr.decode("latin-1")
    assert run.returncode == 2
    assert printed.startswith("jaxstyle: ")
    assert "'newton'" in printed
    assert printed.count("\n") == 1
    assert not set("─│╭╰") & set(printed)
    assert "----" not in printed


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


def test_corrupt_parameter_file(folder, capsys):
    put("narrow.h5", (folder / "narrow.h5").read_bytes()[:3000])
    check_refused(capsys, folder, stylize(), "narrow.h5")


def test_debug_shows_the_traceback(folder):
    with pytest.raises(js.InputError):
        stylize("--encoder", "missing.h5", "--debug")


def test_an_unexpected_error_is_one_line(folder, capsys, monkeypatch):
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


def test_weights_list(folder, capsys):
    assert cli.main(["weights", "list"]) == 0
    printed = capsys.readouterr().out
    for name in ("vgg19", "vgg16", "vgg19-torch", "vgg16-torch", "random"):
        assert name in printed
    assert "253f8cb515780f3b799900260a226db6" in printed


def test_weights_verify(folder, capsys, encoder):
    assert cli.main(["weights", "verify", "narrow.h5"]) == 0
    printed = capsys.readouterr().out
    assert "conv3_1" in printed
    assert pretrained.fingerprint(encoder) in printed


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


def test_weights_convert_refuses_unknown_files(folder, capsys):
    code = cli.main(["weights", "convert", "photo.png", "out.png"])
    check_refused(capsys, folder, code, "photo.png")
