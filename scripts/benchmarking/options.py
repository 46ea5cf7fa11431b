"""The options that every subcommand has."""

import dataclasses
import os
from pathlib import Path
from typing import Annotated, Any, ClassVar

from tyro.constructors import PrimitiveConstructorSpec

import jaxstyle as js
from jaxstyle.encoder.vgg import VGG19
from jaxstyle.losses.objective import Memory
from jaxstyle.pretrained import random_encoder

from .outcome import Row

Numbers = Annotated[
    tuple[int, ...],
    PrimitiveConstructorSpec(
        nargs=1,
        metavar="INT[,INT…]",
        instance_from_str=lambda words: tuple(int(part) for part in words[0].split(",")),
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda numbers: [",".join(map(str, numbers))],
    ),
]


def available_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measurement:
    """What all subcommands share."""

    network: ClassVar[dict[str, Any]] = {"pooling": "max", "padding": "zeros"}
    """How the network is run: as the original's."""
    sizes: Numbers = (256, 512)
    """Sides of the square image, in pixels."""
    rounds: int = 7
    """How often the sides take turns."""
    encoder: str = "random"
    """The network's parameters: random is the full VGG19, untrained; else as of jaxstyle."""
    memory: Memory = "high"
    """Of our side: low computes in strips."""
    cores: int = dataclasses.field(default_factory=available_cores)
    """That both sides are pinned to."""
    json: Path | None = None
    """File to write the numbers to."""

    def load_encoder(self) -> js.VGGEncoder:
        """Returns the network, run as it is to be."""
        if self.encoder != "random":
            return js.load_encoder(self.encoder, **self.network)
        given = {name: value for name, value in self.network.items() if value is not None}
        return random_encoder(VGG19.clone(**given))

    def measure(self, encoder: js.VGGEncoder) -> list[Row]:
        """Returns the rows of the table."""
        raise NotImplementedError
