"""A VGG with its parameters, as an encoder: what others lack is prepared kernels and strips.

The network is static (:class:`~jaxstyle.encoder.vgg.VGG`, hashable), its parameters are a pytree;
so an encoder is passed through ``jax.jit`` like any array, and other parameters of the same network
never recompile.
"""

import dataclasses
from typing import Any, TypeAlias

import jax
from flax import struct

from jaxstyle.arrays import Feature, Features, Image, widen
from jaxstyle.compilation import jit
from jaxstyle.encoder.preprocessing import Preprocessing
from jaxstyle.encoder.vgg import VGG, Conv
from jaxstyle.ops import convolution
from jaxstyle.ops.convolution import Kernels

KernelTable: TypeAlias = dict[str, Kernels]


@struct.dataclass(eq=False, repr=False, kw_only=True)
class VGGEncoder:
    """A VGG network, its pretrained parameters and the preprocessing that belongs to them.

    Attributes:
        params: ``{layer: {"kernel": f32[3, 3, i, o], "bias": f32[o]}}``.
        network: The network, static.
        preprocessing: What the network sees of an image, static.
    """

    params: Any  # Params; JAX puts other leaves in, too
    network: VGG = struct.field(pytree_node=False)
    preprocessing: Preprocessing = struct.field(pytree_node=False)

    def __repr__(self) -> str:
        """Names what it is, not its millions of numbers."""
        names = self.layers
        layers = f"{len(names)} layers to {names[-1]}" if names else "no layers"
        return f"VGGEncoder({layers}, {self.preprocessing.name}, {self.network.pooling} pooling)"

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that there are parameters of."""
        return tuple(name for name in self.network.layers if name in self.params)

    @property
    def wraps(self) -> bool:
        """Whether the image is a tile."""
        return self.network.padding == "circular"

    def shape_at(self, layer: str, shape: tuple[int, int]) -> tuple[int, int]:
        """Returns height and width of a layer's features for an image of height and width."""
        return self.network.shape_at(layer, shape)

    def field_at(self, layer: str) -> tuple[int, int]:
        """Returns stride and reach of a layer's receptive field, in pixels."""
        return self.network.field_at(layer)

    def features(self, image: Image, layers: tuple[str, ...]) -> Features:
        """Returns the activations after the ReLU of the named layers."""
        return _features(self, None, image, layers)

    def unwrap(self) -> "VGGEncoder":
        """Returns the encoder for pictures that are no tiles."""
        if not self.wraps:
            return self
        return dataclasses.replace(self, network=self.network.clone(padding="replicate"))

    def truncate(self, layers: tuple[str, ...]) -> "VGGEncoder":
        """Returns the encoder without what lies behind the deepest of some layers."""
        names = self.layers
        kept = names[: max(map(names.index, layers), default=-1) + 1]
        return dataclasses.replace(self, params={name: self.params[name] for name in kept})

    def prepare(self, layers: tuple[str, ...]) -> "PreparedVGG":
        """Returns the encoder of a run: cut, and with the kernels that its layers run on."""
        encoder = self.truncate(layers)
        return PreparedVGG(encoder=encoder, kernels=_prepare_kernels(encoder))


@struct.dataclass(eq=False, kw_only=True)
class PreparedVGG:
    """A :class:`VGGEncoder` for one run, whose kernels are computed once and not in every step.

    Attributes:
        encoder: Whose they are; whoever has other parameters prepares them anew.
        kernels: Per layer, from :func:`jaxstyle.ops.convolution.prepare`.
    """

    encoder: VGGEncoder
    kernels: Any  # KernelTable; JAX puts other leaves in, too

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that there are parameters of."""
        return self.encoder.layers

    @property
    def wraps(self) -> bool:
        """Whether the image is a tile."""
        return self.encoder.wraps

    @property
    def preprocessing(self) -> Preprocessing:
        """What the network sees of an image."""
        return self.encoder.preprocessing

    def shape_at(self, layer: str, shape: tuple[int, int]) -> tuple[int, int]:
        """Returns height and width of a layer's features for an image of height and width."""
        return self.encoder.shape_at(layer, shape)

    def field_at(self, layer: str) -> tuple[int, int]:
        """Returns stride and reach of a layer's receptive field, in pixels."""
        return self.encoder.field_at(layer)

    def features(self, image: Image, layers: tuple[str, ...]) -> Features:
        """Returns the activations after the ReLU of the named layers."""
        return _features(self.encoder, self.kernels, image, layers)

    def unwrap(self) -> "PreparedVGG":
        """Returns the encoder for pictures that are no tiles."""
        return dataclasses.replace(self, encoder=self.encoder.unwrap())


def network_input(encoder: VGGEncoder, image: Image) -> Feature:
    """Returns what the first layer sees of an image."""
    x = encoder.preprocessing(image)
    return x.astype(encoder.network.dtype) if encoder.network.precision == "bf16" else x


def convolve(encoder: VGGEncoder, layer: str, x: Feature) -> Feature:
    """Returns one layer's activations, of an input that brings the rows around it along.

    Args:
        encoder: Network and pretrained parameters.
        layer: Name of the convolution.
        x: ``f32[h + 2, w, i]``; columns are padded here.

    Returns:
        ``f32[h, w, o]``.
    """
    params, network = encoder.params[layer], encoder.network
    width = params["bias"].shape[0]
    conv = Conv(width, network.padding_of(layer), network.precision, rows_around=True)
    y: Any = conv.apply({"params": params}, x)
    return y


def _features(
    encoder: VGGEncoder, kernels: KernelTable | None, image: Image, layers: tuple[str, ...]
) -> Features:
    variables: dict[str, Any] = {"params": encoder.params}
    if kernels is not None:
        variables["prepared"] = {name: {"kernels": k} for name, k in kernels.items()}
    features: Any = encoder.network.apply(variables, network_input(encoder, image), layers)
    return {name: widen(feature) for name, feature in features.items()}


@jit()
def _prepare_kernels(encoder: VGGEncoder) -> KernelTable:
    dtype, platform = encoder.network.dtype, jax.default_backend()
    return {
        name: convolution.prepare(p["kernel"].astype(dtype), platform=platform)
        for name, p in encoder.params.items()
    }
