"""What a run paints from: what is refused, and how it shrinks together."""

import jax.numpy as jnp
import numpy as np
import pytest

import jaxstyle as js
from jaxstyle.arrays import check_image
from jaxstyle.run import sources as module
from jaxstyle.run.sources import make_sources, scale_style

CONTENT, STYLE = jnp.full((32, 48, 3), 0.5), jnp.full((40, 24, 3), 0.25)
HALVES = jnp.stack([jnp.zeros((32, 48)).at[:, :24].set(1), jnp.zeros((32, 48)).at[:, 24:].set(1)])
STYLE_HALVES = jnp.stack([jnp.zeros((40, 24)).at[:10].set(1), jnp.zeros((40, 24)).at[10:].set(1)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((CONTENT[:15], [STYLE]), "content: a side under 16 px; give a larger picture"),
        ((CONTENT, [STYLE, STYLE[:, :15]]), "style: a side under 16 px; give a larger picture"),
        ((CONTENT, []), "style: none; give at least one"),
        ((CONTENT, [STYLE], [1.0, 2.0]), "blend: 2 numbers for 1 styles; give as many"),
        ((CONTENT, [STYLE] * 2, [1.0, -1.0]), "blend: no shares; give numbers ≥ 0"),
        ((CONTENT, [STYLE] * 2, [0.0, 0.0]), "blend: no shares"),
        ((CONTENT, [STYLE], [float("inf")]), "blend: no shares"),
        ((CONTENT, [STYLE] * 2, [1.0, float("nan")]), "blend: no shares"),
        ((CONTENT, [STYLE], None, HALVES), "masks: of one side only"),
        ((CONTENT, [STYLE], None, None, [STYLE_HALVES]), "masks: of one side only"),
        ((CONTENT, [STYLE] * 2, None, HALVES, [STYLE_HALVES]), "masks: 1 for 2 styles"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments, message):
    with pytest.raises(js.InputError, match=message):
        make_sources(*arguments)


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((20, 20, 3), np.uint8),
        np.zeros((20, 20, 3), bool),
        np.zeros((20, 20, 4), np.float32),
        np.zeros((20, 20), np.float32),
        np.zeros((1, 20, 20, 3), np.float32),
    ],
    ids=lambda p: f"{p.dtype}{p.shape}",
)
def test_what_is_no_picture_is_refused(picture):
    with pytest.raises(js.InputError, match=f"style: {picture.dtype}.* is no image"):
        check_image("style", picture)


def test_numbers_of_regions_must_agree():
    # Without the tests' own check of types, which would be quicker.
    check = getattr(module.check_masks, "__wrapped__", module.check_masks)
    with pytest.raises(js.InputError, match=r"masks: \[1, 2\] regions; give the same number"):
        check([1.0], HALVES, [STYLE_HALVES[:1]])


@pytest.mark.parametrize(
    ("blend", "style_masks", "refused"),
    [
        (None, [STYLE_HALVES, STYLE_HALVES.at[0].set(0)], False),
        (None, [STYLE_HALVES.at[0].set(0)] * 2, True),
        # The only style that has the region does not count.
        ([0.0, 1.0], [STYLE_HALVES, STYLE_HALVES.at[0].set(0)], True),
    ],
)
def test_a_region_without_a_style_is_refused(blend, style_masks, refused):
    arguments = (CONTENT, [STYLE] * 2, blend, HALVES, style_masks)
    if not refused:
        assert make_sources(*arguments).style_masks == style_masks
        return
    with pytest.raises(js.InputError, match="masks: region 1 of the content is in no style"):
        make_sources(*arguments)
    # Nor does the content have it: nothing is missing.
    make_sources(*arguments[:3], HALVES.at[0].set(0), style_masks)


def test_shares_are_alike_unless_told():
    assert make_sources(CONTENT, [STYLE] * 3).blend.tolist() == [1, 1, 1]
    assert make_sources(CONTENT, [STYLE] * 2, [4.0, 1.0]).blend.tolist() == [1, 0.25]


@pytest.mark.parametrize("scale", [1e-320, 1e-40, 1e38, 1e308])
def test_shares_beyond_float32_are_shares(scale):
    blend = make_sources(CONTENT, [STYLE] * 2, [scale, scale]).blend
    assert blend.tolist() == [1, 1]


def test_everything_shrinks_in_proportion():
    sources = make_sources(CONTENT, [STYLE, CONTENT], None, HALVES, [STYLE_HALVES, HALVES])
    small = sources.at((22, 33))
    assert small.content.shape == (22, 33, 3)
    # 33/48 of 40 × 24 and of 32 × 48.
    assert [s.shape for s in small.styles] == [(28, 17, 3), (22, 33, 3)]
    assert small.content_masks.shape == (2, 22, 33)
    assert [m.shape for m in small.style_masks] == [(2, 28, 17), (2, 22, 33)]
    for masks, share in ((small.content_masks, 1 / 2), (small.style_masks[0], 1 / 4)):
        np.testing.assert_allclose(masks.sum(0), 1, atol=1e-5)
        np.testing.assert_allclose(masks[0].mean(), share, atol=0.01)
    np.testing.assert_allclose(small.styles[0], 0.25, atol=1e-5)
    full = sources.at((32, 48))
    np.testing.assert_array_equal(full.content_masks, HALVES)
    assert [s.shape for s in full.styles] == [STYLE.shape, CONTENT.shape]
    assert make_sources(CONTENT, [STYLE]).at((16, 24)).style_masks is None


def test_styles_never_shrink_below_what_an_encoder_takes():
    assert scale_style(STYLE, 0.1).shape == (27, 16, 3)
    assert make_sources(CONTENT, [STYLE]).at((16, 24)).styles[0].shape == (27, 16, 3)
