"""Weights of channels fitted to human judgements, and the encoder to which they belong."""

import dataclasses
from typing import Any

from flax import struct

from jaxstyle.encoder import VGG, VGG16, Encoder
from jaxstyle.encoder.preprocessing import TORCH, Preprocessing
from jaxstyle.errors import InputError
from jaxstyle.perceptual.pair import plain


@dataclasses.dataclass(frozen=True, kw_only=True)
class FittedTo:
    """The encoder to which a calibration was fitted; with another, it is meaningless.

    Attributes:
        network: The network, including its padding; its precision does not matter.
        preprocessing: The encoder's preprocessing.
        name: The encoder's name for ``load_encoder``.
    """

    network: VGG
    preprocessing: Preprocessing
    name: str

    def check(self, encoder: Encoder) -> None:
        """Checks that an encoder is this one.

        Raises:
            InputError: The encoder is another one.
        """
        network = getattr(plain(encoder), "network", None)
        same = isinstance(network, VGG) and (
            network.clone(precision=self.network.precision, parent=None) == self.network
        )
        if not same or getattr(encoder, "preprocessing", None) != self.preprocessing:
            padding = self.network.padding
            raise InputError(
                "encoder: not the one that the calibration was fitted to; choose "
                f"load_encoder({self.name!r}, padding={padding!r}), or the uncalibrated distance"
            )


VGG16_TORCH = FittedTo(network=VGG16, preprocessing=TORCH, name="vgg16-torch")
"""The encoder of both publications: torchvision's VGG-16 with zero padding."""


@struct.dataclass(eq=False, kw_only=True)
class LpipsCalibration:
    """The channel weights of LPIPS: a pytree of traced numbers.

    Attributes:
        channels: For each layer the weights of its channels, ``f32[c]`` ≥ 0.
        fitted_to: The encoder to which they belong, static; None to accept any.
    """

    channels: Any  # dict[str, Channels], but JAX also inserts other leaves
    fitted_to: FittedTo | None = struct.field(pytree_node=False, default=None)


@struct.dataclass(eq=False, kw_only=True)
class DistsCalibration:
    """The channel weights of DISTS: a pytree of traced numbers, which need not add up to 1.

    Attributes:
        texture: For each layer, ``image`` first, the weights ``α`` of the means, ``f32[c]``.
        structure: For each layer the weights ``β`` of the covariances, ``f32[c]``.
        fitted_to: The encoder to which they belong, static; None to accept any.
    """

    texture: Any  # dict[str, Channels]
    structure: Any  # dict[str, Channels]
    fitted_to: FittedTo | None = struct.field(pytree_node=False, default=None)
