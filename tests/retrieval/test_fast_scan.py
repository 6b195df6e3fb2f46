"""The 4-bit codes of a fast scan: as many candidates as are asked for, whatever FAISS passes over."""

from __future__ import annotations

import numpy as np
import pytest

from xmc.errors import ConfigError
from xmc.retrieval import LabelIndex
from xmc.retrieval.stores.fast_scan import FastScanStore, fill_pads

pytestmark = pytest.mark.filterwarnings("ignore")


def filled(vectors: np.ndarray) -> FastScanStore:
    store = FastScanStore.make(vectors.shape[1], f"PQ{vectors.shape[1] // 2}x4fs")
    store.train(vectors)
    store.add(vectors)
    return store


def test_pads_become_the_slots_that_are_missing():
    scores, slots = np.array([3, 2, -9, -9], dtype=np.float32), np.array([5, 1, -1, -1])
    found = fill_pads(scores, slots)
    assert found[1].tolist() == [5, 1, 0, 2] and found[0].tolist() == [3, 2, 2, 2]
    nothing = fill_pads(scores, np.full(4, -1))
    assert nothing[1].tolist() == [0, 1, 2, 3] and nothing[0].tolist() == [0, 0, 0, 0]


def test_every_slot_is_found_once_also_by_a_query_that_fits_all_alike():
    vectors = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32)
    store = filled(vectors)
    queries = np.vstack([vectors[:3], np.zeros((1, 6), dtype=np.float32)])
    for fetch in (1, 40, 299, 300, 400):
        _, slots = store.nearest(queries, fetch, 10)
        assert slots.shape == (4, min(fetch, 300)) and slots.min() >= 0
        assert all(len(set(row)) == len(row) for row in slots.tolist())


def test_the_best_are_among_few_candidates_of_many_dimensions():
    """Of more codes than 16-bit sums of 8-bit numbers have room for, which FAISS then takes coarser."""
    random = np.random.default_rng(0)
    vectors = random.normal(size=(700, 520)).astype(np.float32)
    queries = vectors[:20] + random.normal(size=(20, 520)).astype(np.float32)
    _, slots = filled(vectors).nearest(queries, 30, 10)
    assert all(row in found for row, found in enumerate(slots.tolist()))


def test_too_few_labels_to_train_on_are_told(make_encoder):
    with pytest.raises(ConfigError, match="15 labels are too few to train .*use Flat"):
        LabelIndex.build(make_encoder(), ["1 2 3"] * 15, kind="fastscan", progress=False)


def test_parts_that_are_merged_keep_the_kind_and_any_other_can_be_made_of_them(make_encoder):
    encoder = make_encoder()
    labels = [f"{i % 7} {i % 11} {i % 3}" for i in range(60)]
    parts = [
        LabelIndex.build(encoder, labels[low : low + 30], uids=range_of(low), kind="fastscan", progress=False)
        for low in (0, 30)
    ]
    merged, flat = (LabelIndex.merge(parts, kind=kind, progress=False) for kind in (None, "flat"))
    assert merged.manifest.kind == "fastscan" and not flat.manifest.refine
    assert merged.hits("1 2 3", 60) == flat.hits("1 2 3", 60)


def range_of(low: int) -> list[str]:
    return [str(i) for i in range(low, low + 30)]
