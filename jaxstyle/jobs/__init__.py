"""Jobs: files in, a painted file out. The command, batches and the web page all paint through this.

``job`` says what is painted from which files, ``provenance`` is what a picture records about its
origin, ``loading`` reads the files, ``painter`` loads, paints and saves, and keeps what the next
job can use again, ``sweeps`` paints by several recipes, and ``checkpoints`` is the folder from
which an interrupted run continues.
"""

from jaxstyle.jobs.job import Job, check_inputs_kept
from jaxstyle.jobs.loading import Inputs, LoadedEncoder
from jaxstyle.jobs.outcome import last_terms, steps_done
from jaxstyle.jobs.painter import Painter, Painting

__all__ = [
    "Inputs",
    "Job",
    "LoadedEncoder",
    "Painter",
    "Painting",
    "check_inputs_kept",
    "last_terms",
    "steps_done",
]
