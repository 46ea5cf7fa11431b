"""The objective: the terms of the loss and their settings. Static."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax

from jaxstyle.errors import InputError, check_choice, choose
from jaxstyle.losses.content import Content
from jaxstyle.losses.laplacian import Laplacian
from jaxstyle.losses.normalisation import NORMALISATIONS, Normalisation
from jaxstyle.losses.statistics import STATISTICS, Gram, Statistic
from jaxstyle.losses.style import Style
from jaxstyle.losses.temporal import TEMPORAL, Temporal
from jaxstyle.losses.term import Term
from jaxstyle.losses.total_variation import TotalVariation
from jaxstyle.losses.transport import SelfSimilarity, Transport
from jaxstyle.ops.variation import VARIATIONS, Variation

TERMS: dict[str, Term] = {
    "laplacian": Laplacian(),
    TEMPORAL: Temporal(),
    "transport": Transport(),
    "self-similarity": SelfSimilarity(),
}
"""Further terms that objectives, recipes and the command can name."""


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
    """The terms of the loss: content, style, total variation, and others. Static and hashable.

    Attributes:
        content_layers: Layers of the content term; empty for no content term.
        style_layers: Layers of the style term; empty for no style term.
        statistic: The statistic that the style term matches: a name, or an object.
        normalisation: The divisors of the terms: a name, or an object.
        tv: The kind of total variation: a name, or a function.
        normalise_gradients: Whether the gradient of each layer's term is divided by its L1 norm.
            The result is not the gradient of any loss, so the solver must not use a line search.
        extra: Further terms: a mapping from names to terms, or names in :data:`TERMS`.

    Examples:
        >>> list(Objective(extra=["laplacian"]).terms)
        ['content', 'style', 'tv', 'laplacian']
    """

    content_layers: tuple[str, ...] = Content.layers
    style_layers: tuple[str, ...] = Style.layers
    statistic: Statistic | str = dataclasses.field(default_factory=Gram)
    normalisation: str | Normalisation = "energy"
    tv: str | Variation = "l2"
    normalise_gradients: bool = False
    extra: Any = ()  # Mapping[str, Term] | Sequence[str]; stored as pairs, which are hashable

    def __post_init__(self) -> None:
        for name in ("content_layers", "style_layers"):
            object.__setattr__(self, name, _as_layers(name, getattr(self, name)))
        object.__setattr__(self, "statistic", _as_statistic(self.statistic))
        object.__setattr__(self, "extra", _as_pairs(self.extra))
        choose("normalisation", self.normalisation, NORMALISATIONS)
        choose("tv", self.tv, VARIATIONS)

    @property
    def terms(self) -> dict[str, Term]:
        """All terms by name."""
        divisors = choose("normalisation", self.normalisation, NORMALISATIONS)
        terms: dict[str, Term] = {}
        if self.content_layers:
            terms["content"] = Content(layers=self.content_layers, normalisation=divisors)
        if self.style_layers:
            assert not isinstance(self.statistic, str)  # __post_init__
            terms["style"] = Style(
                layers=self.style_layers, statistic=self.statistic, normalisation=divisors
            )
        terms["tv"] = TotalVariation(kind=self.tv, normalisation=divisors)
        return terms | dict(self.extra)

    @property
    def layers(self) -> tuple[str, ...]:
        """All layers that a term uses, without duplicates."""
        terms = self.terms.values()
        return tuple(dict.fromkeys(name for t in terms for name in (*t.layers, *t.content_layers)))


def _as_layers(name: str, layers: Any) -> tuple[str, ...]:
    if isinstance(layers, str):
        raise InputError(f"{name} {layers!r}: a string; give a tuple of names, ({layers!r},)")
    return tuple(layers)


def _as_statistic(statistic: Any) -> Statistic:
    if isinstance(statistic, type):
        statistic = statistic()
    statistic = choose("statistic", statistic, STATISTICS)
    if not isinstance(statistic, Statistic):
        raise InputError(f"statistic {statistic!r}: not a Statistic; give js.Gram() or a name")
    return statistic


def _as_pairs(extra: Any) -> tuple[tuple[str, Term], ...]:
    if isinstance(extra, Mapping):
        pairs = tuple(extra.items())
    elif all(isinstance(item, str) for item in extra):
        for name in extra:
            check_choice("term", name, TERMS)
        pairs = tuple((name, TERMS[name]) for name in extra)
    else:
        pairs = tuple(extra)
    for name, term in pairs:
        if not isinstance(term, Term):
            raise InputError(f"term {name}: {term!r} is not a Term; give an object of a subclass")
        if name in ("content", "style", "tv"):
            raise InputError(f"term {name}: the name is taken; choose another")
    return pairs


def check_additive(terms: Mapping[str, Term], plan: str) -> None:
    """Checks that all terms are sums over positions, which can be added up over parts of an image.

    Raises:
        InputError: A term is not.
    """
    for name, term in terms.items():
        if term.layers and not term.additive:
            instead = "a statistic such as gram" if isinstance(term, Style) else "other terms"
            raise InputError(
                f"plan {plan}: the term {name} is not a sum over positions; choose Whole, or "
                f"{instead}"
            )
