"""``jaxstyle rerun``: paints a result again, from the settings recorded in it."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import jax
from tyro.conf import Positional, Suppress, arg

import jaxstyle as js
from jaxstyle import files, gallery, pretrained
from jaxstyle.cli import processes, report
from jaxstyle.cli.options import (
    Cache,
    CheckpointEvery,
    CheckpointFolder,
    CompileCache,
    Config,
    Debug,
    Files,
    Json,
    Overwrite,
    PresetName,
    Quiet,
)
from jaxstyle.cli.run import check_devices
from jaxstyle.cli.streams import lenient_stderr
from jaxstyle.cli.stylize import Stylize
from jaxstyle.cli.texture import Texture
from jaxstyle.cli.watch import UNWATCHED, Watching
from jaxstyle.errors import InputError
from jaxstyle.files.result import digests, portable, surroundings
from jaxstyle.jobs.provenance import sources_of
from jaxstyle.recipes.paint import encoder_of
from jaxstyle.recipes.recipe import Recipe

_SHORT = 12  # digits of a checksum that are shown
_OPTIONS = {"content": "--content", "styles": "--styles", "content_mask": "--content-mask"}
_OPTIONS |= {"style_masks": "--style-mask"}


def first_picture(arguments: Sequence[str]) -> Path | None:
    """Returns the picture that a command line of ``rerun`` names first; None if there is none."""
    named = [word for word in arguments[1:2] if not word.startswith("-")]
    return Path(named[0]) if named else None


@dataclasses.dataclass(frozen=True)
class Rerun:
    """Paint a result again from the settings recorded in it, or with changes.

    With the same versions on the same machine, the result is the same file. Its inputs are searched
    for in its folder and in the working folder.
    """

    picture: Annotated[Positional[Path], arg(metavar="PICTURE")]
    """The result to paint again; must be the first argument."""
    recipe: Recipe
    output: Annotated[Path | None, arg(aliases=["-o"], help_behavior_hint="")] = None
    """Picture to write; by default, the name of PICTURE with -rerun."""
    content: Annotated[Path | None, arg(help_behavior_hint="")] = None
    """The photograph, if it was moved, or another one."""
    styles: Files = ()
    """The painting, if it was moved, or another one; repeat the option for several."""
    content_mask: Annotated[Path | None, arg(help_behavior_hint="")] = None
    """The mask of the photograph, if it was moved, or another one."""
    style_mask: Files = ()
    """The mask of the painting, if it was moved, or another one; repeat the option for several."""
    blend: str | None = None
    """Weights of several paintings; by default, as recorded."""
    devices: Annotated[str | None, arg(metavar="N|all", help_behavior_hint="")] = None
    """Number of devices that share the picture; by default, as recorded if possible."""
    source: Suppress[Path | None] = None
    preset: PresetName = "default"
    config: Config = None
    checkpoint: CheckpointFolder = None
    checkpoint_every: CheckpointEvery = 60.0
    cache: Cache = None
    compile_cache: CompileCache = True
    overwrite: Overwrite = False
    watching: Watching = UNWATCHED
    json: Json = False
    quiet: Quiet = False
    debug: Debug = False

    def run(self) -> int:
        """Runs the command and returns its exit code."""
        if self.picture != self.source:
            raise InputError(f"{self.picture}: give the picture first, and options after it")
        check_devices()
        metadata = files.load_metadata(self.picture)
        if "varied" in metadata.provenance and "status" not in metadata.provenance:
            raise InputError(f"{self.picture}: is a sheet; use jaxstyle sweep to paint it again")
        command = self._command(metadata.provenance)
        with lenient_stderr():
            console = report.console(quiet=self.quiet)
            differences = list(self._differences(metadata, command))
            for line in differences:
                console.print(report.plain(f"different from {self.picture.name}: {line}"))
            code = command.run()
            if not code and not differences and command.output.suffix == self.picture.suffix:
                same = command.output.read_bytes() == self.picture.read_bytes()
                console.print("the same file, byte for byte" if same else "not the same file")
        return code

    def _command(self, recorded: Mapping[str, Any]) -> Stylize | Texture:
        output = self.output or self.picture.with_stem(f"{self.picture.stem}-rerun")
        names = ("preset", "checkpoint", "checkpoint_every", "cache", "compile_cache")
        names += ("overwrite", "watching", "quiet", "debug")
        common = {name: getattr(self, name) for name in names}
        common |= {"output": output, "recipe": self._located(self.recipe)}
        styles = self.styles or self._find_all(recorded, "styles")
        if "content" not in recorded and self.content is None:
            if self.devices is not None:
                raise InputError("--devices: cannot be used for a texture; remove it")
            return Texture(styles=styles, **common)
        content_mask, style_mask = None, ()
        if "content_mask" in recorded or self.content_mask is not None:
            content_mask = self.content_mask or self._find(recorded, "content_mask")
            style_mask = self.style_mask or self._find_all(recorded, "style_masks")
        return Stylize(
            content=self.content or self._find(recorded, "content"),
            styles=styles,
            content_mask=content_mask,
            style_mask=style_mask,
            blend=self.blend or _text(recorded.get("blend")),
            devices=self.devices or _devices_here(recorded),
            strip=bool(recorded.get("strip")),
            **common,
        )

    def _find(self, recorded: Mapping[str, Any], role: str) -> Path:
        return self._search(recorded.get(role), _checksums(recorded, role), recorded, role)

    def _find_all(self, recorded: Mapping[str, Any], role: str) -> tuple[Path, ...]:
        names, checksums = recorded.get(role, []), _checksums(recorded, role)
        names = names if isinstance(names, list) else [names]
        checksums = checksums if isinstance(checksums, list) else []
        padded = [*checksums, *[None] * len(names)]
        pairs = zip(names, padded, strict=False)
        return tuple(self._search(name, checksum, recorded, role) for name, checksum in pairs)

    def _search(self, name: Any, checksum: Any, recorded: Mapping[str, Any], role: str) -> Path:
        """Returns a file with the recorded checksum, else one with the recorded name.

        A file that was recorded in another role is not taken because of its name.
        """
        option = _OPTIONS[role]
        if not isinstance(name, str) or not name:
            raise InputError(f"{self.picture}: does not record its {option[2:]}; use {option}")
        candidates = [path for path in self._places(name) if path.is_file()]
        sums = {path: digests(file=path)["file"] for path in candidates}
        others = set(_flat(recorded.get("sha256"))) - {checksum}
        for path in candidates:
            if sums[path] == checksum:
                return path
        for path in candidates:
            if sums[path] not in others:
                return path
        where = "neither in the folder of the picture nor in the working folder"
        if candidates:
            where = f"not here: {candidates[0]} is another of its pictures, with the same name"
        raise InputError(f"{self.picture}: its {name} is {where}; use {option}")

    def _places(self, name: str) -> tuple[Path, ...]:
        name = Path(name).name  # An untrusted picture must not lead to other folders.
        return self.picture.parent / name, Path(name), gallery.FOLDER / name

    def _located(self, recipe: Recipe) -> Recipe:
        """Returns the recipe with the paths of its files, of which a picture records the names."""
        changes = {}
        for name in ("init", "encoder"):
            value = getattr(recipe, name)
            if Path(value).suffix and not Path(value).exists():
                beside = self.picture.parent / Path(value).name
                changes |= {name: str(beside)} if beside.is_file() else {}
        return recipe.replace(**changes)

    def _differences(self, metadata: files.Metadata, command: Stylize | Texture) -> Iterator[str]:
        """Yields what differs from when the picture was painted."""
        settings, recorded = metadata
        recipe = command.job().recipe
        before = {"jaxstyle": recorded.get("version"), "jax": recorded.get("jax")}
        before |= {"device": recorded.get("device")}
        before |= {"encoder's fingerprint": recorded.get("encoder_sha256")}
        before |= {"devices": recorded.get("devices", 1)}
        now: dict[str, Any] = {"jaxstyle": js.__version__} | surroundings()
        fingerprint = pretrained.fingerprint(encoder_of(command.recipe, self.cache))
        now |= {"encoder's fingerprint": fingerprint, "devices": _devices_of(command)}
        for name, value in before.items():
            if value != now[name]:
                yield f"{name} {_short(now[name])}, was {_short(value or 'not recorded')}"
        table = portable(recipe).to_table()
        for name in sorted(table.keys() | settings.keys()):
            if table.get(name) != settings.get(name):
                yield f"{name} {table.get(name)}, was {settings.get(name)}"
        here, before = sources_of(command.job())["sha256"], recorded.get("sha256")
        if not isinstance(before, dict):
            yield "the inputs may differ: their checksums are not recorded"
        elif here != before:
            other = [name for name in {**here, **before} if here.get(name) != before.get(name)]
            yield f"inputs: {', '.join(other)}"
        if "varied" in recorded:
            yield "painted alone; it was painted in a sweep"
        if "continued_from" in recorded:
            yield "painted from the start; it was continued from a preview"
        if recorded.get("masks"):
            yield "painted without masks; the masks of the web page are not saved"
        if recorded.get("status") == "stopped":
            yield "painted to the end; it was stopped early"


def _checksums(recorded: Mapping[str, Any], role: str) -> Any:
    sums = recorded.get("sha256")
    return sums.get(role) if isinstance(sums, dict) else None


def _flat(value: Any) -> Iterator[str]:
    """Yields the texts in nested tables and lists."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _flat(part)


def _devices_here(recorded: Mapping[str, Any]) -> str | None:
    """Returns the number of devices that shared a picture, if this machine has as many."""
    count = recorded.get("devices")
    return str(count) if isinstance(count, int) and 1 < count <= len(jax.devices()) else None


def _devices_of(command: Stylize | Texture) -> int:
    """Returns the number of devices that share the picture that a command paints."""
    mesh = processes.mesh_of(command) if isinstance(command, Stylize) else None
    return 1 if mesh is None else len(mesh)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _short(value: Any) -> str:
    text = str(value)
    return text[:_SHORT] if len(text) == 64 else text
