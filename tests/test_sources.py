"""The pictures of a run: refusals, and resizing by one factor."""

import jax.numpy as jnp
import numpy as np
import pytest

import jaxstyle as js
from jaxstyle.arrays import check_image
from jaxstyle.losses.pictures import check_regions
from jaxstyle.run.sources import make_sources, scale_style

CONTENT, STYLE = jnp.full((32, 48, 3), 0.5), jnp.full((40, 24, 3), 0.25)
HALVES = jnp.stack([jnp.zeros((32, 48)).at[:, :24].set(1), jnp.zeros((32, 48)).at[:, 24:].set(1)])
STYLE_HALVES = jnp.stack([jnp.zeros((40, 24)).at[:10].set(1), jnp.zeros((40, 24)).at[10:].set(1)])


def sources(content, styles, blend=None, content_masks=None, style_masks=None):
    return make_sources(js.Scene(content, content_masks), js.Styles(styles, blend, style_masks))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((CONTENT[:15], [STYLE]), "content: a side under 16 px; give a larger picture"),
        ((CONTENT, [STYLE, STYLE[:, :15]]), "style: a side under 16 px; give a larger picture"),
        ((CONTENT, []), "style: no picture; give at least one"),
        ((CONTENT, [STYLE], [1.0, 2.0]), r"blend: numbers\[2\] for 1 styles; give as many"),
        ((CONTENT, [STYLE] * 2, [1.0, -1.0]), "blend: not weights; give numbers ≥ 0"),
        ((CONTENT, [STYLE] * 2, [0.0, 0.0]), "blend: not weights"),
        ((CONTENT, [STYLE], [float("inf")]), "blend: not weights"),
        ((CONTENT, [STYLE] * 2, [1.0, float("nan")]), "blend: not weights"),
        ((CONTENT, [STYLE], None, HALVES), "masks: on one side only"),
        ((CONTENT, [STYLE], None, None, [STYLE_HALVES]), "masks: on one side only"),
        ((CONTENT, [STYLE] * 2, None, HALVES, [STYLE_HALVES]), "masks: 1 for 2 styles"),
        ((CONTENT, [STYLE], None, HALVES[:, 1:], [STYLE_HALVES]), r"content masks: \[2, 31, 48\]"),
        ((CONTENT, [STYLE], None, HALVES, [HALVES]), r"style masks: \[2, 32, 48\]"),
    ],
)
def test_pictures_that_do_not_belong_together_are_refused(arguments, message):
    with pytest.raises(js.InputError, match=message):
        sources(*arguments)


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
def test_arrays_that_are_not_images_are_refused(picture):
    with pytest.raises(js.InputError, match=f"style: {picture.dtype}.* is not an image"):
        check_image("style", picture)


def test_numbers_of_regions_must_agree():
    # Without the types that tests check first.
    check = getattr(check_regions, "__wrapped__", check_regions)
    scene, styles = js.Scene(CONTENT, HALVES), js.Styles([STYLE], masks=[STYLE_HALVES[:1]])
    with pytest.raises(js.InputError, match=r"masks: \[1, 2\] regions; give the same number"):
        check(scene, styles)


@pytest.mark.parametrize(
    ("blend", "style_masks", "refused"),
    [
        (None, [STYLE_HALVES, STYLE_HALVES.at[0].set(0)], False),
        (None, [STYLE_HALVES.at[0].set(0)] * 2, True),
        # The only style with the region has no share.
        ([0.0, 1.0], [STYLE_HALVES, STYLE_HALVES.at[0].set(0)], True),
    ],
)
def test_region_without_a_style_is_refused(blend, style_masks, refused):
    arguments = (CONTENT, [STYLE] * 2, blend, HALVES, style_masks)
    if not refused:
        sources(*arguments)
        return
    with pytest.raises(js.InputError, match="masks: region 1 of the content is in no style"):
        sources(*arguments)
    # If the content does not have it either, nothing is missing.
    sources(*arguments[:3], HALVES.at[0].set(0), style_masks)


@pytest.mark.parametrize(("blend", "shares"), [
    (None, [1, 1]), ([4.0, 1.0], [1, 0.25]),
    # Beyond the range of float32.
    ([1e-320] * 2, [1, 1]), ([1e308] * 2, [1, 1]),
], ids=str)  # fmt: skip
def test_shares_are_relative(blend, shares):
    assert sources(CONTENT, [STYLE] * 2, blend).styles.blend.tolist() == shares


def test_all_pictures_and_masks_are_resized_by_one_factor():
    run = sources(CONTENT, [STYLE, CONTENT], None, HALVES, [STYLE_HALVES, HALVES])
    scene, styles = run.at((22, 33))
    assert scene.image.shape == (22, 33, 3)
    # 33/48 of 40 × 24 and of 32 × 48.
    assert [s.shape for s in styles.images] == [(28, 17, 3), (22, 33, 3)]
    assert scene.masks.shape == (2, 22, 33)
    assert [m.shape for m in styles.masks] == [(2, 28, 17), (2, 22, 33)]
    for masks, share in ((scene.masks, 1 / 2), (styles.masks[0], 1 / 4)):
        np.testing.assert_allclose(masks.sum(0), 1, atol=1e-5)
        np.testing.assert_allclose(masks[0].mean(), share, atol=0.01)
    np.testing.assert_allclose(styles.images[0], 0.25, atol=1e-5)
    full = run.at((32, 48))
    np.testing.assert_array_equal(full.scene.masks, HALVES)
    assert [s.shape for s in full.styles.images] == [STYLE.shape, CONTENT.shape]


def test_styles_are_not_resized_below_the_smallest_size():
    assert scale_style(STYLE, 0.1).shape == (27, 16, 3)
    assert sources(CONTENT, [STYLE]).at((16, 24)).styles.images[0].shape == (27, 16, 3)
