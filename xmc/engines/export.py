"""Brings a collection in an engine to what a label index is, a batch of label ids at a time.

A label is a row, or one for each of its texts. A row has a digest of its uid, text and vector, which the
engine keeps beside it. A batch asks the engine for the digests of its ids and writes what differs. So a
second run goes on where one was cut off, one after `xmc index add`, `update` or `remove` brings what changed,
and one after nothing writes nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

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
    "check_foldable",
    "export_labels",
    "label_digests",
    "most_texts",
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
        ConfigError: When the index has compressed vectors alone, or ranks labels by more than their best
            text, or the batch cannot be.
        DataError: When the collection is of other making.
        IndexMismatchError: When the collection has labels of another model.
        XMCError: When the engine fails.
    """
    if batch is not None and batch < 1:
        raise ConfigError(f"--batch: expected 1 or more labels, got {batch}")
    check_exportable(index)
    wanted = ExportFacts.of(index.manifest, batch or engine.batch, most_texts(index))
    if batch is None:
        # An engine's own number is of rows.
        wanted = replace(wanted, batch=max(1, engine.batch // wanted.texts))
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
    tally, many = ExportTally(), there.texts
    live, end = index.live_ids, len(index.uids)
    with Bar(len(live), "exporting labels", "label", shown=progress) as bar:
        for low in range(0, end, there.batch):
            high = min(low + there.batch, end)
            ids = live[np.searchsorted(live, low) : np.searchsorted(live, high)]
            _bring(engine, rows_of(index, ids, many), low, high, many, tally)
            bar.update(len(ids))
    engine.truncate(end * many)
    engine.finish()
    return tally


def _bring(engine: Engine, rows: LabelRows, low: int, high: int, many: int, tally: ExportTally) -> None:
    """Bring the rows of labels ``low`` to ``high``, of at most so many texts each."""
    have = engine.stored(low * many, high * many)
    pairs = zip(rows.ids.tolist(), rows.digests.tolist(), strict=True)
    changed = np.array([have.get(row) != digest for row, digest in pairs], dtype=bool)
    gone = sorted(set(have) - set(rows.ids.tolist()))
    if changed.any() or gone:
        engine.write(Change(low * many, high * many, rows, changed, gone))
    labels = set((rows.ids // many).tolist())
    # A label that has lost a text is another.
    written = set((rows.ids[changed] // many).tolist()) | ({row // many for row in gone} & labels)
    tally.written += len(written)
    tally.removed += len({row // many for row in gone} - labels)
    tally.kept += len(labels) - len(written)


def check_exportable(index: LabelIndex) -> None:
    """Refuse an index that cannot be exported, before anything is made in an engine.

    Raises:
        ConfigError: When it has compressed vectors alone, or ranks labels by more than their best text.
    """
    check_foldable(index)
    if len(index):
        rows_of(index, index.live_ids[:1], most_texts(index))


def check_foldable(index: LabelIndex) -> None:
    """Refuse labels that are ranked by the mean of two texts, which lists of texts do not tell.

    Raises:
        ConfigError: With what to do.
    """
    if index.manifest.label_fold != "max" and index.num_vectors > len(index):
        raise ConfigError(
            f"expected an index that ranks a label by its best text (label_fold: max), got "
            f"{index.num_vectors:,} vectors of {counted(len(index), 'label')} and label_fold "
            f"{index.manifest.label_fold}, whose scores an engine cannot fold: search it by `xmc search` or "
            "`xmc serve`, or train with data.label_fold: max"
        )


def most_texts(index: LabelIndex) -> int:
    """Of the labels that are there, the texts of the one that has most; 1 of none."""
    return int(index.texts_of(index.live_ids).max(initial=1))


def rows_of(index: LabelIndex, ids: NDArray[np.int64], many: int = 1) -> LabelRows:
    """Labels of an index by id [n], of at most ``many`` texts each: a row for each text.

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
    counts = index.texts_of(ids)
    labels = np.repeat(ids, counts)
    places = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    uids, texts = [index.uids[i] for i in labels.tolist()], [index.texts[i] for i in labels.tolist()]
    return LabelRows(labels * many + places, uids, texts, vectors, label_digests(uids, texts, vectors))


def label_digests(uids: list[str], texts: list[str], vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    """The first 8 bytes of a SHA-256 of each row's uid, text and vector, as whole numbers [n]."""
    found = np.empty(len(uids), dtype=np.int64)
    for row, (uid, text) in enumerate(zip(uids, texts, strict=True)):
        digest = hashlib.sha256(f"{len(uid)} {uid}{text}".encode("utf-8", "surrogatepass"))
        digest.update(vectors[row].astype("<f4", copy=False).tobytes())
        found[row] = int.from_bytes(digest.digest()[:8], "little", signed=True)
    return found


def _width(index: LabelIndex) -> int:
    return index.manifest.dimension + index.manifest.offset_dimension
