"""``--shard``: the share of the jobs that a process paints."""

import os
import re
from collections.abc import Mapping

from jaxstyle.errors import InputError

_SLURM = tuple(f"SLURM_ARRAY_TASK_{name}" for name in ("ID", "MIN", "MAX", "STEP", "COUNT"))
_INDEX, _COUNT = "JOB_COMPLETION_INDEX", "JOB_COMPLETIONS"  # Kubernetes


def parse_shard(text: str, environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """Returns the index of the share, from 0, and the number of shares.

    Args:
        text: ``I/N``; ``auto``; or ``auto/N``, for which only I comes from the environment.
        environment: The environment of the process.

    Raises:
        InputError: The text is not a share, or the environment does not number processes.
    """
    share = text
    if text == "auto":
        share = _of_array(environment) or _of_job(environment)
    elif text.startswith("auto/"):
        index = environment.get(_SLURM[0]) or environment.get(_INDEX)
        share = index and f"{index}/{text.removeprefix('auto/')}"
    if not share:
        raise InputError(
            f"--shard {text}: neither {_SLURM[0]} nor {_INDEX} and {_COUNT} are set; give I/N"
        )
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", share)
    if match is None or not int(match[1]) < int(match[2]):
        given = text if share == text else f"{text}, here {share}"
        raise InputError(f"--shard {given}: invalid; give I/N with I from 0 to N - 1")
    return int(match[1]), int(match[2])


def _of_array(environment: Mapping[str, str]) -> str | None:
    """Returns the share of a task of a Slurm array.

    Raises:
        InputError: Tasks are missing, as in an array of which a part was submitted again.
    """
    if not {_SLURM[0], _SLURM[-1]} <= environment.keys():
        return None
    number, count = environment[_SLURM[0]], environment[_SLURM[-1]]
    least, most = environment.get(_SLURM[1], "0"), environment.get(_SLURM[2])
    step = environment.get(_SLURM[3], "1")
    words = (number, count, least, step) if most is None else (number, count, least, step, most)
    if not all(re.fullmatch(r"\d{1,9}", word) for word in words) or not int(step):
        return f"{number}/{count}"  # The message shows what is wrong.
    if most is not None and (int(most) - int(least)) // int(step) + 1 != int(count):
        raise InputError(
            f"--shard auto: the array has only {count} of the tasks {least} to {most}; number the "
            "tasks from 0, and give the number of shares, --shard auto/N"
        )
    return f"{(int(number) - int(least)) // int(step)}/{count}"


def _of_job(environment: Mapping[str, str]) -> str | None:
    """Returns the share of a pod of an indexed Kubernetes job."""
    if not {_INDEX, _COUNT} <= environment.keys():
        return None
    return f"{environment[_INDEX]}/{environment[_COUNT]}"
