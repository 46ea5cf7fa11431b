"""The options of every subcommand as data: for ``--help``, suggestions and shell completion."""

import dataclasses
import functools
import inspect
import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from tyro.conf import DisallowNone, FlagCreatePairsOff, Positional, Suppress, arg, subcommand

from jaxstyle.cli.options import Flag
from jaxstyle.recipes.recipe import Recipe
from jaxstyle.recipes.words import GROUPS, field_docs

_GROUP_OF = {name: group for group, names in GROUPS.items() for name in names.split()}
_RANK = {name: rank for rank, name in enumerate(_GROUP_OF)}
_METAVARS: dict[Any, str] = {int: "N", float: "NUMBER", str: "TEXT"}


class Option(NamedTuple):
    """An option or a positional argument.

    Attributes:
        name: Name of the field.
        kind: Type of the field, without annotations.
        metadata: Annotations of the type.
        default: Default value; ``dataclasses.MISSING`` if the option is required.
        help: Help text.
        owner: Dataclass that has the field.
    """

    name: str
    kind: Any
    metadata: tuple[Any, ...]
    default: Any
    help: str
    owner: type

    @property
    def is_flag(self) -> bool:
        """Whether the option has no value and no negative form."""
        return self.kind is bool and FlagCreatePairsOff in self.metadata

    @property
    def flags(self) -> list[str]:
        """Returns every name of the option, as it is typed."""
        given = (note.name for note in self.metadata if getattr(note, "name", None))
        word = next(given, self.name.replace("_", "-"))
        if self.is_flag:
            return [f"--no-{word}" if self.default else f"--{word}"]
        aliases = [name for note in self.metadata for name in getattr(note, "aliases", None) or ()]
        return [*aliases, f"--{word}", *([f"--no-{word}"] if self.kind is bool else [])]

    @property
    def value_kind(self) -> Any:
        """Returns the type of a value other than None."""
        kinds = [kind for kind in get_args(self.kind) if kind is not type(None)]
        return kinds[0] if type(None) in get_args(self.kind) else self.kind

    @property
    def choices(self) -> list[str]:
        """Returns the values of a choice; an empty list for other types."""
        kind = self.value_kind
        return list(map(str, get_args(kind))) if get_origin(kind) is Literal else []


def options_of(command: type, default: Any = None) -> Iterator[Option]:
    """Yields the options of a dataclass and of the dataclasses in it.

    Args:
        command: The dataclass.
        default: Object whose attributes replace the defaults.
    """
    hints, docs = get_type_hints(command, include_extras=True), field_docs(command)
    for field in dataclasses.fields(command):
        hint, value = hints[field.name], getattr(default, field.name, field.default)
        if value is dataclasses.MISSING and field.default_factory is not dataclasses.MISSING:
            value = field.default_factory()
        metadata = getattr(hint, "__metadata__", ())
        kind = hint.__origin__ if metadata else hint
        if Suppress in metadata or _subcommands(hint):
            continue
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            yield from options_of(kind, value)
            continue
        texts = [docs.get(field.name), *(getattr(note, "help", None) for note in metadata)]
        text = [text for text in texts if text]
        yield Option(field.name, kind, metadata, value, text[-1] if text else "", command)


def subcommands_of(command: type) -> dict[str, type]:
    """Returns the subcommands of a subcommand by name."""
    hints = get_type_hints(command, include_extras=True)
    return {name: kind for hint in hints.values() for name, kind in _subcommands(hint).items()}


def _subcommands(hint: Any) -> dict[str, type]:
    """Returns the members of a union of subcommands by name."""
    return {
        note.name: member.__origin__
        for member in get_args(hint)
        for note in getattr(member, "__metadata__", ())
        if getattr(note, "name", None)
    }


def root(commands: Mapping[str, type], chosen: str | None, defaults: Any) -> type:
    """Returns a dataclass for ``tyro.cli`` that prints better help than the commands themselves.

    Options of the painting subcommands are in groups, and defaults that say nothing are left out.

    Args:
        commands: Dataclass of each subcommand.
        chosen: Subcommand whose help is printed; None for the help of the program.
        defaults: Object whose attributes replace the defaults of the chosen subcommand.
    """
    kinds = [
        Annotated[
            _described(kind, defaults) if word == chosen else _summary(kind), subcommand(word)
        ]
        for word, kind in commands.items()
    ]
    version = Annotated[Flag, arg(help="Print the version.", help_behavior_hint="")]
    options = [] if chosen else [("version", version, False)]
    return dataclasses.make_dataclass("Root", [("command", _union(kinds)), *options], kw_only=True)


def _union(kinds: Sequence[Any]) -> Any:
    return functools.reduce(operator.or_, kinds)


def _summary(command: type) -> type:
    """Returns an empty dataclass with the first paragraph of a command's docstring."""
    text = inspect.getdoc(command) or ""
    doc = {"__doc__": text.partition("\n\n")[0]}
    return dataclasses.make_dataclass(command.__name__, [], namespace=doc)


def _described(command: type, defaults: Any = None) -> type:
    """Returns a dataclass with the options of a command, as its help shows them."""
    groups: dict[str, list[Any]] = {"": [], **{name: [] for name in GROUPS}}
    options = sorted(options_of(command, defaults), key=lambda option: _RANK.get(option.name, -1))
    grouped = any(option.owner is not command for option in options)
    for option in options:
        other = "expert" if option.owner is Recipe else "result"
        group = _GROUP_OF.get(option.name, other) if grouped else ""
        groups["" if Positional in option.metadata else group].append(_field(option))
    fields = groups.pop("")
    for name, members in groups.items():
        if members:
            group = dataclasses.make_dataclass(name, members, kw_only=True)
            fields.append((name, group, dataclasses.field()))
    if nested := subcommands_of(command):
        kinds = [Annotated[_described(kind), subcommand(name)] for name, kind in nested.items()]
        fields.append(("command", _union(kinds), dataclasses.field()))
    doc = {"__doc__": inspect.getdoc(command)}
    return dataclasses.make_dataclass(command.__name__, fields, kw_only=True, namespace=doc)


def _field(option: Option) -> tuple[str, Any, Any]:
    """Returns name, type and field of an option."""
    hint = {None: "", False: "" if option.is_flag else "(default: off)"}
    hint[True] = "" if option.is_flag else "(default: on)"
    value = option.default
    note = arg(
        metavar=_METAVARS.get(option.value_kind),
        help_behavior_hint=hint[value] if value is None or isinstance(value, bool) else None,
        help=option.help or None,
    )
    kind = Annotated[(option.kind, DisallowNone, note, *option.metadata)]
    if value is dataclasses.MISSING:
        return option.name, kind, dataclasses.field()
    return option.name, kind, dataclasses.field(default_factory=lambda: value)
