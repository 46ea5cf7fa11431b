"""``jaxstyle rerun``: a picture of ours, painted again from what it says of itself."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import jax
from tyro.conf import Positional, Suppress, arg

import jaxstyle as js
from jaxstyle import files, pretrained
from jaxstyle.cli import checkpoints, processes, report
from jaxstyle.cli.options import (
    Cache,
    CompileCache,
    Config,
    Debug,
    Files,
    Json,
    Overwrite,
    PresetName,
    Quiet,
)
from jaxstyle.cli.run import check_devices, init_file
from jaxstyle.cli.stylize import Stylize
from jaxstyle.cli.texture import Texture
from jaxstyle.cli.watch import UNWATCHED, Watching
from jaxstyle.errors import InputError
from jaxstyle.files.result import digests, portable, surroundings
from jaxstyle.recipes.paint import encoder_of
from jaxstyle.recipes.recipe import Recipe

_SHORT = 12  # digits of a digest that are shown


def first_picture(arguments: Sequence[str]) -> Path | None:
    """Returns the picture that a command line of ``rerun`` names first; None if it does not."""
    named = [word for word in arguments[1:2] if not word.startswith("-")]
    return Path(named[0]) if named else None


@dataclasses.dataclass(frozen=True)
class Rerun:
    """Paint a picture of ours again, from the settings in it: as it was, or with other settings.

    On the same machine, with the same versions, it is the same file. Its photograph and paintings
    are looked for beside it and in the working folder.
    """

    picture: Annotated[Positional[Path], arg(metavar="PICTURE")]
    """The picture; it comes first."""
    recipe: Recipe
    output: Annotated[Path | None, arg(aliases=["-o"], help_behavior_hint="")] = None
    """The picture to write; the picture's name with -rerun, if left out."""
    content: Annotated[Path | None, arg(help_behavior_hint="")] = None
    """The photograph, if it is elsewhere by now, or to paint another."""
    styles: Files = ()
    """The same for the painting; for several, once for each in their order."""
    content_mask: Annotated[Path | None, arg(help_behavior_hint="")] = None
    """The same for the photograph's mask."""
    style_mask: Files = ()
    """The same for the painting's."""
    blend: str | None = None
    """How much each of several paintings counts, if otherwise than it was."""
    devices: Annotated[str | None, arg(metavar="N|all", help_behavior_hint="")] = None
    """How many devices share the picture's rows; as many as there were, if they are here."""
    source: Suppress[Path | None] = None
    preset: PresetName = "default"
    config: Config = None
    checkpoint: checkpoints.Folder = None
    checkpoint_every: checkpoints.Seconds = 60.0
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
            raise InputError(f"{self.picture}: name the picture first, and options after it")
        check_devices()
        found = files.load_metadata(self.picture)
        if "varied" in found.provenance and "status" not in found.provenance:
            raise InputError(f"{self.picture}: is a sheet; paint it again with jaxstyle sweep")
        command = self._command(found.provenance)
        console = report.console(quiet=self.quiet)
        differences = list(self._differences(found, command))
        for line in differences:
            console.print(report.plain(f"otherwise than {self.picture.name}: {line}"))
        code = command.run()
        if not code and not differences and command.output.suffix == self.picture.suffix:
            same = command.output.read_bytes() == self.picture.read_bytes()
            console.print("the same file, byte for byte" if same else "not the same file")
        return code

    def _command(self, told: Mapping[str, Any]) -> Stylize | Texture:
        output = self.output or self.picture.with_stem(f"{self.picture.stem}-rerun")
        names = ("preset", "checkpoint", "checkpoint_every", "cache", "compile_cache")
        names += ("overwrite", "watching", "quiet", "debug")
        shared = {name: getattr(self, name) for name in names}
        shared |= {"output": output, "recipe": self._located(self.recipe)}
        styles = self.styles or self._find_all(told, "styles", "--styles")
        if "content" not in told and self.content is None:
            if self.devices is not None:
                raise InputError("--devices: a texture is of one device; leave it out")
            return Texture(styles=styles, **shared)
        masked = "content_mask" in told or self.content_mask is not None
        masks = (self.style_mask or self._find_all(told, "style_masks", "--style-mask")) * masked
        return Stylize(
            content=self.content or self._find(told, "content", "--content"),
            styles=styles,
            content_mask=self.content_mask or self._find(told, "content_mask", "--content-mask")
            if masked
            else None,
            style_mask=masks,
            blend=self.blend or told.get("blend"),
            devices=self.devices or _devices_here(told),
            strip=bool(told.get("strip")),
            **shared,
        )

    def _find(self, told: Mapping[str, Any], name: str, option: str) -> Path:
        return self._look(told.get(name), told.get("sha256", {}).get(name), option)

    def _find_all(self, told: Mapping[str, Any], name: str, option: str) -> tuple[Path, ...]:
        words, known = told.get(name, []), told.get("sha256", {}).get(name, [])
        known = [*known, *[None] * len(words)]
        return tuple(self._look(word, digest, option) for word, digest in zip(words, known))

    def _look(self, name: Any, digest: str | None, option: str) -> Path:
        """Returns where a file is: one with its digest, else one with its name."""
        if not isinstance(name, str) or not name:
            raise InputError(f"{self.picture}: does not say its {option[2:]}; name it by {option}")
        places = [path for path in self._places(name) if path.is_file()]
        if not places:
            where = "neither beside the picture nor in the working folder"
            raise InputError(f"{self.picture}: its {name} is {where}; name it by {option}")
        return next((p for p in places if digests(file=p)["file"] == digest), places[0])

    def _places(self, name: str) -> tuple[Path, Path]:
        name = Path(name).name  # A picture of others must not lead anywhere else.
        return self.picture.parent / name, Path(name)

    def _located(self, recipe: Recipe) -> Recipe:
        """Returns the recipe with its files, which a picture names only, where they are."""
        changes = {}
        for name in ("init", "encoder"):
            value = getattr(recipe, name)
            if Path(value).suffix and not Path(value).exists():
                beside = self.picture.parent / Path(value).name
                changes |= {name: str(beside)} if beside.is_file() else {}
        return recipe.replace(**changes)

    def _differences(self, found: files.Metadata, command: Stylize | Texture) -> Iterator[str]:
        """Yields what is not as it was when the picture was painted."""
        settings, told = found
        before = {"jaxstyle": told.get("version"), "jax": told.get("jax")}
        now: dict[str, Any] = {"jaxstyle": js.__version__} | surroundings()
        before["device"] = told.get("device")
        now["encoder's fingerprint"] = pretrained.fingerprint(
            encoder_of(command.recipe, self.cache)
        )
        before["encoder's fingerprint"] = told.get("encoder_sha256")
        now["devices"], before["devices"] = _devices_of(command), told.get("devices", 1)
        for name, value in before.items():
            if value != now[name]:
                yield f"{name} {_short(now[name])}, was {_short(value or 'not recorded')}"
        table = portable(command.recipe).to_table()
        for name in sorted(table.keys() | settings.keys()):
            if table.get(name) != settings.get(name):
                yield f"{name} {table.get(name)}, was {settings.get(name)}"
        here = digests(
            content=getattr(command, "content", None),
            styles=command.styles,
            content_mask=getattr(command, "content_mask", None),
            style_masks=getattr(command, "style_mask", ()),
            init=init_file(command.recipe),
        )
        recorded = told.get("sha256")
        if recorded is None:
            yield "pictures, perhaps: what they were is not recorded"
        elif here != recorded:
            other = [n for n in {**here, **recorded} if here.get(n) != recorded.get(n)]
            yield f"another file: {', '.join(other)}"
        if "varied" in told:
            yield "painted by itself, was one of a sweep's lanes"
        if "continued_from" in told:
            yield "painted from the start, was continued from a preview: not the same exactly"
        if told.get("masks"):
            yield "painted without masks, was with the page's, which it does not keep"
        if told.get("status") == "stopped":
            yield "painted to its end, was stopped early"


def _devices_here(told: Mapping[str, Any]) -> str | None:
    """Returns how many devices shared a picture, if there are as many here; None for one."""
    count = told.get("devices")
    return str(count) if isinstance(count, int) and 1 < count <= len(jax.devices()) else None


def _devices_of(command: Stylize | Texture) -> int:
    """Returns how many devices share the picture that a command paints."""
    mesh = processes.mesh_of(command) if isinstance(command, Stylize) else None
    return 1 if mesh is None else len(mesh)


def _short(value: Any) -> str:
    text = str(value)
    return text[:_SHORT] if len(text) == 64 else text
