"""What people's judgements say of channels, and which encoder's channels these are."""

import dataclasses
from typing import Any

from flax import struct

from jaxstyle.encoder import VGG, VGG16, Encoder
from jaxstyle.encoder.preprocessing import TORCH, Preprocessing
from jaxstyle.errors import InputError
from jaxstyle.perceptual.pair import plain


@dataclasses.dataclass(frozen=True, kw_only=True)
class FittedTo:
    """The encoder that a calibration belongs to; on another its numbers mean nothing.

    Attributes:
        network: Network, padding included; its precision does not matter.
        preprocessing: What it sees of an image.
        name: What ``load_encoder`` calls it.
    """

    network: VGG
    preprocessing: Preprocessing
    name: str

    def check(self, encoder: Encoder) -> None:
        """Refuses another encoder.

        Raises:
            InputError: It is another.
        """
        network = getattr(plain(encoder), "network", None)
        same = isinstance(network, VGG) and (
            network.clone(precision=self.network.precision, parent=None) == self.network
        )
        if not same or getattr(encoder, "preprocessing", None) != self.preprocessing:
            padding = self.network.padding
            raise InputError(
                "encoder: none that the calibration was fitted to; take "
                f"load_encoder({self.name!r}, padding={padding!r}), or the uncalibrated distance"
            )


VGG16_TORCH = FittedTo(network=VGG16, preprocessing=TORCH, name="vgg16-torch")
"""What both publications were fitted to: torchvision's VGG-16, zeros around its images."""


@struct.dataclass(eq=False, kw_only=True)
class LpipsCalibration:
    """What LPIPS weighs channels by: a pytree of traced numbers.

    Attributes:
        channels: Per layer, the weight of each channel, ``f32[c]`` ≥ 0.
        fitted_to: The encoder that they belong to, static; None is not checked.
    """

    channels: Any  # dict[str, Channels]; JAX puts other leaves in, too
    fitted_to: FittedTo | None = struct.field(pytree_node=False, default=None)


@struct.dataclass(eq=False, kw_only=True)
class DistsCalibration:
    """What DISTS weighs channels by: a pytree of traced numbers.

    Attributes:
        texture: Per layer, ``image`` first, how much the mean of each channel counts, ``α``.
        structure: Likewise the covariance, ``β``. Both need not add up to 1.
        fitted_to: The encoder that they belong to, static; None is not checked.
    """

    texture: Any  # dict[str, Channels]
    structure: Any  # dict[str, Channels]
    fitted_to: FittedTo | None = struct.field(pytree_node=False, default=None)
