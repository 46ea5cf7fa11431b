"""Downloads from a server on this machine whose answers are damaged, slow or cut off."""

import hashlib
import importlib
import os
import random
import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxstyle.encoder.vgg import VGG
from jaxstyle.pretrained import registry

from .files import judge, torchvision
from .mutations import mutate


def fetch(count: int, seed: int, folder: Path) -> Iterator[tuple[str, str]]:
    """Downloads damaged answers: the right file is saved, or one line names the download."""
    body = torchvision()
    good = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            number = int(self.request.recv(1 << 16).split()[1].strip(b"/"))
            self.request.sendall(mutate(good, random.Random(f"{seed} {number}")))
            if number % 10 == 0:  # neither more bytes nor an end
                time.sleep(2)

    module: Any = importlib.import_module("jaxstyle.pretrained.download")
    module._TIMEOUT_S = 1
    os.environ["NO_PROXY"] = "127.0.0.1"
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads, server.block_on_close = True, False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for number in range(count):
            source = registry.Source(
                name="tiny",
                url=f"http://127.0.0.1:{server.server_address[1]}/{number}",
                checksum=f"sha256:{hashlib.sha256(body).hexdigest()}",
                size=len(body),
                licence="a licence",
                vgg=VGG((1, 1), (4, 4)),
                preprocessing="torch",
            )
            yield f"number {number} of seed {seed}", _fetch(source, folder / str(number))
        server.shutdown()


def _fetch(source: registry.Source, cache: Path) -> str:
    # The package has a function of the module's name.
    download: Any = importlib.import_module("jaxstyle.pretrained.download")
    problem = judge(lambda: download.fetch(source, cache=cache), "tiny")
    left = [path.name for path in cache.iterdir()] if cache.exists() else []
    return problem or ("" if left in ([], ["tiny.h5"]) else f"left {left}")
