"""An index folder: what is written into a generation, and how it is read back and checked."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from xmc.errors import DataError
from xmc.files import check_replaceable, sha256_file
from xmc.retrieval.checksums import unchanged
from xmc.retrieval.generations import POINTER, current_generation, publish, write_first
from xmc.retrieval.label_table import LabelTable
from xmc.retrieval.manifest import IndexManifest
from xmc.retrieval.stores.faiss_store import FAISS_FILE
from xmc.retrieval.stores.protocol import VectorStore

if TYPE_CHECKING:
    from xmc.retrieval.ensemble import Ensemble

__all__ = ["INDEX_MARKS", "IndexParts", "is_index", "read_parts", "write_parts"]

INDEX_MARKS = (POINTER, FAISS_FILE, "manifest.json")
"""An index folder has one of them, also of version 2 and damaged. Nothing else is ever overwritten by one."""

_TABLE = "labels.parquet"
_ATTEMPTS = 5


class IndexParts(NamedTuple):
    """What an index is made of."""

    store: VectorStore
    table: LabelTable
    manifest: IndexManifest
    generation: str
    """Of the folder it was read from; "" in version 2."""
    ensemble: Ensemble | None
    """What ranks beside the model, which may be nothing."""


def is_index(path: str | Path) -> bool:
    """Whether a folder is that of an index, if only a damaged one."""
    return any((Path(path) / mark).is_file() for mark in INDEX_MARKS)


def write_parts(
    path: Path,
    store: VectorStore,
    table: LabelTable,
    manifest: IndexManifest,
    *,
    overwrite: bool,
    expected: str | None,
    ensemble: Ensemble | None = None,
) -> str:
    """Save an index, with what ranks beside it; the name of its generation.

    Raises:
        DataError: When ``expected`` is not the generation that is there.
        XMCError: When the folder is in the way, or the disk is full.
    """
    check_replaceable(path, *INDEX_MARKS, overwrite=overwrite)
    model = relative_model(manifest.model, path)

    def write(folder: Path) -> None:
        files = [*store.write(folder), *(() if ensemble is None else ensemble.write(folder))]
        table.write(folder / _TABLE)
        checksums = {name: sha256_file(folder / name) for name in (*files, _TABLE)}
        written = replace(
            manifest,
            checksums=checksums,
            model=model,
            next_slot=store.next_slot,
            search=store.knobs(),
            format_version=manifest.written_version,
        )
        written.write(folder)

    if is_index(path):
        return publish(path, write, expected)
    return write_first(path, write, overwrite=overwrite)


def read_parts(path: Path, *, mapped: bool, verify: bool) -> IndexParts:
    """What `write_parts` wrote, or a folder of version 2.

    A generation that is removed while it is read was an old one: the current one is read then.

    Raises:
        DataError: When the folder is not a whole and unchanged label index.
    """
    for attempt in range(_ATTEMPTS):
        generation = current_generation(path)
        try:
            return _read(path, generation, mapped=mapped, verify=verify)
        except (DataError, OSError):
            if attempt == _ATTEMPTS - 1 or current_generation(path) == generation:
                raise
    raise AssertionError("unreachable")


def _read(path: Path, generation: str, *, mapped: bool, verify: bool) -> IndexParts:
    folder = path / generation if generation else path
    manifest = IndexManifest.read(folder)
    with unchanged(folder, manifest.checksums) if verify else nullcontext() as check:
        table = LabelTable.read(
            folder / _TABLE, with_slots=manifest.format_version > 2, several=manifest.has_several_texts
        )
        ensemble = _read_ensemble(folder, manifest, table)
        if check is not None and FAISS_FILE in manifest.checksums:  # FAISS is not made for damaged files
            check([FAISS_FILE])
        next_slot = manifest.next_slot if manifest.next_slot >= 0 else table.next_id
        store = manifest.index_kind.read(
            folder, manifest.dimension, manifest.offset_dimension, next_slot, mapped=mapped
        )
    width = manifest.dimension + manifest.offset_dimension
    fits = store.width == width and len(table) == manifest.count and store.next_slot == next_slot
    if not fits or not table.num_vectors <= store.reachable <= next_slot:
        raise DataError(
            f"the index {path} does not fit its manifest: expected {manifest.count} labels of {width} "
            f"numbers, got {store.reachable} of {store.width} and {len(table)} texts: build the index again"
        )
    store.tune(manifest.search)
    return IndexParts(store, table, manifest, generation, ensemble)


def _read_ensemble(folder: Path, manifest: IndexManifest, table: LabelTable) -> Ensemble | None:
    if not (options := manifest.ensemble):
        return None
    from xmc.retrieval.ensemble import Ensemble

    return Ensemble.read(options, folder, manifest, table.live_texts)


def relative_model(model: str | None, folder: Path) -> str | None:
    """A model folder as seen from the index folder, so that both can be moved together; a name as it is."""
    if model is None or not Path(model).exists():
        return model
    return os.path.relpath(Path(model).absolute(), folder.absolute())
