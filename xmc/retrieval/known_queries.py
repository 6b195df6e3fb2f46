"""The query side of an index's model, opened in a second thread while the index itself is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from xmc.encoders.metadata import EncoderMetadata
from xmc.encoders.resolve import resolve_model
from xmc.encoders.static_queries import StaticQueries
from xmc.errors import XMCError
from xmc.retrieval.generations import current_generation
from xmc.retrieval.index_files import is_index
from xmc.retrieval.manifest import IndexManifest

__all__ = ["known_metadata", "known_queries", "model_place", "opening_queries"]


def model_place(manifest: IndexManifest, folder: Path | None) -> str | None:
    """Where an index's model is: a path from here, or a name; None when the index was not told.

    Args:
        manifest: Of the index.
        folder: Where it was opened; None for one that was built here.
    """
    model = manifest.model
    if model is None or folder is None:
        return model
    beside = Path(os.path.normpath(folder.absolute() / model))
    return str(beside) if beside.exists() else model


def known_metadata(place: str | Path) -> EncoderMetadata | None:
    """What the model of an index, of a run or of a model folder says of itself, read without opening it.

    None where it cannot be had so: whoever opens it says why.
    """
    try:
        model: str | Path | None = place
        if is_index(place):
            folder = Path(place)
            model = model_place(IndexManifest.read(folder / current_generation(folder)), folder)
        # A name would be looked for in the hub.
        return EncoderMetadata.load(resolve_model(model)) if model and Path(model).exists() else None
    except (XMCError, OSError):
        return None


def known_queries(manifest: IndexManifest, place: str) -> StaticQueries | None:
    """What encodes queries, with as many components as the index keeps.

    None where the model at ``place`` is not static, or its files are not those that the index was built with.
    """
    if not manifest.model_files:
        return None
    found = StaticQueries.load_known(place, manifest.model_files)
    cut = manifest.truncated_to
    return found if found is None or cut is None else found.truncated(cut)


@contextmanager
def opening_queries(folder: Path) -> Iterator[Callable[[IndexManifest], StaticQueries | None]]:
    """Begin :func:`known_queries` of an index folder; what is yielded waits for it.

    It gives None for another manifest than the one that the folder had at the start, and whenever the query
    side cannot be had so: whoever opens the model with all checks says why.
    """
    with ThreadPoolExecutor(1) as pool:
        begun = pool.submit(_begin, folder)

        def found(manifest: IndexManifest) -> StaticQueries | None:
            of, queries = begun.result()
            return queries if of == manifest else None

        yield found


def _begin(folder: Path) -> tuple[IndexManifest | None, StaticQueries | None]:
    try:
        manifest = IndexManifest.read(folder / current_generation(folder))
        place = model_place(manifest, folder)
        return manifest, None if place is None else known_queries(manifest, place)
    except (XMCError, OSError):
        return None, None
