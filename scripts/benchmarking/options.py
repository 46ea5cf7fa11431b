"""The options that every command has."""

import dataclasses
import os
from pathlib import Path

from .outcome import Row
from .problem import PlanName


def available_cores() -> int:
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measurement:
    """The options that every command has."""

    sizes: tuple[str, ...] = ("256", "512")
    """Sizes of the image in pixels: one side of a square, or WIDTHxHEIGHT."""
    rounds: int = 5
    """Number of rounds; in each, every side runs once."""
    encoder: str = "vgg16"
    """Name or file of the encoder; random is VGG19 with random parameters."""
    plan: PlanName = "whole"
    """How jaxstyle evaluates the loss."""
    cores: int = dataclasses.field(default_factory=available_cores)
    """Number of cores for both sides."""
    json: Path | None = None
    """File for the numbers."""

    def measure(self) -> list[Row]:
        """Returns the rows of the table."""
        return [self.row(size) for size in self.sizes]

    def row(self, size: str) -> Row:
        """Measures one size."""
        raise NotImplementedError
