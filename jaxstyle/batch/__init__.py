"""Many jobs in one folder: what they are, what has become of them, and painting what is missing."""

from jaxstyle.batch import jobs, lists, manifest, painter, ray, work

__all__ = ["jobs", "lists", "manifest", "painter", "ray", "work"]
