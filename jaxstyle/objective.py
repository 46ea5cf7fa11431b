"""The objective's settings: what changes the program, and what changes numbers only.

:class:`Objective` is static. :class:`LossWeights` is a pytree, as are the targets, so that another
weight or picture never recompiles and ``vmap`` runs over them.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, get_args

import jax
from flax import struct
from jaxtyping import ArrayLike

from jaxstyle.arrays import Features, Image, Masks
from jaxstyle.compilation import jit
from jaxstyle.errors import check_choice, unknown
from jaxstyle.normalisation import Normalisation
from jaxstyle.stats import Gram, Statistic, encode_in_strips
from jaxstyle.variation import Variation
from jaxstyle.vgg import IMAGE, LAYER, Encoder, encode, prepare_kernels, truncate

Memory = Literal["high", "low"]

_prepare_kernels = jit()(prepare_kernels)


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Objective:
    """What the terms of the loss are made of. Static and hashable.

    Attributes:
        content_layers: Layers whose features the image should keep.
        style_layers: Layers whose statistics the image should take over.
        statistic: What of a style layer's features is taken over.
        normalisation: What the terms are divided by.
        tv: The kind of total variation.
        normalise_gradients: Whether the gradient that each layer's term sends back is divided by
            its L1 norm. No loss has such a gradient: it takes a solver without a line search.
        memory: ``low`` computes activations strip by strip, and once more on the way back, instead
            of keeping them; the loss is the same.
    """

    content_layers: tuple[str, ...] = ("conv4_2",)
    style_layers: tuple[str, ...] = ("image", "conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
    statistic: Statistic = dataclasses.field(default_factory=Gram)
    normalisation: Normalisation = "energy"
    tv: Variation = "l2"
    normalise_gradients: bool = False
    memory: Memory = "high"

    def __post_init__(self) -> None:
        for name, choices in (("normalisation", Normalisation), ("tv", Variation)):
            check_choice(name, getattr(self, name), get_args(choices))
        check_choice("memory", self.memory, get_args(Memory))

    @property
    def layers(self) -> tuple[str, ...]:
        """All layers, each once."""
        return tuple(dict.fromkeys((*self.content_layers, *self.style_layers)))

    def prepare(self, encoder: Encoder) -> Encoder:
        """Returns the encoder cut after the deepest layer and, memory allowing, prepared.

        Raises:
            InputError: A layer is none of the encoder's.
        """
        encoder = truncate(encoder, self.layers)
        if self.memory == "low":
            return encoder
        return dataclasses.replace(encoder, kernels=_prepare_kernels(encoder))

    def encode(
        self, encoder: Encoder, image: Image, masks: Mapping[str, Masks]
    ) -> tuple[Features, dict[str, Any]]:
        """Returns the features of the layers, or of style layers the sums alone.

        Args:
            encoder: Network and pretrained parameters.
            image: ``f32[h, w, 3]``, sRGB in [0, 1].
            masks: Per style layer, one mask per region; empty for one region.

        Raises:
            InputError: A layer is none of the encoder's, or the image is too small for it.
        """
        if self.memory == "high":
            return encode(encoder, image, self.layers), {}
        # A gradient's norm is the whole layer's, too.
        apart = self.statistic.additive and not self.normalise_gradients
        whole = self.content_layers if apart else self.layers
        summed = self.style_layers if apart else ()
        return encode_in_strips(
            encoder, image, whole, summed, masks=masks, statistic=self.statistic
        )


# Chosen by eye and by measure, docs/recipe.md: conv2_1 and conv3_1 carry strokes and see every grid
# of pixels; deep layers alone draw one, and bring things over instead of strokes.
_BALANCE = {"image": 20.0, "conv2_1": 10.0, "conv3_1": 10.0, "conv5_1": 0.1}


@struct.dataclass
class LossWeights:
    """How much each term counts; every field is a number ≥ 0 and traced.

    Attributes:
        content: Of the content term.
        style: Of the style term.
        tv: Of the total variation.
        content_layers: Of single content layers; 1 where a layer is not named.
        style_layers: Of single style layers; 1 where a layer is not named.
    """

    content: ArrayLike = 1.0
    style: ArrayLike = 60.0
    tv: ArrayLike = 5.0
    content_layers: Mapping[str, ArrayLike] = struct.field(default_factory=dict)
    style_layers: Mapping[str, ArrayLike] = struct.field(default_factory=lambda: dict(_BALANCE))

    def check_layers(self, objective: Objective) -> None:
        """Refuses weights of what is no layer; those of layers that the objective lacks wait.

        Raises:
            InputError: A name is none of the objective's, and not like any layer's.
        """
        for name in (*self.content_layers, *self.style_layers):
            if name not in (IMAGE, *objective.layers) and not LAYER.fullmatch(name):
                raise unknown("loss weight of layer", name, objective.layers)

    def of_content(self, layer: str) -> ArrayLike:
        """Returns the weight of a content layer."""
        return self.content * self.content_layers.get(layer, 1.0)

    def of_style(self, layer: str) -> ArrayLike:
        """Returns the weight of a style layer."""
        return self.style * self.style_layers.get(layer, 1.0)
