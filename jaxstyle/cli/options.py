"""Options that several subcommands share, and parsers of their values."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from tyro.conf import FlagCreatePairsOff, UseAppendAction, arg
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from jaxstyle.cli.report import plain
from jaxstyle.ops.resize import Size, parse_size, size_text
from jaxstyle.recipes.typed import LayerWeights
from jaxstyle.recipes.words import parse_layers

Flag: TypeAlias = FlagCreatePairsOff[bool]
Cache: TypeAlias = Annotated[
    Path | None,
    arg(
        help="Folder for downloaded parameters and compiled programs.",
        help_behavior_hint="(default: $JAXSTYLE_CACHE, or the user's cache folder)",
    ),
]
CompileCache: TypeAlias = Annotated[Flag, arg(help="Do not cache compiled programs.")]
CheckpointFolder: TypeAlias = Annotated[
    Path | None,
    arg(
        help="Save the state of the run in this folder; `jaxstyle resume` continues from it.",
        help_behavior_hint="",
    ),
]
CheckpointEvery: TypeAlias = Annotated[float, arg(help="Seconds between checkpoints.")]
Config: TypeAlias = Annotated[
    Path | None,
    arg(help="Read settings from a TOML file (see `jaxstyle presets show`) or from a result."),
]
Debug: TypeAlias = Annotated[Flag, arg(help="Show the traceback of an error.")]
Files: TypeAlias = UseAppendAction[tuple[Path, ...]]
ContentMask: TypeAlias = Annotated[
    Path | None,
    arg(help="Mask of the photograph, one flat colour per region; --style-mask has the same ones."),
]
StyleMask: TypeAlias = Annotated[
    Files,
    arg(help="Mask of the painting; repeat the option for each of several paintings, in order."),
]
Json: TypeAlias = Annotated[Flag, arg(help="Print one JSON object on stdout.")]
Overwrite: TypeAlias = Annotated[Flag, arg(help="Replace existing files.")]
PresetName: TypeAlias = Annotated[
    str, arg(metavar="NAME", help="Preset to start from; see `jaxstyle presets`.")
]
Quiet: TypeAlias = Annotated[Flag, arg(help="Print only results and errors.")]

Strip: TypeAlias = Annotated[
    Flag, arg(help="Do not copy the date, artist, copyright and resolution of the photograph.")
]

registry = ConstructorRegistry()


@registry.primitive_rule
def _layers(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    if info.type != LayerWeights:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="LAYER[=WEIGHT],…",
        instance_from_str=lambda words: parse_layers(words[0]),
        is_instance=lambda value: isinstance(value, Mapping),
        str_from_instance=lambda layers: [",".join(f"{k}={w:g}" for k, w in layers.items())],
    )


@registry.primitive_rule
def _size(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    if info.type != Size:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="PIXELS|WxH|original",
        instance_from_str=lambda words: parse_size(words[0]),
        is_instance=lambda value: isinstance(value, int | tuple | str),
        str_from_instance=lambda size: [size_text(size)],
    )


@registry.primitive_rule
def _text(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    if info.type is not str:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="TEXT",
        instance_from_str=lambda words: words[0],
        is_instance=lambda value: isinstance(value, str),
        # The default may come from a file.
        str_from_instance=lambda value: [plain(value)],
    )
