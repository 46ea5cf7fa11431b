"""The server of the web page: what it paints, whom it refuses, and what it deletes."""

import asyncio
import base64
import contextlib
import io
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

import httpx2
from starlette.testclient import TestClient

import jaxstyle as js
import page
from jaxstyle import cli, files
from jaxstyle.errors import InputError
from jaxstyle.files.result import digests
from jaxstyle.web import controls
from jaxstyle.web.app import make_app
from jaxstyle.web.limits import Limits
from jaxstyle.web.pace import Pace
from jaxstyle.web.pictures import take_in
from jaxstyle.web.reading import read_static
from jaxstyle.web.runs import QueuedRun
from jaxstyle.web.sessions import Session

HOME = "http://localhost"


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def serve(tmp_path, clock):
    """Makes clients of one server, each with its own cookies."""
    with contextlib.ExitStack() as stack:

        def start(limits=None, visitors=1, before=lambda inputs: None):
            app = make_app(tmp_path, painter=page.Hooked(before), limits=limits, clock=clock)
            stack.enter_context(TestClient(app, HOME))
            clients = [TestClient(app, HOME) for _ in range(visitors)]
            for client in clients:
                assert client.post("/api/session").status_code == 200
            return clients if visitors > 1 else clients[0]

        yield start


def upload(client, name="photo.png", **options):
    answer = client.post(f"/api/pictures?name={name}", content=page.picture(**options))
    assert answer.status_code == 200, answer.text
    return answer.json()


def wish(client, **changes):
    content, style = upload(client), upload(client, "painting.png", seed=1)
    settings = page.QUICK | changes.pop("settings", {})
    styles = [{"id": style["id"], "share": 1}]
    return {
        "content": content["id"],
        "styles": styles,
        "preset": "default",
        "settings": settings,
    } | changes


def paint(client, wished):
    answer = client.post("/api/runs", json=wished)
    assert answer.status_code == 200, answer.text
    return wait(client, answer.json()["id"])


def wait(client, run, until=("done", "stopped", "failed")):
    for _ in range(1200):
        found = client.get(f"/api/runs/{run}").json()
        if found["state"] in until:
            return found
        time.sleep(0.05)
    raise AssertionError(found)


def download(client, run, suffix=".png", result=0):
    answer = client.get(f"/api/runs/{run['id']}/results/{result}/picture{suffix}")
    assert answer.status_code == 200, answer.text
    return answer


def test_a_picture_equals_that_of_the_library(serve, tmp_path, capsys):
    """The pixels of ``paint``, with the settings in every format; ``rerun`` paints them again."""
    client = serve()
    run = paint(client, wish(client, settings={"memory": "whole"}))
    assert run["state"] == "done", run
    got = np.asarray(Image.open(io.BytesIO(download(client, run).content)))
    for name, seed in (("photo.png", 0), ("painting.png", 1)):
        (tmp_path / name).write_bytes(page.picture(seed=seed))
    recipe = js.Recipe().updated(page.QUICK | {"memory": "whole"})
    content, style = (js.load_image(tmp_path / f"{n}.png") for n in ("photo", "painting"))
    expected = np.asarray(js.paint(recipe, content, style).image)
    assert np.abs(got - np.rint(expected * 255)).max() <= 1
    for suffix in (".png", ".jpg", ".tif"):
        answer = download(client, run, suffix)
        assert f"photo-painted{suffix}" in answer.headers["content-disposition"]
        (tmp_path / f"out{suffix}").write_bytes(answer.content)
        settings, told = files.load_metadata(tmp_path / f"out{suffix}")
        assert js.Recipe().updated(settings) == recipe
        assert told["styles"] == ["painting.png"]
        pictures = {"content": tmp_path / "photo.png", "styles": [tmp_path / "painting.png"]}
        assert told["sha256"] == digests(**pictures)
    carried = client.post("/api/settings?name=out.png", content=download(client, run).content)
    assert carried.json()["settings"] == recipe.to_table()
    assert carried.json()["sources"]["content"] == "photo.png"
    assert cli.main(["rerun", f"{tmp_path}/out.png", "--no-compile-cache"]) == 0
    assert "the same file, byte for byte" in capsys.readouterr().err


def test_events_report_the_progress(serve):
    client = serve()
    started = client.post("/api/runs", json=wish(client)).json()
    with client.stream("GET", "/api/events") as stream:
        lines = [line for line in stream.iter_lines() if line.startswith("data: {")]
    assert '"state": "done"' in lines[-1]
    assert '"style":' in lines[-1]
    preview = client.get(f"/api/runs/{started['id']}/preview")
    assert Image.open(io.BytesIO(preview.content)).size == (32, 24)


def test_a_sheet_and_a_print(serve):
    """Strengths grow; a print starts from the preview and is larger.

    The file of a removed picture stays as long as they need it, but its place is free.
    """
    client = serve(Limits(max_files=2))
    asked = wish(client)
    sheet = paint(client, asked | {"kind": "sheet"})
    weights = [found["style_weight"] for found in sheet["results"]]
    assert weights == sorted(weights)
    assert len(set(weights)) == 6
    assert js.Recipe().style_weight in weights
    path = f"/api/pictures/{asked['content']}"
    client.delete(path)
    kept = client.post("/api/session").json()["pictures"]
    assert [(found["name"], found["role"]) for found in kept] == [("painting.png", "style")]
    assert client.get(path).status_code == 200
    unused = f"/api/pictures/{upload(client)['id']}"
    client.delete(unused)
    assert client.get(unused).status_code == 404
    finer = paint(client, {"kind": "print", "from": sheet["id"], "result": 3, "size": 64})
    (found,) = finer["results"]
    assert found["shape"] == [48, 64]
    assert found["style_weight"] == weights[3]
    assert found["settings"]["scales"] == 1
    printed = download(client, finer).content
    carried = client.post("/api/settings?name=out.png", content=printed).json()
    assert carried["settings"] == sheet["results"][3]["settings"]
    small = client.post("/api/runs", json={"kind": "print", "from": sheet["id"], "size": 32})
    assert small.status_code == 400
    large = client.post("/api/runs", json={"kind": "print", "from": sheet["id"], "size": 9000})
    assert "size: 9000×6750 is too large here" in large.json()["error"]
    whole = paint(client, {"from": sheet["id"], "result": 3})["results"][0]
    assert whole["settings"] == js.Recipe().updated(page.QUICK).to_table() | {
        "style_weight": weights[3],
        "memory": "whole",
    }
    assert client.post("/api/runs", json={"from": finer["id"]}).status_code == 400


def test_a_print_has_only_sizes_above_its_preview():
    recipe = controls.enlarged(js.Recipe(size=512), 2048, (384, 512))
    assert [s.shape for s in recipe.make_schedule().scales_of((1536, 2048))] == [
        (768, 1024),
        (1536, 2048),
    ]


def test_an_empty_field_means_none():
    """Where None is not allowed, the page gets a message instead of the preset's value."""
    asked = {"first_iterations": None, "pooling": "", "encoder": "random"}
    recipe = controls.recipe_of("crowson", asked, ["random"])
    assert (recipe.first_iterations, recipe.pooling) == (None, None)
    for name in ("iterations", "nonsense"):
        with pytest.raises(InputError, match=f"^{name}: empty"):
            controls.recipe_of("default", {name: None}, ["vgg16"])


@pytest.mark.parametrize("factor", [1 + 1e-12, 1.02, 2.0, 1e9])
def test_a_print_has_few_sizes_for_any_factor_of_its_preview(factor):
    recipe = controls.enlarged(js.Recipe(scale_factor=factor), 4096, (384, 512))
    shapes = [scale.shape for scale in recipe.make_schedule().scales_of((3072, 4096))]
    assert shapes[-1] == (3072, 4096)
    assert len(shapes) <= 6
    assert all(max(shape) > 512 for shape in shapes)


@pytest.mark.parametrize("size", [512, 2**16 + 1, 10**400])
def test_useless_sizes_of_prints_are_refused(size):
    with pytest.raises(InputError, match=r"^size( 512)?: (no|too) large"):
        controls.enlarged(js.Recipe(), size, (384, 512))


def mask(split, times=1):
    image = Image.new("RGB", (48 * times, 36 * times), next(iter(controls.REGIONS)))
    image.paste(list(controls.REGIONS)[1], (0, 0, split * times, 36 * times))
    file = io.BytesIO()
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_masks_guide(serve, tmp_path):
    regions = []
    client = serve(
        before=lambda inputs: regions.append(len(inputs.masks.content) if inputs.masks else 0)
    )
    asked = wish(client)
    plain = download(client, paint(client, asked)).content
    masked = paint(client, asked | {"masks": {"content": mask(10), "styles": [mask(30)]}})
    assert masked["state"] == "done", masked
    guided = download(client, masked).content
    assert np.asarray(Image.open(io.BytesIO(guided))).tolist() != (
        np.asarray(Image.open(io.BytesIO(plain))).tolist()
    )
    (tmp_path / "guided.png").write_bytes(guided)
    assert files.load_metadata(tmp_path / "guided.png").provenance["masks"] is True
    failed = paint(client, asked | {"masks": {"content": mask(10), "styles": [mask(0)]}})
    assert failed["state"] == "failed"
    assert "region" in failed["message"]
    assert "/" not in failed["message"]
    assert regions == [0, 2]


def test_masks_of_refused_runs_are_deleted(serve, tmp_path):
    client = serve(Limits(max_queue=0))
    asked = wish(client)
    for content, style, needle in (
        (mask(10), mask(30), "others are waiting"),
        (mask(10, 50), mask(30), "masks: has 2400×1800 pixels; at most 4 million"),
        (mask(10), "no base64", "masks: not a PNG"),
    ):
        answer = client.post(
            "/api/runs", json=asked | {"masks": {"content": content, "styles": [style]}}
        )
        assert needle in answer.json()["error"]
        assert str(tmp_path) not in answer.text
        assert not list(tmp_path.rglob("mask-*"))


def test_the_number_of_mixed_paintings_is_limited(serve):
    """A painting may be named once only."""
    client = serve()
    asked = wish(client)
    for times, needle in ((2, "twice"), (7, "7 paintings: at most 6")):
        answer = client.post("/api/runs", json=asked | {"styles": asked["styles"] * times})
        assert needle in answer.json()["error"]


def test_pictures_of_a_visitor_are_limited(tmp_path):
    """In number, also of simultaneous uploads, and in bytes."""
    content = page.picture()

    async def hand_in(count, limits):
        app = make_app(tmp_path, limits=limits)
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=HOME) as client:
            await client.post("/api/session")
            asked = [client.post("/api/pictures?name=a.png", content=content) for _ in range(count)]
            return await asyncio.gather(*asked)

    for limits in (Limits(max_files=3), Limits(max_bytes=3 * len(content))):
        answers = asyncio.run(hand_in(8, limits))
        assert [answer.status_code for answer in answers].count(200) == 3
        told = [answer.json()["error"] for answer in answers if answer.status_code == 400]
        assert all(line.endswith("remove one first") or "MB here" in line for line in told)


def test_files_are_deleted_with_the_last_run_that_needs_them(tmp_path):
    session = Session(id="", folder=tmp_path, touched=0.0)
    taken = take_in(session, "a.png", "style", page.picture(), Limits())
    mask = tmp_path / "mask-0.png"
    mask.touch()
    for name in "abc":
        result = tmp_path / f"result-{name}"  # no id of an upload starts with this
        result.write_bytes(b"x" * 1000)
        session.runs[name] = SimpleNamespace(
            id=name,
            over=True,
            results=[SimpleNamespace(path=result)],
            order=SimpleNamespace(init=None, files=(taken.path, mask)),
        )
    session.remove(taken)
    session.make_room(Limits(max_files=2))
    assert {*session.runs} == {"b", "c"}
    session.make_room(Limits(max_bytes=session.used), 1)
    assert {*session.runs} == {"c"}
    assert {path.name for path in tmp_path.iterdir()} == {
        taken.path.name,
        mask.name,
        "result-c",
    }
    session.make_room(Limits(max_files=0))
    assert not session.uploads
    assert not list(tmp_path.iterdir())


def test_shares_of_several_paintings_change_the_picture(serve):
    client = serve()
    asked, other = wish(client), upload(client, "other.png", seed=5)
    pictures = [
        download(client, paint(client, asked | {"styles": [*asked["styles"], second]})).content
        for second in ({"id": other["id"], "share": 0.5}, {"id": other["id"], "share": 4})
    ]
    assert pictures[0] != pictures[1]


@pytest.mark.parametrize(
    ("changes", "needle"),
    [
        ({"encoder": "/etc/passwd"}, "encoder"),
        ({"encoder": "vgg19"}, "encoder"),
        ({"init": "/etc/passwd"}, "init"),
        ({"size": 60000}, "too large here"),
        ({"style_scale": 60.0, "size": 512}, "too large here"),
        ({"style_weight": "much"}, "style_weight"),
        ({"style_layers": {"conv9_9": 1.0}}, "conv9_9': unknown"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_bad_settings_are_reported(serve, changes, needle):
    client = serve()
    answer = client.post("/api/runs", json=wish(client, settings=changes))
    found = answer.json()
    told = found["error"] if answer.status_code == 400 else wait(client, found["id"])["message"]
    assert needle in told


@pytest.mark.parametrize(
    "content", [b"", b"no picture", page.picture()[:200], b"\x89PNG\r\n\x1a\n"]
)
def test_bad_files_are_reported_and_deleted(serve, tmp_path, content):
    client = serve()
    answer = client.post("/api/pictures?name=../../etc/x.png", content=content)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("x.png: ")
    assert str(tmp_path) not in answer.text
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_large_files_are_refused_before_they_are_read(serve):
    client = serve(Limits(max_upload=1000, max_pixels=2000))
    big = client.post("/api/pictures?name=a.png", content=page.picture(400, 300))
    assert big.status_code == 413
    chunks = client.post("/api/pictures?name=a.png", content=(b"x" * 500 for _ in range(9)))
    assert chunks.status_code == 413
    flat = io.BytesIO()
    Image.new("RGB", (100, 100)).save(flat, "PNG")
    many = client.post("/api/pictures?name=bomb.png", content=flat.getvalue())
    assert many.status_code == 400
    assert "bomb.png: has 100×100 pixels" in many.json()["error"]


def test_visitors_see_nothing_of_each_other(serve):
    one, other = serve(visitors=2)
    asked = wish(one)
    run = paint(one, asked)
    paths = [f"/api/pictures/{asked['content']}", f"/api/runs/{run['id']}"]
    paths += [f"{paths[1]}/{part}" for part in ("preview", "results/0/picture.png")]
    paths += [f"{paths[1]}/results/0/preview"]
    for path in paths:
        assert one.get(path).status_code == 200, path
        assert other.get(path).status_code == 404, path
    assert other.post("/api/runs", json=asked).status_code == 404
    assert other.post(f"{paths[1]}/stop").status_code == 404
    assert other.delete(paths[0]).status_code == 404
    assert other.post("/api/session").json()["runs"] == []
    wished = {"kind": "print", "from": run["id"], "size": 64}
    assert other.post("/api/runs", json=wished).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2f..%2f..%2fetc/passwd",
        "/static//etc/passwd",
        "/api/pictures/..%2f..%2fetc%2fpasswd",
        "/api/runs/x/results/0/picture.png",
        "/nothing",
    ],
)
def test_no_path_of_the_server_is_read(serve, path):
    assert serve().get(path).status_code == 404


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 200),
        ({"host": "127.0.0.1:7860"}, 200),
        ({"host": "[::1]:7860"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "localhost.evil.example"}, 403),
        ({"origin": HOME}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
    ],
)
def test_requests_from_other_sites_are_refused(serve, headers, code):
    assert serve().post("/api/session", headers=headers).status_code == code


def test_headers_restrict_the_page_to_its_server(serve):
    client = serve()
    answer = client.get("/")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert "://" not in answer.headers["content-security-policy"]
    client.cookies.clear()
    cookie = client.post("/api/session").headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    brought = TestClient(client.app, HOME, cookies={"jaxstyle": "chosen-by-a-stranger"})
    assert "chosen-by-a-stranger" not in brought.post("/api/session").headers["set-cookie"]


def test_everything_is_deleted_after_an_hour(serve, clock, tmp_path):
    client = serve()
    run = paint(client, wish(client))
    download(client, run)
    clock.now += 3500
    assert client.post("/api/session").json()["runs"]  # still here
    clock.now += 3500
    assert client.get(f"/api/runs/{run['id']}").status_code == 200  # because of the request before
    clock.now += 200
    assert client.get(f"/api/runs/{run['id']}").status_code == 404
    assert not list(tmp_path.iterdir())


def test_empty_sessions_lock_nobody_out(serve, clock):
    """The oldest empty one ends; those with pictures stay."""
    first, second, third = serve(Limits(max_sessions=3), visitors=3)
    upload(first)
    clock.now += 1
    assert second.post("/api/session").status_code == 200
    fourth = TestClient(first.app, HOME)
    assert fourth.post("/api/session").status_code == 200
    codes = [c.get("/api/pictures/none").json()["error"][:4] for c in (first, second, third)]
    assert codes == ["it i", "it i", "the "]
    upload(second)
    upload(fourth)
    full = TestClient(first.app, HOME).post("/api/session")
    assert "too many visitors" in full.json()["error"]


def test_servers_of_one_host_have_different_cookies(serve):
    """Browsers send a host's cookies to all its ports."""
    client = serve()
    one, other = ({"host": f"localhost:{port}"} for port in (7860, 7861))
    cookies = [client.post("/api/session", headers=h).headers["set-cookie"] for h in (one, other)]
    assert [cookie.partition("=")[0] for cookie in cookies] == ["jaxstyle-7860", "jaxstyle-7861"]
    both = {"cookie": "; ".join(cookie.partition(";")[0] for cookie in cookies)}
    again = client.post("/api/session", headers=one | both).headers["set-cookie"]
    assert again == cookies[0]


def test_everything_is_deleted_on_request(serve, tmp_path):
    client = serve()
    upload(client)
    client.delete("/api/session")
    assert not list(tmp_path.iterdir())


def test_a_queue(serve, clock):
    """One run is painted, the others wait in order; a visitor who leaves frees their place."""
    gate = threading.Event()
    limits = Limits(max_queue=2)
    clients = serve(limits, visitors=4, before=lambda inputs: gate.wait(20))
    wishes = [wish(client) for client in clients]
    runs = [c.post("/api/runs", json=w).json() for c, w in zip(clients[:1], wishes[:1])]
    wait(clients[0], runs[0]["id"], ("preparing",))
    runs += [c.post("/api/runs", json=w).json() for c, w in zip(clients[1:3], wishes[1:3])]
    assert [run["ahead"] for run in runs] == [0, 1, 2]
    full = clients[3].post("/api/runs", json=wishes[3])
    assert full.status_code == 400
    assert "waiting" in full.json()["error"]
    clock.now += limits.grace_seconds + 1  # nobody has ever watched
    state = [c.get(f"/api/runs/{run['id']}").json() for c, run in zip(clients, runs)]
    assert [found["state"] for found in state] == ["preparing", "stopped", "stopped"]
    taken = clients[3].post("/api/runs", json=wishes[3]).json()
    assert taken["ahead"] == 1
    gate.set()
    assert wait(clients[0], runs[0]["id"])["state"] == "stopped"
    assert wait(clients[1], runs[1]["id"])["state"] == "stopped"
    assert wait(clients[3], taken["id"])["state"] == "done"


def test_a_picture_that_takes_longer_than_an_hour_is_kept(serve, clock):
    """The hour starts when it ends, and at each sign of the visitor's page."""

    def slowly(inputs):
        clock.now += 3700

    client = serve(Limits(max_seconds=10**6, grace_seconds=1e9), before=slowly)
    run = client.post("/api/runs", json=wish(client)).json()
    assert wait(client, run["id"])["results"]
    download(client, run)
    for _ in range(2):
        clock.now += 3500
        assert client.post("/api/alive").status_code == 200


def test_a_stop_keeps_the_picture(serve):
    client = serve()
    asked = wish(client, settings={"iterations": 100000, "variable": "image", "solver": "adam"})
    run = client.post("/api/runs", json=asked).json()
    wait(client, run["id"], ("painting",))
    client.post(f"/api/runs/{run['id']}/stop")
    found = wait(client, run["id"])
    assert found["state"] == "stopped"
    assert Image.open(io.BytesIO(download(client, found).content)).size == (32, 24)


def test_time_is_limited(serve, clock):
    client = serve(Limits(max_seconds=10, grace_seconds=1e9))
    asked = wish(client, settings={"iterations": 100000, "solver": "adam"})
    run = client.post("/api/runs", json=asked).json()
    wait(client, run["id"], ("painting",))
    clock.now += 11
    assert len(wait(client, run["id"])["results"]) == 1


def test_an_estimate_grows_with_the_work(serve):
    """Settings that cannot be painted are refused."""
    client = serve()
    asked = wish(client)

    def seconds(**changes):
        body = {"content": asked["content"], "preset": "default", "settings": page.QUICK | changes}
        answer = client.post("/api/estimate", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["seconds"]

    before = seconds()
    assert seconds(iterations=4000) > before
    assert seconds(size=256, iterations=4000) > seconds(iterations=4000)
    body = {"content": asked["content"], "preset": "default", "settings": {"size": 60000}}
    assert "too large" in client.post("/api/estimate", json=body).json()["error"]


def test_an_estimate_is_learned_from_a_run():
    """Ten seconds for the first tenth and 90 for the rest are ten times that for ten times more."""
    recipe, pace = js.Recipe(scales=1, iterations=30), Pace("cpu")
    picture = SimpleNamespace(recipe=recipe, shape=(200, 300))
    run = Mock(QueuedRun, began=0.0, first=(10.0, 0.1), results=[picture])
    pace.learn(run, 100.0)
    assert pace.seconds(recipe, (200, 300)) == pytest.approx(100)
    assert pace.seconds(recipe.replace(iterations=300), (200, 300)) == pytest.approx(1000)


def test_the_gallery_can_be_chosen(serve):
    client = serve()
    works = client.get("/api/controls").json()["gallery"]
    assert {work["kind"] for work in works} == {"painting", "photograph"}
    for work in works:
        shown = client.get(f"/api/gallery/{work['name']}")
        assert Image.open(io.BytesIO(shown.content)).format == "JPEG"
    taken = client.post("/api/pictures?role=style&work=starry-night").json()
    assert (taken["name"], taken["width"]) == ("starry-night.jpg", 1024)
    assert client.get("/api/gallery/pyproject.toml").status_code == 404
    assert client.post("/api/pictures?work=../x").status_code == 404


def test_an_instant_picture_depends_on_strength_and_shares(serve):
    client = serve()
    asked = wish(client)
    other = upload(client, "other.png", seed=5)

    def pixels(strength, *shares):
        ids = [asked["styles"][0]["id"], other["id"]]
        styles = [{"id": i, "share": share} for i, share in zip(ids, shares)]
        body = {"content": asked["content"], "styles": styles, "strength": strength}
        answer = client.post("/api/instant", json=body)
        assert answer.status_code == 200, answer.text
        return np.asarray(Image.open(io.BytesIO(answer.content)), float)

    full = pixels(1, 1)
    assert np.array_equal(pixels(1, 1, 0), full)
    assert np.abs(pixels(1, 0, 1) - full).mean() > 1
    assert np.array_equal(pixels(0, 1), pixels(0, 0, 1))
    body = {"content": asked["content"], "styles": [], "strength": 2}
    assert "strength" in client.post("/api/instant", json=body).json()["error"]


def test_controls_come_from_the_recipe():
    told = {control["name"]: control for control in controls.describe()}
    assert told.keys() | {"encoder"} == js.Recipe.__dataclass_fields__.keys()
    assert all(control["help"] for control in told.values())
    for name, control in told.items():
        assert control["default"] == js.Recipe().to_table().get(name), name
    assert told["memory"]["choices"] == ["auto", "whole", "tiles"]
    assert told["pooling"]["kind"] == "choice"
    assert told["seed"]["kind"] == "whole"


def test_the_page_names_no_other_host(serve):
    """Requests of a real browser are checked in test_browser.py."""
    client = serve()
    names = [name for name in read_static() if name.endswith((".html", ".css", ".js"))]
    assert "index.html" in names
    for name in names:
        assert "://" not in client.get(f"/static/{name}").text, name


@pytest.mark.parametrize(
    ("options", "needle"),
    [
        (["--port", "70000"], "--port 70000"),
        (["--max-queue", "0"], "--max-queue 0"),
        (["--host", "192.0.2.1", "--port", "0"], "cannot listen"),
    ],
)
def test_bad_options_are_reported(capsys, options, needle):
    assert cli.main(["web", "--no-compile-cache", *options]) == 2
    assert needle in capsys.readouterr().err


SERVING = """
import http.client, json, signal, socket, sys, threading, time
from jaxstyle import cli
from jaxstyle.web import serve

def visit(address):
    host = address.split("/")[2]
    connection = http.client.HTTPConnection(host)
    connection.request("POST", "/api/session")
    answer = connection.getresponse()
    headers = {"Cookie": answer.getheader("set-cookie").partition(";")[0]}
    answer.read()
    def ask(method, path, body=None):
        connection.request(method, path, body, headers)
        return json.loads(connection.getresponse().read())
    work = "/api/pictures?work="
    photo, painting = (ask("POST", work + n)["id"] for n in ("cat", "starry-night"))
    settings = {"encoder": "random", "iterations": 10**6, "size": 64, "scales": 1, "solver": "adam",
                "content_layers": {"conv2_1": 1.0}, "style_layers": {"conv1_1": 1.0}}
    wish = {"content": photo, "styles": [{"id": painting}], "preset": "default"}
    run = ask("POST", "/api/runs", json.dumps(wish | {"settings": settings}))["id"]
    listener = http.client.HTTPConnection(host)
    listener.request("GET", "/api/events", headers=headers)
    while ask("GET", f"/api/runs/{run}")["state"] != "painting":
        time.sleep(0.05)
    silent = socket.create_connection(host.split(":"))
    silent.recv(1)  # which ends when the server closes the connection
    signal.raise_signal(signal.SIGINT)
    listener.getresponse().read()

def start(self, address):
    threading.Thread(target=visit, args=[address], daemon=True).start()

serve._REQUEST_SECONDS = 0.5
cli.web.Web._print_address = start
sys.exit(cli.main(["web", "--port", "0", "--no-compile-cache"]))
"""


def test_ctrl_c_while_a_picture_is_painted():
    """The command ends at once, without output; a connection without a request is closed."""
    run = subprocess.run([sys.executable, "-c", SERVING], capture_output=True, timeout=120)
    assert (run.returncode, run.stdout, run.stderr) == (130, b"", b"")


def test_a_port_in_use_is_one_line(capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert cli.main(["web", "--no-compile-cache", "--port", port]) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"jaxstyle: --port {port}: cannot listen")
    assert message.count("\n") == 1
