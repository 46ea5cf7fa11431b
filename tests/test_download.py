"""Downloads from a server on this machine, whole and in every way not whole."""

import hashlib
import http.server
import os
import re
import socket
import threading

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from jaxstyle import cli, pretrained
from jaxstyle.errors import InputError
from jaxstyle.files import save_image
from jaxstyle.pretrained import download, load_encoder, registry
from jaxstyle.pretrained.download import cache_folder, fetch
from jaxstyle.vgg import VGG

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


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        if self.path == "/missing":
            self.send_error(404)
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

    def reset(self):
        self.now = 0

    def close(self):
        self.closed = True


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_a_whole_download(server, tmp_path, algorithm):
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


def test_it_downloads_silently(server, tmp_path, capfd):
    fetch(make_source(url_of(server)), cache=tmp_path)
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
        ("/good", {"checksum": "md5:" + "0" * 32}, "wrong md5 checksum"),
        ("/good", {"vgg": VGG((1, 1), (4, 6))}, "holds another network"),
        (None, {}, "transfer from 127.0.0.1:.* failed"),
    ],
)
def test_a_failed_download_leaves_nothing(server, tmp_path, path, changes, message):
    url = url_of(server, path) if path else f"http://127.0.0.1:{closed_port()}/good"
    progress = Progress()
    with pytest.raises(InputError, match=message) as error:
        fetch(make_source(url, **changes), cache=tmp_path, progress=progress)
    assert str(error.value).startswith("encoder tiny: ")
    assert "\n" not in str(error.value)
    assert progress.closed
    assert not list(tmp_path.iterdir())


def test_the_message_says_what_to_do(server, tmp_path):
    url = url_of(server, "/missing")
    with pytest.raises(InputError) as error:
        fetch(make_source(url), cache=tmp_path)
    assert f"fetch {url} yourself" in str(error.value)
    assert f"jaxstyle weights convert FILE {tmp_path / 'tiny.h5'}" in str(error.value)


def test_interruption_leaves_nothing(server, tmp_path):
    class Impatient(Progress):
        def update(self, n):
            raise KeyboardInterrupt

    progress = Impatient()
    with pytest.raises(KeyboardInterrupt):
        fetch(make_source(url_of(server)), cache=tmp_path, progress=progress)
    assert progress.closed
    assert not list(tmp_path.iterdir())


def test_a_cache_that_cannot_be_a_folder(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"cannot be written .*JAXSTYLE_CACHE"):
        fetch(make_source(url_of(server)), cache=tmp_path / "file")
    assert not server.requests


@pytest.fixture
def tiny_registry(server, tmp_path, monkeypatch):
    """An installation whose registry knows `vgg19` by this server."""
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "registry.toml").write_text(
        f"""[[encoder]]
        name = "vgg19"
        url = "{url_of(server)}"
        checksum = "{SHA256}"
        licence = "a licence"
        network = "tiny"
        preprocessing = "torch"
        """
    )
    monkeypatch.setattr(registry, "weights_folder", lambda: folder)
    monkeypatch.setitem(registry._NETWORKS, "tiny", NETWORK)
    return folder


def test_by_name(tiny_registry, server, tmp_path):
    cache = tmp_path / "cache"
    assert pretrained.resolve_encoder("auto", cache) == "random"
    assert not pretrained.available(cache)[-1].here
    encoder = load_encoder("vgg19", padding="zeros", cache=cache)
    assert encoder.vgg == NETWORK
    assert download("vgg19", cache=cache) == cache / "vgg19.h5"
    assert pretrained.resolve_encoder("auto", cache) == "vgg19"
    assert pretrained.available(cache)[-1].path == cache / "vgg19.h5"
    assert server.requests == ["/good"]


def test_auto_never_downloads(tiny_registry, server, tmp_path):
    pretrained.save_encoder(tiny_registry / "bundled.h5", pretrained.random_encoder(NETWORK))
    assert load_encoder("auto", padding="zeros", cache=tmp_path / "cache").vgg == NETWORK
    assert not server.requests


def test_unknown_name(tmp_path):
    with pytest.raises(InputError, match=r"'vgg11'.*vgg19, vgg16, vgg19-torch, vgg16-torch"):
        download("vgg11", cache=tmp_path)


def test_which_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXSTYLE_CACHE", str(tmp_path / "variable"))
    assert cache_folder(tmp_path / "option") == tmp_path / "option"
    assert cache_folder() == tmp_path / "variable"
    assert cache_folder("~/x") == tmp_path.home() / "x"
    monkeypatch.delenv("JAXSTYLE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert os.path.basename(cache_folder()) == "jaxstyle"


@pytest.mark.parametrize(
    ("old", "new", "needle"),
    [
        ("/good", "/missing", "404"),
        ("/good", "/cut", "failed"),
        (SHA256, "sha256:" + "0" * 64, "checksum"),
        ("http://127.0.0.1", "http://127.0.0.1:9", "failed"),
    ],
    ids=["404", "cut off", "wrong checksum", "no network"],
)
@pytest.mark.parametrize("command", ["download", "stylize"])
def test_the_command_says_what_went_wrong_in_one_line(
    tiny_registry, tmp_path, capsys, monkeypatch, command, old, new, needle
):
    registry_file = tiny_registry / "registry.toml"
    registry_file.write_text(re.sub(old + r"(:\d+)?", new, registry_file.read_text()))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAXSTYLE_CACHE", str(tmp_path / "cache"))
    arguments = {
        "download": "weights download vgg19",
        "stylize": "stylize p.png p.png -o out.png --encoder vgg19 --no-compile-cache",
    }
    save_image("p.png", jnp.full((16, 16, 3), 0.5))
    assert cli.main([*arguments[command].split(), "--quiet"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    named = {"download": "encoder", "stylize": "--encoder"}[command]
    assert told.err.startswith(f"jaxstyle: {named} vgg19: ")
    assert needle in told.err
    assert not list((tmp_path / "cache").iterdir())
    assert not (tmp_path / "out.png").exists()


def test_a_damaged_file_in_the_cache_is_fetched_again(tiny_registry, server, tmp_path):
    cache = tmp_path / "cache"
    path = download("vgg19", cache=cache)
    whole = path.read_bytes()
    path.write_bytes(whole[:500])
    with pytest.raises(InputError, match="get it again"):
        load_encoder("vgg19", cache=cache)
    assert download("vgg19", cache=cache) == path
    assert load_encoder("vgg19", padding="zeros", cache=cache).vgg == NETWORK
    assert server.requests == ["/good", "/good"]
