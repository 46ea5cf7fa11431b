"""The plan that evaluates the whole image at once."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax

from jaxstyle.arrays import Features, Image
from jaxstyle.encoder import Encoder, encode
from jaxstyle.evaluate.plan import Plan, Request, layers_of, scaled_gradients
from jaxstyle.losses.loss_weights import LossWeights
from jaxstyle.losses.term import Local, Size, View


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Whole(Plan):
    """Keeps the activations of the whole image: the fastest plan, for whatever fits into memory."""

    def measure(
        self,
        image: Image,
        requests: tuple[Request, ...],
        local: Mapping[str, Local],
        encoder: Encoder,
        size: Size,
        norms: LossWeights | None = None,
    ) -> dict[str, Any]:
        """Returns the sums that are requested."""
        features = encode(image, encoder, layers_of(requests))
        views = {
            r.name: View(
                image, scaled_gradients(features, r, norms), local[r.name], {}, encoder.wraps
            )
            for r in requests
        }
        return {request.name: request(views[request.name]) for request in requests}

    def features(
        self, image: Image, encoder: Encoder, layers: tuple[str, ...], size: Size
    ) -> Features:
        """Returns the features of an image."""
        return encode(image, encoder, layers)


WHOLE = Whole()
