"""What is asked of every engine alike: the index's own answers, changes, and refusals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.engines.conftest import numbers
from xmc.engines import Engine, export_labels, search_engine
from xmc.errors import IndexMismatchError
from xmc.retrieval import LabelIndex

Opened = Callable[[], Engine]


def assert_same(index: LabelIndex, engine: Engine, k: int = 10) -> None:
    """The engine finds the labels of the index, ties by id among them, for queries of whole numbers."""
    queries = index.encoder.encode_queries(numbers(20, seed=7))
    ids, scores = index.search_vectors(queries, k)
    found = search_engine(engine, index.manifest, queries, k)
    for row, hits in enumerate(found):
        expected = index.hits_of(ids[row], scores[row])
        assert [(hit.uid, hit.text) for hit in hits] == [(hit.uid, hit.text) for hit in expected]
        np.testing.assert_allclose([h.score for h in hits], [h.score for h in expected], rtol=1e-5, atol=1e-5)


def goes_through_its_life(index: LabelIndex, opened: Opened, other: LabelIndex) -> None:
    """Export, interruption, changes, removal; and labels of another model."""
    engine = opened()
    try:
        assert engine.facts() is None
        written = engine.write
        batches = 0

        def breaks_at_the_third(change):
            nonlocal batches
            batches += 1
            if batches == 3:
                raise KeyboardInterrupt
            written(change)

        engine.write = breaks_at_the_third  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            export_labels(index, engine, batch=7, progress=False)
        engine.write = written  # type: ignore[method-assign]
    finally:
        engine.close()

    engine = opened()
    try:
        count = len(index)
        tally = export_labels(index, engine, progress=False)
        assert (tally.written, tally.removed, tally.kept) == (count - 14, 0, 14)
        assert engine.count() == count
        assert_same(index, engine)
        assert export_labels(index, engine, progress=False).written == 0

        index.add(["4 4 4", "-4 -4 -4"], uids=["new", "old"])
        index.update(["3 3 3"], uids=["u5"])
        index.remove(["u6", "u7", "u59"])
        tally = export_labels(index, engine, progress=False)
        assert (tally.written, tally.removed, tally.kept) == (3, 3, count - 4)
        assert engine.count() == count - 1
        assert_same(index, engine, k=count)

        with pytest.raises(IndexMismatchError, match="model fingerprint"):
            export_labels(other, engine, progress=False)
        with pytest.raises(IndexMismatchError, match="model fingerprint"):
            search_engine(engine, other.manifest, np.ones((1, 3), dtype=np.float32), 1)
        assert engine.count() == count - 1
        # A smaller index of the other model, in its place.
        export_labels(other, engine, overwrite=True, progress=False)
        assert engine.count() == len(other)
        assert_same(other, engine)
        by_magnitude = replace(other.manifest, ranking="magnitude")
        with pytest.raises(IndexMismatchError, match="ranking"):
            search_engine(engine, by_magnitude, np.ones((1, 3), dtype=np.float32), 1)
    finally:
        engine.close()


def export_and_change_texts(index: LabelIndex, opened: Opened) -> None:
    """Labels of several texts, each found once and by its best; texts come and go."""
    engine = opened()
    try:
        count = len(index)
        tally = export_labels(index, engine, batch=7, progress=False)
        assert (tally.written, tally.removed, tally.kept) == (count, 0, 0)
        assert engine.count() == index.num_vectors > count
        assert_same(index, engine)
        assert_same(index, engine, k=count + 5)
        assert export_labels(index, engine, progress=False).kept == count

        # u1 has two texts, u2 three: one more, two fewer, another one in place of one.
        index.update(["3 3 3\n-3 -3 -3\n1 0 4", "2 -2 2", "4 4 4\n-4 0 0"], uids=["u1", "u2", "u4"])
        index.remove(["u5", "u6"])
        tally = export_labels(index, engine, progress=False)
        assert (tally.written, tally.removed, tally.kept) == (3, 2, count - 5)
        assert engine.count() == index.num_vectors
        assert_same(index, engine, k=count)
    finally:
        engine.close()
