"""One index of several: shards that ranks or machines have built, put together again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from xmc.errors import ConfigError
from xmc.progress import Bar
from xmc.retrieval.faiss_module import faiss_version
from xmc.retrieval.index_changes import Changes
from xmc.retrieval.index_labels import CHUNK, sample_rows
from xmc.retrieval.kinds import choose_kind
from xmc.retrieval.label_table import LabelTable

__all__ = ["merge_parts"]


def merge_parts(
    parts: Sequence[Changes],
    *,
    kind: str | None,
    storage: str | None,
    refine: bool | None,
    progress: bool,
) -> Changes:
    """An index of the labels of several, in their order; removed ones are left out, and ids count anew.

    It is made of their vectors as `LabelIndex.build` makes it of encoded texts: trained on the same sample,
    filled in the same order. So it finds what one build of all the labels finds, if the shards' vectors are
    those of that build: to the bit where a text's embedding does not depend on the texts beside it (a static
    model), to rounding elsewhere.

    Args:
        parts: At least one.
        kind: As in `LabelIndex.build`; that of the first when None, with lists and codes for all labels.
        storage: As there; that of the first when None.
        refine: As there; as the first when None.
        progress: Show a bar.

    Raises:
        ConfigError: When there is no index, or one has only compressed vectors.
        DataError: When a uid is in two of them.
        IndexMismatchError: When they are of different models.
    """
    if not parts:
        raise ConfigError("expected at least one index to merge, got none")
    first = parts[0].manifest
    for number, part in enumerate(parts, 1):
        part.manifest.check_model(first.model_fingerprint, f"index {number} of those to merge")
        if part.manifest.dimension != first.dimension:
            raise ConfigError(
                f"expected indexes of one dimension, got {first.dimension} and, of index {number}, "
                f"{part.manifest.dimension}"
            )
        if part.manifest.offset_dimension != first.offset_dimension:
            raise ConfigError(
                f"expected indexes with offsets or without, got both (index {number} is unlike the first): "
                "build the shards of one data set's labels"
            )
        if not part.store.exact_vectors():
            raise ConfigError(
                f"expected indexes that have their vectors whole, but index {number} is "
                f"{part.manifest.described}: build shards as exact, and merge them with --kind "
                f"{part.manifest.kind if part.manifest.kind != 'factory' else part.manifest.factory}"
            )
    ids = [part.table.live_ids() for part in parts]
    count = sum(len(own) for own in ids)
    width = first.dimension + first.offset_dimension
    chosen = choose_kind(
        kind or (first.factory if first.kind == "factory" else first.kind),
        *(width, count),
        first.storage if storage is None else storage,
        first.refine and not first.index_kind.always_refined if refine is None else refine,
    )
    manifest = replace(
        first,
        count=0,
        factory=chosen.factory,
        kind=chosen.name,
        storage=chosen.storage,
        refine=chosen.refine,
        faiss_version=faiss_version() if chosen.uses_faiss else "",
        normalised=True,
        search={},
    )
    made = Changes(chosen.make(first.dimension, first.offset_dimension), LabelTable(), manifest)
    bounds = np.cumsum([0, *(len(own) for own in ids)])
    if not made.store.is_trained:
        made.store.train(_rows(parts, ids, bounds, sample_rows(count)))
    with Bar(count, "merging labels", "label", shown=progress) as bar:
        for start in range(0, count, CHUNK):
            rows = np.arange(start, min(start + CHUNK, count))
            places = _places(ids, bounds, rows)
            uids = [parts[part].table.uids[label] for part, label in places]
            texts = [parts[part].table.texts[label] for part, label in places]
            made.table.check_new(uids, texts)
            made.add_vectors(_rows(parts, ids, bounds, rows), texts, uids)
            bar.update(len(rows))
    return made


def _places(
    ids: Sequence[NDArray[np.int64]], bounds: NDArray[np.int64], rows: NDArray[np.int64]
) -> list[tuple[int, int]]:
    """Which part, and the label's id there, of rows of all labels."""
    part = np.searchsorted(bounds, rows, side="right") - 1
    return [(p, int(ids[p][row - bounds[p]])) for p, row in zip(part.tolist(), rows.tolist(), strict=True)]


def _rows(
    parts: Sequence[Changes],
    ids: Sequence[NDArray[np.int64]],
    bounds: NDArray[np.int64],
    rows: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Vectors [n, W] of rows of all labels, ascending."""
    found = []
    for number, part in enumerate(parts):
        own = rows[(rows >= bounds[number]) & (rows < bounds[number + 1])] - bounds[number]
        if len(own):
            vectors = part.store.vectors(part.table.slots_of(ids[number][own]))
            assert vectors is not None  # exact_vectors says so
            found.append(vectors)
    return np.concatenate(found) if found else np.empty((0, parts[0].store.width), dtype=np.float32)
