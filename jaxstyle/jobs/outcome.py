"""What became of a run, as plain numbers."""

from jaxstyle.run.progress import Progress, Result


def last_terms(result: Result) -> dict[str, float]:
    """Returns the weighted loss terms after the last iteration; empty if there was none."""
    return {name: float(term[-1]) for name, term in result.terms.items() if len(term)}


def steps_done(result: Result) -> int:
    """Returns how many iterations have terms: all of a run, but only the last one of a sweep."""
    return max(map(len, result.terms.values()), default=0)


def progress_terms(progress: Progress) -> dict[str, float]:
    """Returns the weighted loss terms of the current image."""
    return {name: float(value) for name, value in progress.terms.items()}
