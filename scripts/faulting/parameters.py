"""Files of parameters, ours and other tools', made wrong, giant, circular or malicious."""

import io
import pickle
import random
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import safetensors.numpy

import jaxstyle as js
from jaxstyle import pretrained
from jaxstyle.encoder.vgg import VGG

from .mutations import mutated
from .outcome import Tally
from .workers import try_all

_LIMIT_S = 30
_MARKER = Path(tempfile.gettempdir(), f"faults-executed-{random.SystemRandom().randrange(1 << 48)}")


def read(path: Path) -> None:
    """Reads a file as an encoder, checks it, and converts it."""
    errors: list[Exception] = []
    acts: tuple[Callable[[], object], ...] = (
        lambda: pretrained.verify(path),
        lambda: js.load_encoder(path),
        lambda: pretrained.convert(path, path.with_suffix(".converted.h5"), overwrite=True),
    )
    for act in acts:
        try:
            act()
        except js.InputError as error:
            if path.name not in str(error):
                raise
        except Exception as error:
            errors.append(error)
    path.with_suffix(".converted.h5").unlink(missing_ok=True)
    if _MARKER.exists():
        raise ValueError("something was executed")
    if errors:
        raise errors[0]


def _hdf5(fill: Callable[[Any], None]) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as opened:
        fill(opened)
    return file.getvalue()


def _ours(**options: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.h5")
        encoder = pretrained.random_encoder(VGG(depths=(1, 1), widths=(4, 5)))
        pretrained.save_encoder(path, encoder, {"note": "made"}, **options)
        return path.read_bytes()


def kernels() -> dict[str, np.ndarray]:
    """Returns the parameters of a tiny network under the names of torchvision."""
    rng, kernels = np.random.default_rng(0), {}
    for number, (width, incoming) in {0: (4, 3), 3: (5, 4)}.items():
        kernels[f"features.{number}.weight"] = rng.normal(size=(width, incoming, 3, 3))
        kernels[f"features.{number}.bias"] = np.zeros(width)
    return {name: value.astype(np.float32) for name, value in kernels.items()}


def _keras(file: Any) -> None:
    for block, width, incoming in ((1, 4, 3), (2, 5, 4)):
        group = file.create_group(f"block{block}_conv1/block{block}_conv1")
        group["kernel:0"] = np.ones((3, 3, incoming, width), np.float32)
        group["bias:0"] = np.zeros(width, np.float32)


def _torch() -> dict[str, bytes]:
    try:
        import torch  # an extra
    except ImportError:
        return {}
    state = {name: torch.from_numpy(value) for name, value in kernels().items()}
    files = {}
    for name, options in (("zip.pth", {}), ("old.pth", {"_use_new_zipfile_serialization": False})):
        file = io.BytesIO()
        torch.save(state, file, **options)
        files[name] = file.getvalue()
    return files


def originals() -> dict[str, bytes]:
    """Returns small good files of every layout."""
    return {
        "ours.h5": _ours(),
        "half.h5": _ours(dtype="float16"),
        "keras.h5": _hdf5(_keras),
        "torch.safetensors": safetensors.numpy.save(kernels()),
        **_torch(),
    }


class _Executed:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (_MARKER,)


def _zipped(**parts: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name.replace("__", "/"), data)
    return file.getvalue()


def _header(text: str, length: int | None = None) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data) if length is None else length) + data + bytes(64)


def malicious() -> dict[str, bytes]:
    """Returns files that are made to harm: giant, circular, of code, or of other files."""
    kernel = "conv1_1/kernel"

    def ours(change: Callable[[Any], None]) -> bytes:
        file = io.BytesIO(_ours())
        with h5py.File(file, "r+") as opened:
            change(opened)
        return file.getvalue()

    def replaced(make: Callable[[Any], object]) -> bytes:
        def change(file: Any) -> None:
            del file[kernel]
            make(file)

        return ours(change)

    def giant(shape: tuple[int, ...], **options: Any) -> Callable[[Any], object]:
        return lambda file: file.create_dataset(kernel, shape, "f4", **options)

    def nested(file: Any) -> None:
        for _ in range(2000):
            file = file.create_group("a")

    def many(file: Any) -> None:
        for number in range(5000):
            file.create_group(f"conv1_{number + 2}")

    def virtual(file: Any) -> None:
        layout = h5py.VirtualLayout((3, 3, 3, 4), "f4")
        layout[...] = h5py.VirtualSource("/etc/hostname", "x", (3, 3, 3, 4))
        file.create_virtual_dataset(kernel, layout)

    def values(value: float) -> Callable[[Any], object]:
        return lambda file: file.__setitem__(kernel, np.full((3, 3, 3, 4), value, "f4"))

    outside = [("/etc/passwd", 0, 432)]
    spread = {"external": outside, "maxshape": None}
    loops = {"soft": h5py.SoftLink("/"), "itself": h5py.SoftLink("/conv1_1/kernel")}
    loops |= {"outside": h5py.ExternalLink("/etc/passwd", "/"), "gone": h5py.SoftLink("/no/such")}
    text = '{"features.0.weight":{"dtype":"F32","shape":%s,"data_offsets":%s}}'
    return {
        **{
            f"link {name}.h5": replaced(lambda file, link=link: file.__setitem__(kernel, link))
            for name, link in loops.items()
        },
        "loop.h5": ours(lambda file: file.__setitem__("conv1_1/again", h5py.SoftLink("/conv1_1"))),
        "hard loop.h5": ours(lambda file: file.__setitem__("conv1_1/again", file["conv1_1"])),
        "keras loop.h5": _hdf5(lambda file: (_keras(file), file.__setitem__("a/b", file["/"]))[0]),
        "giant.h5": replaced(giant((3, 3, 3, 1 << 33))),
        "giant in chunks.h5": replaced(giant((3, 3, 3, 1 << 40), chunks=(3, 3, 3, 1024))),
        "packed.h5": replaced(giant((3, 3, 3, 1 << 27), chunks=(3, 3, 3, 1 << 20), fillvalue=0)),
        "no axes.h5": replaced(giant(())),
        "no channels.h5": replaced(giant((3, 3, 3, 0))),
        "file of others.h5": replaced(giant((3, 3, 3, 4), **spread)),
        "virtual.h5": replaced(virtual),
        "group.h5": replaced(lambda file: file.create_group(kernel)),
        "text.h5": replaced(lambda file: file.__setitem__(kernel, "text")),
        "references.h5": replaced(lambda file: file.__setitem__(kernel, file.ref)),
        "parts.h5": replaced(lambda file: file.__setitem__(kernel, np.zeros(4, "f4,i4"))),
        "complex.h5": replaced(lambda file: file.__setitem__(kernel, np.zeros((3, 3, 3, 4), "c8"))),
        **{f"{value}.h5": replaced(values(value)) for value in (np.nan, np.inf, 3e38)},
        "nested.h5": ours(nested),
        "many.h5": ours(many),
        "attribute.h5": ours(lambda file: file.attrs.__setitem__("format", np.zeros(9))),
        "pooling.h5": ours(lambda file: file.attrs.__setitem__("pooling", np.zeros(9))),
        "version.h5": ours(lambda file: file.attrs.__setitem__("format_version", "\x1b[2J")),
        "name.h5": ours(lambda file: file.create_group("conv1_1\x1b[2J")),
        "digits.h5": ours(lambda file: file.create_group("conv" + "9" * 5000 + "_1")),
        "block.h5": ours(lambda file: file.create_group("conv999999999_1")),
        **{f"pickle {p}.pth": pickle.dumps(_Executed(), p) for p in range(2, 6)},
        "pickle.zip.pth": _zipped(a__data__pkl=pickle.dumps(_Executed(), 2), a__version=b"3"),
        "zip.pth": _zipped(**{"a__data.pkl": pickle.dumps({"features.0.weight": _Executed()}, 2)}),
        "bomb.pth": _zipped(**{"a__data.pkl": b"\x80\x02" + b"(" * 5_000_000 + b"."}),
        "long.safetensors": _header("{", 1 << 62),
        "longer.safetensors": _header("{" + " " * 200, 100),
        "giant.safetensors": _header(text % ("[4294967296,4294967296,3,3]", "[0,64]")),
        "outside.safetensors": _header(text % ("[4,3,3,3]", "[0,432]")),
        "backwards.safetensors": _header(text % ("[4,3,3,3]", "[432,0]")),
        "negative.safetensors": _header(text % ("[-4,3,3,3]", "[0,64]")),
        "nested.safetensors": _header('{"a":' + "[" * 100_000),
        "no text.safetensors": struct.pack("<Q", 9) + b"{\xff\xfe\x1b[2J" + bytes(64),
        "digits.safetensors": _header((text % ("[1]", "[0,4]")).replace("s.0", "s." + "9" * 5000)),
    }  # fmt: skip


def cases(count: int, seed: int) -> Iterator[tuple[str, str, bytes]]:
    """Yields the originals, what is malicious, and files that differ from the originals."""
    good = originals()
    for name, data in (good | malicious()).items():
        yield name, name, data
    yield from mutated(good, count, seed)


def measure(count: int, seed: int, folder: Path) -> Tally:
    """Reads parameters that are wrong: each file is read, or refused in one line."""
    tally = Tally("parameters", remark=f"{len(originals())} layouts")
    try:
        for case, trouble in try_all(read, cases(count, seed), _LIMIT_S, folder):
            tally.add(case, trouble)
        tally.add("nothing is executed", "something was" if _MARKER.exists() else "")
    finally:
        _MARKER.unlink(missing_ok=True)
    return tally
