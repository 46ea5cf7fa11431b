"""Downloads from a local server, complete and incomplete."""

import contextlib
import gzip
import hashlib
import http.server
import os
import socket
import threading

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from command import killed_process
from jaxstyle import cli, pretrained
from jaxstyle.atomic import name_temporary
from jaxstyle.encoder.vgg import VGG
from jaxstyle.errors import InputError
from jaxstyle.files import save_image
from jaxstyle.pretrained import download, load_encoder, registry
from jaxstyle.pretrained.cache import cache_folder
from jaxstyle.pretrained.download import fetch

NETWORK = VGG((1, 1), (4, 5))


def make_content():
    rng = np.random.default_rng(0)
    state = {
        "features.0.weight": rng.normal(size=(4, 3, 3, 3)).astype("f4"),
        "features.0.bias": np.zeros(4, "f4"),
        "features.3.weight": rng.normal(size=(5, 4, 3, 3)).astype("f4"),
        "features.3.bias": np.zeros(5, "f4"),
    }
    return safetensors.numpy.save(state)


CONTENT = make_content()
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


def answer(handler, code=200, body=b"", **headers):
    handler.send_response(code)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def send_for_ever(handler):
    answer(handler)
    with contextlib.suppress(OSError):
        while True:
            handler.wfile.write(bytes(1 << 16))


ODD = {
    "/endless": send_for_ever,
    "/no-number": lambda h: answer(h, body=CONTENT, Content_Length="plenty"),
    "/local": lambda h: answer(h, 302, Location="file:///etc/hostname"),
    "/packed": lambda h: answer(h, body=gzip.compress(CONTENT), Content_Encoding="gzip"),
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path in ODD:
            ODD[self.path](self)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2] if self.path == "/cut" else CONTENT)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requests = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def make_source(url, **changes):
    entry = {
        "name": "tiny",
        "url": url,
        "checksum": SHA256,
        "size": len(CONTENT),
        "licence": "a licence",
        "vgg": NETWORK,
        "preprocessing": "torch",
    }
    return registry.Source(**(entry | changes))


def url_of(server, path="/good"):
    return f"http://127.0.0.1:{server.server_port}{path}"


class Progress:
    def __init__(self):
        self.total, self.now, self.closed = 0, 0, False

    def update(self, n):
        self.now += n

    def close(self):
        self.closed = True


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_download_and_conversion(server, tmp_path, capfd, algorithm):
    checksum = f"{algorithm}:{hashlib.new(algorithm, CONTENT).hexdigest()}"
    source = make_source(url_of(server), checksum=checksum)
    cache, progress = tmp_path / "new" / "cache", Progress()
    path = fetch(source, cache=cache, progress=progress)
    assert [p.name for p in cache.iterdir()] == ["tiny.h5"]
    assert (progress.total, progress.now, progress.closed) == (len(CONTENT), len(CONTENT), True)
    report = pretrained.verify(path)
    assert report.layers == {"conv1_1": (3, 3, 3, 4), "conv2_1": (3, 3, 4, 5)}
    assert report.attributes["source"] == source.url
    assert report.attributes["source_checksum"] == checksum
    assert report.attributes["licence"] == "a licence"
    assert fetch(source, cache=cache) == path
    assert server.requests == ["/good"]
    assert capfd.readouterr() == ("", "")


def closed_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.parametrize(
    ("path", "changes", "message"),
    [
        ("/missing", {}, "answered 404 Not Found"),
        ("/cut", {}, "transfer from 127.0.0.1:.* failed"),
        ("/good", {"checksum": "sha256:" + "0" * 64}, "wrong sha256 checksum"),
        ("/good", {"vgg": VGG((1, 1), (4, 6))}, "has another network"),
        (None, {}, "transfer from 127.0.0.1:.* failed"),
        ("/endless", {}, f"sends more than the {len(CONTENT)} bytes"),
        ("/local", {}, r"failed \(InvalidSchema\)"),
        ("/packed", {}, "wrong sha256 checksum"),
    ],
)
def test_a_failed_download_leaves_nothing(server, tmp_path, path, changes, message):
    url = url_of(server, path) if path else f"http://127.0.0.1:{closed_port()}/good"
    progress = Progress()
    with pytest.raises(InputError, match=message) as error:
        fetch(make_source(url, **changes), cache=tmp_path, progress=progress)
    assert str(error.value).startswith("encoder tiny: ")
    if "another network" not in message:
        assert f"fetch {url} yourself and run: jaxstyle weights convert FILE" in str(error.value)
    assert "\n" not in str(error.value)
    assert progress.closed
    assert not list(tmp_path.iterdir())


def test_a_malformed_content_length_is_ignored(server, tmp_path):
    progress = Progress()
    fetch(make_source(url_of(server, "/no-number")), cache=tmp_path, progress=progress)
    assert (progress.total, progress.now) == (0, len(CONTENT))


def test_temporary_folders_of_killed_downloads_are_removed(server, tmp_path):
    dead, living = killed_process(), os.getpid()
    names = [name_temporary(".download-").replace(f"-{living}-", f"-{p}-") for p in (dead, living)]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "raw").write_bytes(b"half")
    fetch(make_source(url_of(server)), cache=tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"tiny.h5", names[1]}


def test_interruption_leaves_nothing(server, tmp_path):
    class Impatient(Progress):
        def update(self, n):
            raise KeyboardInterrupt

    progress = Impatient()
    with pytest.raises(KeyboardInterrupt):
        fetch(make_source(url_of(server)), cache=tmp_path, progress=progress)
    assert progress.closed
    assert not list(tmp_path.iterdir())


def test_a_cache_that_is_a_file_is_refused(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"cannot be written .*JAXSTYLE_CACHE"):
        fetch(make_source(url_of(server)), cache=tmp_path / "file")
    assert not server.requests


@pytest.fixture
def tiny_registry(server, tmp_path, monkeypatch):
    """An installation with a registry of two encoders on the local server."""
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "registry.toml").write_text(
        "\n".join(
            f"""[[encoder]]
            name = "{name}"
            url = "{url_of(server)}"
            checksum = "{SHA256}"
            licence = "a licence"
            network = "tiny"
            preprocessing = "torch"
            """
            for name in ("vgg19", "vgg16")
        )
    )
    monkeypatch.setattr(registry, "weights_folder", lambda: folder)
    recorded = {"source": "a source", "licence": "a licence"}
    pretrained.save_encoder(folder / "vgg16.h5", pretrained.random_encoder(NETWORK), recorded)
    monkeypatch.setitem(registry._NETWORKS, "tiny", NETWORK)
    return folder


def test_by_name(tiny_registry, server, tmp_path):
    cache = tmp_path / "cache"
    assert not rows(cache)["vgg19"].here
    assert download("vgg19", cache=cache) == cache / "vgg19.h5"
    assert load_encoder("vgg19", padding="zeros", cache=cache).network == NETWORK
    assert rows(cache)["vgg19"].path == cache / "vgg19.h5"
    assert download("vgg19", cache=cache) == cache / "vgg19.h5"
    assert server.requests == ["/good"]


def rows(cache):
    return {row.name: row for row in pretrained.available(cache)}


@pytest.mark.parametrize("options", ["--encoder vgg19", "--preset gatys"])
def test_painting_never_downloads(tiny_registry, server, tmp_path, capsys, monkeypatch, options):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAXSTYLE_CACHE", str(tmp_path / "cache"))
    save_image("p.png", jnp.full((16, 16, 3), 0.5))
    words = f"stylize p.png p.png -o out.png --no-compile-cache --size 16 {options}"
    assert cli.main(words.split()) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        "jaxstyle: --encoder vgg19: has not been downloaded; get it with: jaxstyle weights "
        "download vgg19, or paint with --encoder vgg16\n"
    )
    with pytest.raises(InputError, match="has not been downloaded"):
        load_encoder("vgg19")
    assert not server.requests
    assert not (tmp_path / "cache").exists()


class TestAgainst:
    """`weights verify --against`, where `vgg16` is a tiny network on the local server."""

    @pytest.fixture(params=["float16", "float32"])
    def dtype(self, request):
        return request.param

    @pytest.fixture
    def packaged(self, tiny_registry, tmp_path, dtype, monkeypatch):
        monkeypatch.setenv("JAXSTYLE_CACHE", str(tmp_path / "cache"))
        (tmp_path / "original").write_bytes(CONTENT)
        pretrained.convert(
            tmp_path / "original", tiny_registry / "vgg16.h5", dtype=dtype, overwrite=True
        )
        return tiny_registry / "vgg16.h5"

    @pytest.mark.parametrize("by_name", [True, False])
    def test_equal(self, packaged, dtype, server, tmp_path, capsys, by_name):
        original = "vgg16" if by_name else str(tmp_path / "original")
        for file in ("vgg16", str(packaged)):
            assert cli.main(["weights", "verify", file, "--against", original]) == 0
            printed = capsys.readouterr().out
            assert printed.startswith(f"{packaged}: good\n")
            assert f"every parameter equals that of {original}, as {dtype}\n" in printed
        assert server.requests == ["/good"] * 2 * by_name
        assert not (tmp_path / "cache").exists()

    @pytest.mark.parametrize("part", ["kernel", "bias"])
    def test_the_layer_that_differs_is_named(self, packaged, dtype, capsys, part):
        """They differ by one unit in the last place of the file's type."""
        encoder = pretrained.read_encoder(packaged)
        value = np.array(encoder.params["conv2_1"][part]).astype(dtype)
        value.flat[3] = np.nextafter(value.flat[3], np.array(np.inf, dtype))
        encoder.params["conv2_1"][part] = jnp.asarray(value, jnp.float32)
        pretrained.save_encoder(packaged, encoder, dtype=dtype)
        assert cli.main(["weights", "verify", "vgg16", "--against", "vgg16"]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        line = f"jaxstyle: {packaged}: conv2_1 differs from vgg16, as {dtype}"
        assert printed.err.splitlines()[-1] == line

    @pytest.mark.parametrize("network", [VGG((1,), (4,)), VGG((1, 2), (4, 5)), VGG((1, 1), (4, 6))])
    def test_another_network_differs(self, packaged, dtype, network):
        pretrained.save_encoder(packaged, pretrained.random_encoder(network), dtype=dtype)
        assert pretrained.first_difference(packaged, "vgg16") == "conv1_1"
        shared = pretrained.read_encoder(packaged)
        original = pretrained.download("vgg19")
        shared.params["conv1_1"] = pretrained.read_encoder(original).params["conv1_1"]
        pretrained.save_encoder(packaged, shared, dtype=dtype)
        assert pretrained.first_difference(packaged, "vgg16") == "conv2_1"

    def test_no_network(self, packaged, tiny_registry, capsys):
        registry_file = tiny_registry / "registry.toml"
        registry_file.write_text(registry_file.read_text().replace("/good", "/missing"))
        assert cli.main(["weights", "verify", "vgg16", "--against", "vgg16"]) == 2
        printed = capsys.readouterr().err.splitlines()[-1]
        assert printed.startswith("jaxstyle: encoder vgg16: 127.0.0.1")
        assert printed.endswith("/missing yourself and give that file in place of the name")

    def test_no_original(self, packaged, capsys):
        assert cli.main(["weights", "verify", "vgg16", "--against", "vgg11"]) == 2
        assert "'vgg11'" in capsys.readouterr().err


def test_unknown_name(tmp_path):
    with pytest.raises(InputError, match=r"'vgg11'.*vgg19, vgg16, vgg19-torch, vgg16-torch"):
        download("vgg11", cache=tmp_path)


def test_the_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXSTYLE_CACHE", str(tmp_path / "variable"))
    assert cache_folder(tmp_path / "option") == tmp_path / "option"
    assert cache_folder() == tmp_path / "variable"
    assert cache_folder("~/x") == tmp_path.home() / "x"
    monkeypatch.delenv("JAXSTYLE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert os.path.basename(cache_folder()) == "jaxstyle"


def test_the_command_reports_a_failed_download_in_one_line(
    tiny_registry, tmp_path, capsys, monkeypatch
):
    registry_file = tiny_registry / "registry.toml"
    registry_file.write_text(registry_file.read_text().replace("/good", "/missing"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAXSTYLE_CACHE", str(tmp_path / "cache"))
    assert cli.main(["weights", "download", "vgg19", "--quiet"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("jaxstyle: encoder vgg19: ")
    assert "404" in printed.err
    assert not list((tmp_path / "cache").iterdir())


def test_a_damaged_file_in_the_cache_is_fetched_again(tiny_registry, server, tmp_path):
    cache = tmp_path / "cache"
    path = download("vgg19", cache=cache)
    whole = path.read_bytes()
    path.write_bytes(whole[:500])
    with pytest.raises(InputError, match="get it again"):
        load_encoder("vgg19", cache=cache)
    assert download("vgg19", cache=cache) == path
    assert load_encoder("vgg19", padding="zeros", cache=cache).network == NETWORK
    assert server.requests == ["/good", "/good"]
