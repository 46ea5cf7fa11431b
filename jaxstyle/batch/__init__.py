"""Many jobs in one folder: lists of jobs, a record of what is done, and a loop that paints them.

``inputs`` finds pictures, ``tables`` reads spreadsheets and other lists, ``lists`` makes jobs of
both, ``order`` sorts them, ``manifest`` records their results, ``claims`` keeps processes
apart, ``outputs`` protects files, ``scheduler`` chooses the next jobs, and ``loop`` has them
painted by an executor: ``local`` in this process, ``ray`` on a cluster.
"""

from jaxstyle.batch import lists, local, loop, manifest, ray

__all__ = ["lists", "local", "loop", "manifest", "ray"]
