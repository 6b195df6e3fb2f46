"""Turns the names that documentation strings refer to into links between the objects they mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xmc.corpora.public_objects import PublicObject
from xmc.corpora.see_also import references

__all__ = ["link_objects"]

_ABBREVIATIONS = {"np": "numpy", "pd": "pandas", "sp": "scipy"}


def link_objects(objects: Sequence[PublicObject]) -> list[list[int]]:
    """For every object the positions of the objects its documentation refers to.

    They are sorted, without repeats and without the object itself. A name is tried as a full path, then
    beside the object (in its class, its module) and in each enclosing package; then the same from the
    object's other paths. Names that lead nowhere are left out.
    """
    index = {path: position for position, entry in enumerate(objects) for path in entry.paths}
    links = []
    for position, entry in enumerate(objects):
        paths = [
            entry.name,
            *sorted(set(entry.paths) - {entry.name}, key=lambda path: (path.count("."), path)),
        ]
        found = {_resolve(name, paths, index) for name in references(entry.doc)}
        links.append(sorted(target for target in found if target is not None and target != position))
    return links


def _resolve(name: str, paths: Sequence[str], index: dict[str, int]) -> int | None:
    head, dot, tail = name.partition(".")
    full = _ABBREVIATIONS.get(head, head) + dot + tail
    if dot and full in index:
        return index[full]
    for path in paths:
        for candidate in _candidates(name, path):
            if candidate in index:
                return index[candidate]
    return None


def _candidates(name: str, path: str) -> Iterator[str]:
    prefix = path
    while "." in prefix:
        prefix = prefix.rpartition(".")[0]
        yield f"{prefix}.{name}"
