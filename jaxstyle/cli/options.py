"""Options that several subcommands share, and how values that are not plain are written."""

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
        help="Folder of downloaded parameters and kept programs.",
        help_behavior_hint="(default: JAXSTYLE_CACHE, or the user's cache folder)",
    ),
]
CompileCache: TypeAlias = Annotated[
    Flag, arg(help="Keep no compiled programs in the cache folder.")
]
CheckpointFolder: TypeAlias = Annotated[
    Path | None,
    arg(
        help="Folder for the run's state, from which `jaxstyle resume` continues.",
        help_behavior_hint="",
    ),
]
CheckpointEvery: TypeAlias = Annotated[float, arg(help="Seconds between two checkpoints.")]
Config: TypeAlias = Annotated[
    Path | None,
    arg(help="Settings: TOML, as `jaxstyle presets show` prints it, or a picture of ours."),
]
Debug: TypeAlias = Annotated[Flag, arg(help="Show the traceback of an error.")]
Files: TypeAlias = UseAppendAction[tuple[Path, ...]]
Json: TypeAlias = Annotated[Flag, arg(help="Answer with one JSON object on stdout, for programs.")]
Overwrite: TypeAlias = Annotated[Flag, arg(help="Replace the output if it exists.")]
PresetName: TypeAlias = Annotated[
    str, arg(help="The recipe to start from; see `jaxstyle presets`. Other options change it.")
]
Quiet: TypeAlias = Annotated[Flag, arg(help="Print the path of the result only.")]

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
        metavar="STR",
        instance_from_str=lambda words: words[0],
        is_instance=lambda value: isinstance(value, str),
        # What the help shows may come from a file.
        str_from_instance=lambda value: [plain(value)],
    )
