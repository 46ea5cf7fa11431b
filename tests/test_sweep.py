"""Sweeps agree with single runs of their settings."""

import csv
import os
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

import command
import jaxstyle as js
from jaxstyle import cli, files, pretrained
from jaxstyle.cli.axes import split_axes
from jaxstyle.encoder.vgg import VGG
from jaxstyle.pretrained import random_encoder
from jaxstyle.run import lanes as run_lanes
from jaxstyle.run import loop
from programs import total

folder = command.folder

OBJECTIVE = js.Objective(content_layers=("conv2_2",), style_layers=("image", "conv1_1", "conv3_1"))
SCHEDULE = js.Schedule(iterations=12, scales=2, coarse_iterations=5, coarsest=16)
OPTIONS = {"objective": OBJECTIVE, "schedule": SCHEDULE}


def check(swept, singles):
    """Compares image, loss and number of iterations of each setting."""
    assert len(swept.image) == len(singles)
    for i, single in enumerate(singles):
        np.testing.assert_allclose(swept.image[i], single.image, atol=5e-3)
        loss = total(single.terms)
        np.testing.assert_allclose(total(swept.terms)[i], loss[-1], rtol=1e-3)
        assert swept.iterations[i] == len(loss)
    assert swept.finite.all()


@pytest.mark.parametrize("serial", [True, False])
def test_sweep_over_loss_weights(encoder, pictures, monkeypatch, serial):
    """Two scales, fewer lanes than settings, line searches of different lengths."""
    monkeypatch.setattr(run_lanes, "serial_lanes", lambda _: serial)
    weights = js.LossWeights(style=jnp.array([0.1, 10.0, 3000.0]), tv=0.1)
    seen = []
    swept = js.sweep(
        *pictures, encoder, loss_weights=weights, lanes=2, callback=seen.append, **OPTIONS
    )
    singles = [
        js.stylize(*pictures, encoder, loss_weights=weights.replace(style=w), **OPTIONS)
        for w in weights.style
    ]
    check(swept, singles)
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1)


def test_serial_lanes_need_the_memory_of_one(pictures, monkeypatch):
    """Temporary memory of the compiled programs."""
    taken, advance = {}, run_lanes._advance

    def measure(*arguments):
        lanes, serial = len(arguments[3]), arguments[-1]
        analysis = advance.lower(*arguments).compile().memory_analysis()
        taken[lanes, serial] = analysis.temp_size_in_bytes
        return advance(*arguments)

    monkeypatch.setattr(run_lanes, "_advance", measure)
    wide = random_encoder(VGG(depths=(2, 2, 1), widths=(64, 64, 64)))
    weights = js.LossWeights(style=jnp.arange(1.0, 5.0))
    once = {"objective": OBJECTIVE, "schedule": js.Schedule(iterations=1, scales=1)}
    for lanes, serial in ((1, True), (4, True), (4, False)):
        monkeypatch.setattr(run_lanes, "serial_lanes", lambda _, serial=serial: serial)
        few = js.lbfgs(history=1)  # so that most of it are features
        js.sweep(*pictures, wide, loss_weights=weights, lanes=lanes, solver=few, **once)
    assert taken[4, True] < 1.5 * taken[1, True]
    assert taken[4, False] > 3 * taken[1, True]


def test_sweep_over_seeds_blends_styles_and_contents(encoder, pictures):
    content, style = pictures
    other = 1 - 0.5 * style
    once = {"objective": OBJECTIVE, "schedule": js.Schedule(iterations=6, scales=1)}
    seeds = js.sweep(*pictures, encoder, seeds=[3, 4], init="noise", **once)
    check(seeds, [js.stylize(*pictures, encoder, seed=s, init="noise", **once) for s in (3, 4)])
    shares = [[1.0, 3.0], [2.0, 0.5]]
    blends = js.sweep(content, js.Styles([style, other], jnp.array(shares)), encoder, **once)
    singles = [js.Styles([style, other], b) for b in shares]
    check(blends, [js.stylize(content, s, encoder, **once) for s in singles])
    styles = js.sweep(content, jnp.stack([style, other]), encoder, **once)
    check(styles, [js.stylize(content, s, encoder, **once) for s in (style, other)])
    contents = jnp.stack([content, content[:, ::-1]])
    both = js.sweep(contents, jnp.stack([style, other]), encoder, **once)
    check(both, [js.stylize(c, s, encoder, **once) for c, s in zip(contents, (style, other))])


def test_more_settings_do_not_recompile(encoder, pictures, monkeypatch):
    traces, plain = [], loop.terms_of
    monkeypatch.setattr(loop, "terms_of", lambda *a, **k: traces.append(1) or plain(*a, **k))
    content, style = (p[:-2, :-2] for p in pictures)
    once = {"objective": OBJECTIVE, "schedule": js.Schedule(iterations=2, scales=1), "lanes": 2}
    for count in (2, 7):
        weights = js.LossWeights(style=jnp.geomspace(1, 9, count))
        js.sweep(content, style, encoder, loss_weights=weights, **once)
        first = traces.copy() if count == 2 else first
    assert first
    assert len(traces) == len(first)


def test_setting_that_overflows_does_not_affect_the_others(encoder, pictures):
    once = {"objective": OBJECTIVE, "schedule": js.Schedule(iterations=4, scales=1)}
    weights = js.LossWeights(style=jnp.array([3.3e38, 10.0]))
    swept = js.sweep(*pictures, encoder, loss_weights=weights, **once)
    assert swept.finite.tolist() == [False, True]
    np.testing.assert_allclose(swept.image[0], pictures[0], atol=1e-6)
    single = js.stylize(*pictures, encoder, loss_weights=weights.replace(style=10.0), **once)
    np.testing.assert_allclose(swept.image[1], single.image, atol=5e-3)


def test_callback_stops_the_sweep(encoder, pictures):
    weights = js.LossWeights(style=jnp.array([1.0, 10.0, 100.0]))
    swept = js.sweep(
        *pictures, encoder, loss_weights=weights, lanes=2, callback=lambda p: True, **OPTIONS
    )
    assert swept.image.shape == (3, 36, 44, 3)
    assert np.isfinite(swept.image).all()
    assert swept.iterations.tolist()[2] == 0


def test_solver_memory_is_carried_to_the_next_scale(encoder, pictures):
    """As in single runs, after a setting that overflows, too."""
    weights = js.LossWeights(style=jnp.array([3.3e38, 1.0, 10.0]))
    options = OPTIONS | {"solver": js.adam()}
    swept = js.sweep(*pictures, encoder, loss_weights=weights, lanes=2, **options)
    assert swept.finite.tolist() == [False, True, True]
    for i in (1, 2):
        one = js.stylize(
            *pictures, encoder, loss_weights=weights.replace(style=weights.style[i]), **options
        )
        np.testing.assert_allclose(swept.image[i], one.image, atol=1e-4)


def test_numbers_of_settings_must_agree(encoder, pictures):
    weights = js.LossWeights(style=jnp.ones(3))
    with pytest.raises(js.InputError, match=r"loss_weights \[3\], seeds \[2\]"):
        js.sweep(*pictures, encoder, loss_weights=weights, seeds=[1, 2], **OPTIONS)
    with pytest.raises(js.InputError, match="lanes 0"):
        js.sweep(*pictures, encoder, loss_weights=weights, lanes=0, **OPTIONS)


DEVICES = """
import jax, jax.numpy as jnp, jaxstyle as js
from jaxstyle.pretrained import random_encoder
from jaxstyle.run import lanes

assert len(jax.devices()) == 4
encoder = random_encoder(js.VGG((1, 1), widths=(8, 16)))
content, style = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3))
objective = js.Objective(content_layers=("conv2_1",), style_layers=("conv1_1",))
options = dict(objective=objective, schedule=js.Schedule(iterations=4, scales=1))
weights = js.LossWeights(style=jnp.geomspace(1.0, 100.0, 4))
used = []
plain = lanes._advance
lanes._advance = lambda state, *rest: used.append(len(state.image.devices())) or plain(state, *rest)
spread = js.sweep(content, style, encoder, loss_weights=weights, lanes=4, **options)
assert set(used) == {4}, used
few = js.sweep(content, style, encoder, loss_weights=weights, lanes=3, **options)
assert set(used) == {4}, used  # one of them is idle
whole = js.sweep(content, style, encoder, loss_weights=weights, lanes=1, **options)
assert used[-1] == 1
print(float(max(jnp.abs(image - whole.image).max() for image in (spread.image, few.image))))
"""


def test_lanes_are_spread_over_devices():
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
    run = subprocess.run(
        [sys.executable, "-c", DEVICES],
        env=os.environ | {"XLA_FLAGS": flags},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < 1e-4


@pytest.mark.usefixtures("folder")
def test_the_command_paints_a_grid(capsys):
    words = [*command.ENCODER, *command.QUICK, "--no-compile-cache", "--iterations", "3"]
    sweep = ["sweep", "photo.png", "painting.png", "-o", "all", *words]
    sweep += ["--style-weight", "1,30", "--content-layers", "conv2_2;conv1_2,conv2_1"]
    assert cli.main(sweep) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1] == os.path.join("all", "sheet.png")
    with open("all/table.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["style_weight"] for row in rows] == ["1", "1", "30", "30"]
    assert {row["status"] for row in rows} == {"finished"}
    pictures = sorted(path for path in os.listdir("all") if path not in ("sheet.png", "table.csv"))
    assert len(pictures) == 4
    for name in pictures:
        recipe = js.Recipe().updated(files.load_metadata(f"all/{name}").settings)
        provenance = files.load_metadata(f"all/{name}").provenance
        narrow = js.load_encoder("narrow.h5")
        assert provenance["encoder_sha256"] == pretrained.fingerprint(narrow)
        assert provenance["evaluations"] > 0
        assert f"style_weight={recipe.style_weight:g}" in name
        alone = [*words, "--style-weight", str(recipe.style_weight), "--content-layers"]
        alone.append(",".join(recipe.content_layers))
        one = ["stylize", "photo.png", "painting.png", "-o", "one.png", "--overwrite"]
        assert cli.main([*one, *alone]) == 0
        np.testing.assert_allclose(
            js.load_image("one.png"), js.load_image(f"all/{name}"), atol=2.01 / 255
        )
    sheet = js.load_image("all/sheet.png")
    h, w, _ = js.load_image("one.png").shape
    assert sheet.shape[0] > 2 * h
    assert sheet.shape[1] > 2 * w


def test_flags_and_paths_with_commas_are_not_axes(tmp_path):
    init, clamp = tmp_path / "a,b.png", ["--clamp", "--no-normalise-gradients"]
    init.touch()
    words = ["a.png", *clamp, "--seed", "1,2", "--init", str(init), "--encoder=x,y"]
    single, axes = split_axes([*words, "--stretch-style"])
    assert [(axis.name, axis.words) for axis in axes] == [
        ("seed", ("1", "2")),
        ("encoder", ("x", "y")),
    ]
    kept = ["--init", str(init), "--encoder", "x", "--stretch-style"]
    assert single == ["a.png", *clamp, "--seed", "1", *kept]


@pytest.mark.parametrize(("options", "needles"), [
    ([], ["nothing varies", "--style-weight 1,3,10"]),
    (["--seed", "1,2", "--tv-weight", "0,1", "--style-weight", "1,2"], ["--seed", "one or two"]),
    (["--style-weight", "1,much"], ["--style-weight", "much"]),
    (["--iterations", "1,-2"], ["iterations", "-2"]),
    (["--seed=1,2", "--lanes", "0"], ["lanes 0"]),
    (["--content-layers", "conv1_1=much;conv2_1"], ["--content-layers", "much"]),
    (["--seed", ","], ["--seed"]),
    (["--style-weight", "6,1,6.0"], ["--style-weight", "6.0 is repeated"]),
])  # fmt: skip
def test_invalid_sweeps_are_refused(folder, capsys, options, needles):
    words = ["sweep", "photo.png", "painting.png", "-o", "out.png", *command.ENCODER]
    code = cli.main([*words, *command.QUICK, *options])
    command.check_refused(capsys, folder, code, *needles)
