"""A VGG with its parameters, as an encoder.

The network is static (:class:`~jaxstyle.encoder.vgg.VGG`, hashable), its parameters are a pytree:
an encoder passes through ``jax.jit`` like any array, and other parameters of the same network never
recompile.
"""

import dataclasses
from typing import Any, TypeAlias

import jax
from flax import struct

from jaxstyle.arrays import Features, Image, Params, widen
from jaxstyle.compilation import jit
from jaxstyle.encoder.base import Encoder, Field
from jaxstyle.encoder.preprocessing import Preprocessing
from jaxstyle.encoder.vgg import VGG, WHOLE, Border
from jaxstyle.ops import convolution
from jaxstyle.ops.convolution import Kernels
from jaxstyle.ops.derivatives import Derivatives

KernelTable: TypeAlias = dict[str, Kernels]


@struct.dataclass(eq=False, repr=False, kw_only=True)
class VGGEncoder(Encoder):
    """A VGG network, its pretrained parameters and the preprocessing that belongs to them.

    Attributes:
        params: ``{layer: {"kernel": f32[3, 3, i, o], "bias": f32[o]}}``.
        network: The network, static.
        preprocessing: How an image becomes the network's input, static.
    """

    params: Any  # Params; JAX puts other leaves in, too
    network: VGG = struct.field(pytree_node=False)
    preprocessing: Preprocessing = struct.field(pytree_node=False)  # pyright: ignore[reportIncompatibleVariableOverride, reportGeneralTypeIssues]

    def __repr__(self) -> str:
        """Returns a summary without the parameters."""
        names = self.layers
        layers = f"{len(names)} layers to {names[-1]}" if names else "no layers"
        return f"VGGEncoder({layers}, {self.preprocessing.name}, {self.network.pooling} pooling)"

    def replace(
        self,
        *,
        params: Params | None = None,
        network: VGG | None = None,
        preprocessing: Preprocessing | None = None,
    ) -> "VGGEncoder":
        """Returns the encoder with other parameters, network or preprocessing."""
        changes = {"params": params, "network": network, "preprocessing": preprocessing}
        return dataclasses.replace(self, **{k: v for k, v in changes.items() if v is not None})

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that have parameters."""
        return tuple(name for name in self.network.layers if name in self.params)

    @property
    def wraps(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether opposite borders of an image are neighbours."""
        return self.network.padding == "circular"

    @property
    def derivatives(self) -> Derivatives:  # pyright: ignore[reportIncompatibleVariableOverride]
        """``any`` if derivatives in forward mode are possible."""
        return self.network.derivatives

    def shape_at(self, layer: str, shape: tuple[int, int]) -> tuple[int, int]:
        """Returns height and width of a layer's features for an image of height and width."""
        return self.network.shape_at(layer, shape)

    def field_at(self, layer: str) -> Field:
        """Returns the receptive field of a layer, in pixels."""
        return Field(*self.network.field_at(layer))

    def features(
        self, image: Image, layers: tuple[str, ...], *, border: Border = WHOLE
    ) -> Features:
        """Returns the activations of the named layers after the ReLU.

        Nothing is computed beyond the deepest of them.

        Args:
            image: ``f32[h, w, 3]``, sRGB in [0, 1].
            layers: Some of :attr:`layers`.
            border: How the rows around feature maps are treated.
        """
        return _features(self, None, image, layers, border)

    def unwrap(self) -> "VGGEncoder":
        """Returns the encoder for pictures that are not seamless."""
        if not self.wraps:
            return self
        return self.replace(network=self.network.clone(padding="replicate"))

    def truncate(self, layers: tuple[str, ...]) -> "VGGEncoder":
        """Returns the encoder without the layers behind the deepest of some layers."""
        names = self.layers
        needed = names[: max(map(names.index, layers), default=-1) + 1]
        return self.replace(params={name: self.params[name] for name in needed})

    def prepare(self, layers: tuple[str, ...]) -> Encoder:
        """Returns the truncated encoder with kernels prepared for a run."""
        encoder = self.truncate(layers)
        if self.derivatives == "any":  # Prepared kernels have no derivatives.
            return encoder
        return PreparedVGG(encoder=encoder, kernels=_prepare_kernels(encoder))


@struct.dataclass(eq=False, kw_only=True)
class PreparedVGG(Encoder):
    """A :class:`VGGEncoder` with kernels that are computed once for a run, not in every evaluation.

    Kernels and parameters belong together: there is no way to replace one of them.

    Attributes:
        encoder: The encoder that the kernels were computed from.
        kernels: Per layer, from :func:`jaxstyle.ops.convolution.prepare`.
    """

    encoder: VGGEncoder
    kernels: Any  # KernelTable; JAX puts other leaves in, too

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that have parameters."""
        return self.encoder.layers

    @property
    def wraps(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether opposite borders of an image are neighbours."""
        return self.encoder.wraps

    @property
    def preprocessing(self) -> Preprocessing:  # pyright: ignore[reportIncompatibleVariableOverride]
        """How an image becomes the network's input."""
        return self.encoder.preprocessing

    def shape_at(self, layer: str, shape: tuple[int, int]) -> tuple[int, int]:
        """Returns height and width of a layer's features for an image of height and width."""
        return self.encoder.shape_at(layer, shape)

    def field_at(self, layer: str) -> Field:
        """Returns the receptive field of a layer, in pixels."""
        return self.encoder.field_at(layer)

    def features(
        self, image: Image, layers: tuple[str, ...], *, border: Border = WHOLE
    ) -> Features:
        """Returns the activations of the named layers after the ReLU."""
        return _features(self.encoder, self.kernels, image, layers, border)

    def unwrap(self) -> "PreparedVGG":
        """Returns the encoder for pictures that are not seamless."""
        return dataclasses.replace(self, encoder=self.encoder.unwrap())

    def prepare(self, layers: tuple[str, ...]) -> "PreparedVGG":
        """Returns the encoder itself, which is prepared."""
        return self


def _features(
    encoder: VGGEncoder,
    kernels: KernelTable | None,
    image: Image,
    layers: tuple[str, ...],
    border: Border,
) -> Features:
    network, features = encoder.network, {}
    x = encoder.preprocessing(image)
    x = x.astype(network.dtype) if network.precision == "bf16" else x
    deepest = max(layers, key=network.layers.index)
    for names in network.blocks(deepest):

        def run(x: Any, params: Params, names: tuple[str, ...] = names) -> Any:
            variables: dict[str, Any] = {"params": params}
            if kernels is not None:
                variables["prepared"] = {name: {"kernels": kernels[name]} for name in names}
            wanted = tuple(name for name in names if name in (*layers, names[-1]))
            return network.apply(variables, x, wanted, border, names)

        run = jax.checkpoint(run) if border.recompute else run
        found = run(x, {name: encoder.params[name] for name in names})
        x = found[names[-1]]
        features |= {name: widen(found[name]) for name in names if name in layers}
    return features


@jit()
def _prepare_kernels(encoder: VGGEncoder) -> KernelTable:
    dtype, platform = encoder.network.dtype, jax.default_backend()
    return {
        name: convolution.prepare(p["kernel"].astype(dtype), platform=platform)
        for name, p in encoder.params.items()
    }
