"""Checks what a page asks for, and turns it into an order."""

import base64
import binascii
import secrets
from pathlib import Path
from typing import Any

from jaxstyle.errors import InputError
from jaxstyle.files.result import portable
from jaxstyle.ops import resize
from jaxstyle.web import controls
from jaxstyle.web.limits import Limits
from jaxstyle.web.painting import Order, check_shapes
from jaxstyle.web.pictures import check_pixels
from jaxstyle.web.runs import FinishedPicture, QueuedRun
from jaxstyle.web.sessions import Missing, Session, Upload


def order_of(session: Session, body: dict[str, Any], encoders: list[str], limits: Limits) -> Order:
    """Returns what a page asks for.

    Args:
        session: The visitor's session.
        body: The request, as JSON.
        encoders: Names of encoders that are allowed.
        limits: How much a visitor may ask for.

    Raises:
        InputError: A part of it cannot be used.
        Missing: The visitor does not have one of the pictures.
    """
    recipe = controls.recipe_of(body.get("preset"), body.get("settings"), encoders)
    styles, shares = chosen_styles(session, body, limits)
    if not styles:
        raise InputError("no painting: choose one")
    if not any(shares):
        raise InputError("shares: all of them are 0; raise a slider")
    content = session.upload(body.get("content"))
    order = Order(recipe, str(body.get("preset")), content, styles, shares)
    masks = body.get("masks")
    return _with_masks(session, order, masks, limits) if isinstance(masks, dict) else order


def chosen_styles(
    session: Session, body: dict[str, Any], limits: Limits
) -> tuple[list[Upload], list[float]]:
    """Returns the paintings that a page asks for, and their shares; raises as :func:`order_of`."""
    chosen = body.get("styles")
    if not isinstance(chosen, list) or not all(isinstance(style, dict) for style in chosen):
        raise InputError("styles: of a wrong type; reload the page")
    if len(chosen) > limits.max_styles:
        raise InputError(f"{len(chosen)} paintings: at most {limits.max_styles}; remove some")
    styles = [session.upload(style.get("id")) for style in chosen]
    if len({style.id for style in styles}) < len(styles):
        raise InputError("styles: a painting is there twice; raise its share instead")
    return styles, [_share(style.get("share", 1)) for style in chosen]


def _with_masks(session: Session, order: Order, masks: dict[str, Any], limits: Limits) -> Order:
    painted = masks.get("styles")
    if not isinstance(painted, list) or len(painted) != len(order.styles):
        raise InputError("masks: paint regions on the photograph and on every painting")
    content, *styles = [
        _keep_mask(session, mask, limits) for mask in (masks.get("content"), *painted)
    ]
    return order._replace(content_mask=content, style_masks=tuple(styles))


def enlarged_order(session: Session, body: dict[str, Any], limits: Limits) -> Order:
    """Returns the order for a preview at a larger size; raises as :func:`order_of` does."""
    run = session.run(body.get("from"))
    picture, size = result_of(run, body.get("result", 0)), body.get("size")
    if not isinstance(size, int):
        raise InputError("size: not a number; choose the size of the picture")
    recipe = controls.enlarged(picture.recipe, size, picture.shape)
    check_shapes([resize.fit(picture.shape, size)], limits)
    return run.order._replace(
        recipe=recipe,
        init=picture.path,
        # The print of a print names the first preview.
        continued_from=run.order.continued_from or portable(picture.recipe).to_table(),
    )


def chosen_order(session: Session, body: dict[str, Any]) -> Order:
    """Returns the order for a strength that was chosen from a sheet.

    Raises:
        InputError: The run is not a sheet.
        Missing: It no longer exists.
    """
    run = session.run(body.get("from"))
    if run.kind != "sheet":
        raise InputError("from: not a sheet of strengths; reload the page")
    picture = result_of(run, body.get("result", 0))
    order: Order = run.order
    return order._replace(recipe=order.recipe.replace(style_weight=picture.recipe.style_weight))


def _share(value: object) -> float:
    if not isinstance(value, int | float) or not 0 <= value <= 1e6:
        raise InputError(f"share {value!r}: not a share; give a number from 0")
    return float(value)


def _keep_mask(session: Session, content: object, limits: Limits) -> Path:
    """Saves a mask that was drawn on the page, a PNG in base64, until no run needs it."""
    path = session.folder / f"mask-{secrets.token_hex(8)}.png"
    try:
        path.write_bytes(base64.b64decode(str(content), validate=True))
        check_pixels(path, limits.max_mask)
    except binascii.Error:
        raise InputError("masks: not a PNG; reload the page") from None
    except InputError as error:
        raise InputError(session.message_of(error)) from None
    return path


def result_of(run: QueuedRun, index: object) -> FinishedPicture:
    """Returns one of a run's finished pictures.

    Raises:
        Missing: There is none with this number.
    """
    if not isinstance(index, int) or not 0 <= index < len(run.results):
        raise Missing("there is no such picture; paint it again")
    return run.results[index]
