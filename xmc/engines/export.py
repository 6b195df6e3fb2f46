"""Brings a collection in an engine to what a label index is, a batch of label ids at a time.

Each label has a digest of its uid, text and vector, which the engine keeps beside it. A batch asks the engine
for the digests of its ids and writes what differs. So a second run goes on where one was cut off, one after
`xmc index add`, `update` or `remove` brings what changed, and one after nothing writes nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmc.counted import counted
from xmc.engines.facts import ExportFacts
from xmc.engines.protocol import Change, Engine, LabelRows
from xmc.errors import ConfigError
from xmc.progress import Bar
from xmc.retrieval.label_index import LabelIndex

__all__ = [
    "ExportTally",
    "check_exportable",
    "check_one_vector_each",
    "export_labels",
    "label_digests",
    "rows_of",
]


@dataclass
class ExportTally:
    """Labels of an export: those written, those removed from the collection, and those that were there."""

    written: int = 0
    removed: int = 0
    kept: int = 0


def export_labels(
    index: LabelIndex,
    engine: Engine,
    *,
    batch: int | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> ExportTally:
    """Write the labels of an index that an engine does not have, and remove those that the index has not.

    Args:
        index: Labels with their vectors; those that were removed are not exported.
        engine: Where to.
        batch: Labels a batch, by id; the engine's own number by default. A collection that is there keeps
            that which it was made with.
        overwrite: Make anew a collection that an export has made, of whatever model.
        progress: Show a bar over the labels.

    Raises:
        ConfigError: When the index has compressed vectors alone, or several of a label, or the batch cannot
            be.
        DataError: When the collection is of other making.
        IndexMismatchError: When the collection has labels of another model.
        XMCError: When the engine fails.
    """
    if batch is not None and batch < 1:
        raise ConfigError(f"--batch: expected 1 or more labels, got {batch}")
    check_exportable(index)
    wanted = ExportFacts.of(index.manifest, batch or engine.batch)
    there = engine.facts()
    if there is not None and overwrite:
        engine.drop()
        there = None
    if there is None:
        engine.create(wanted)
        there = wanted
    there.check(wanted, engine.where)
    if batch not in (None, there.batch):
        raise ConfigError(
            f"--batch: {engine.where} was made with batches of {there.batch:,} labels, got {batch:,}: leave "
            "it out, or make it anew (--overwrite)"
        )
    tally = ExportTally()
    live, end = index.live_ids, len(index.uids)
    with Bar(len(live), "exporting labels", "label", shown=progress) as bar:
        for low in range(0, end, there.batch):
            high = min(low + there.batch, end)
            ids = live[np.searchsorted(live, low) : np.searchsorted(live, high)]
            rows = rows_of(index, ids)
            _bring(engine, rows, low, high, tally)
            bar.update(len(rows))
    engine.truncate(end)
    engine.finish()
    return tally


def _bring(engine: Engine, rows: LabelRows, low: int, high: int, tally: ExportTally) -> None:
    have = engine.stored(low, high)
    pairs = zip(rows.ids.tolist(), rows.digests.tolist(), strict=True)
    changed = np.array([have.get(label) != digest for label, digest in pairs], dtype=bool)
    gone = sorted(set(have) - set(rows.ids.tolist()))
    if changed.any() or gone:
        engine.write(Change(low, high, rows, changed, gone))
    tally.written += int(changed.sum())
    tally.removed += len(gone)
    tally.kept += int((~changed).sum())


def check_exportable(index: LabelIndex) -> None:
    """Refuse an index that cannot be exported, before anything is made in an engine.

    Raises:
        ConfigError: When it has compressed vectors alone, or several of a label.
    """
    check_one_vector_each(index)
    if len(index):
        rows_of(index, index.live_ids[:1])


def check_one_vector_each(index: LabelIndex) -> None:
    """Refuse labels of several texts: an engine has one vector of a label, and folds no scores.

    Raises:
        ConfigError: With what to do.
    """
    if index.num_vectors > len(index):
        raise ConfigError(
            f"expected an index of one vector a label, got {index.num_vectors:,} vectors of "
            f"{counted(len(index), 'label')} (label_texts: {index.manifest.label_texts}), whose scores an "
            "engine cannot fold to one a label: search it by `xmc search` or `xmc serve`, or train with "
            "data.label_texts: joint"
        )


def rows_of(index: LabelIndex, ids: NDArray[np.int64]) -> LabelRows:
    """Labels of an index by id [n], each of one vector.

    Raises:
        ConfigError: When the index has compressed vectors alone.
    """
    vectors = index.vectors(ids) if len(ids) else np.empty((0, _width(index)), dtype=np.float32)
    if vectors is None:
        raise ConfigError(
            f"expected an index that has its vectors, got one of the kind {index.manifest.described}, which "
            "keeps codes alone: build it as flat or exact, or with --refine"
        )
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    uids, texts = [index.uids[i] for i in ids.tolist()], [index.texts[i] for i in ids.tolist()]
    return LabelRows(ids, uids, texts, vectors, label_digests(uids, texts, vectors))


def label_digests(uids: list[str], texts: list[str], vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    """The first 8 bytes of a SHA-256 of each label's uid, text and vector, as whole numbers [n]."""
    found = np.empty(len(uids), dtype=np.int64)
    for row, (uid, text) in enumerate(zip(uids, texts, strict=True)):
        digest = hashlib.sha256(f"{len(uid)} {uid}{text}".encode("utf-8", "surrogatepass"))
        digest.update(vectors[row].astype("<f4", copy=False).tobytes())
        found[row] = int.from_bytes(digest.digest()[:8], "little", signed=True)
    return found


def _width(index: LabelIndex) -> int:
    return index.manifest.dimension + index.manifest.offset_dimension
