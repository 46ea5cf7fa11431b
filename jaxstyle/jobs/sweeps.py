"""The same pictures painted by several recipes."""

import time
from collections.abc import Sequence

from jaxstyle.errors import ResourceError
from jaxstyle.jobs.loading import Inputs
from jaxstyle.jobs.painter import Painter, Painting
from jaxstyle.recipes.fitting import choose_all, describe_plan, reporting_exhaustion
from jaxstyle.recipes.sweeps import FractionCallback, paint_all, program_of


def paint_sweep(
    painter: Painter,
    inputs: Sequence[Inputs],
    *,
    lanes: int,
    callback: FractionCallback | None = None,
) -> list[Painting]:
    """Paints the same pictures by several recipes: at once if they fit, else in turn.

    Args:
        painter: Paints them.
        inputs: The pictures, with a recipe each.
        lanes: Number of pictures painted at once.
        callback: Receives the fraction of all that is done; returns True to stop.

    Returns:
        The paintings, fewer after a stop.

    Raises:
        ResourceError: A recipe does not fit into the memory.
    """
    demands = [painter.demand(each, lanes=lanes) for each in inputs]
    try:
        chosen = choose_all(demands, [program_of(each.job.recipe) for each in inputs])
    except ResourceError:
        return _paint_in_turn(painter, inputs, callback)
    if any(own.recipe.history != demand.recipe.history for own, demand in zip(chosen, demands)):
        return _paint_in_turn(painter, inputs, callback)
    largest = max(chosen, key=lambda demand: demand.resident)
    painter.notice(describe_plan(largest, largest.recipe.history))
    began, first = time.monotonic(), inputs[0]
    same_start = len({each.job.recipe.init for each in inputs}) == 1
    with reporting_exhaustion(largest):
        results = paint_all(
            [demand.recipe for demand in chosen],
            first.scene,
            first.painted_styles,
            encoder=[each.encoder.encoder for each in inputs],
            init=first.init if same_start else None,
            lanes=lanes,
            callback=callback,
        )
    seconds = (time.monotonic() - began) / len(inputs)
    pairs = zip(inputs, chosen, results)
    return [Painting(each, demand.recipe, result, seconds) for each, demand, result in pairs]


def _paint_in_turn(
    painter: Painter, inputs: Sequence[Inputs], callback: FractionCallback | None
) -> list[Painting]:
    paintings: list[Painting] = []
    for i in range(len(inputs)):
        painting = painter.paint_one_of(inputs, i, callback)
        paintings.append(painting)
        if painting.result.status == "stopped":
            break
    return paintings
