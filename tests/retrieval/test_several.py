"""Indexes that are searched together answer as one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from xmc.errors import ConfigError, DataError, IndexMismatchError
from xmc.retrieval import LabelIndex
from xmc.retrieval.several import IndexGroup


def numbers(count, seed=0):
    rows = np.random.default_rng(seed).integers(-2, 3, (count, 3))
    return [" ".join(map(str, row)) for row in rows.tolist()]


@pytest.mark.parametrize("offsets", [False, True])
@pytest.mark.parametrize("kind", ["exact", "flat"])
def test_parts_answer_as_one_index(make_encoder, kind, offsets):
    texts, uids = numbers(80), [f"u{i}" for i in range(80)]
    encoder = make_encoder(offsets={uid: i % 3.0 for i, uid in enumerate(uids)} if offsets else None)
    build = {"uids": uids, "kind": kind, "progress": False}
    whole = LabelIndex.build(encoder, texts, **build)
    group = IndexGroup([LabelIndex.build(encoder, texts, part=(i, 3), **build) for i in range(3)])
    whole.remove(["u3", "u40"])
    group._indexes[0].remove(["u3"])
    group._indexes[1].remove(["u40"])
    assert len(group) == len(whole) == 78
    for k in (1, 7, 90):
        ids, scores, _ = whole.ranked(numbers(9, seed=1), k, encoder)
        found, theirs, _ = group.ranked(numbers(9, seed=1), k, encoder)
        np.testing.assert_array_equal(found, ids)
        np.testing.assert_array_equal(theirs, scores)
        assert group.hits_of(found[0], theirs[0]) == whole.hits_of(ids[0], scores[0])
    assert group.encoder is encoder


def test_what_cannot_be_searched_together(make_encoder):
    def build(texts, uids, name="0123456789abcdef", **given):
        return LabelIndex.build(make_encoder(name, **given), texts, uids=uids, kind="exact", progress=False)

    one = build(["1 0 0"], ["a"])
    with pytest.raises(ConfigError, match="got none"):
        IndexGroup([])
    with pytest.raises(DataError, match="'a' in two"):
        IndexGroup([one, build(["0 1 0"], ["a"])])
    with pytest.raises(IndexMismatchError, match="built with the model"):
        IndexGroup([one, build(["0 1 0"], ["b"], name="fedcba9876543210")])
    with pytest.raises(IndexMismatchError, match="offset dimension"):
        IndexGroup([one, build(["0 1 0"], ["b"], offsets={"b": 1.0})])
    folded = build(["0 1 0"], ["b"])
    for name, value in (("label_texts", "lines"), ("label_fold", "top2")):
        folded._changes.manifest = replace(one.manifest, **{name: value})
        with pytest.raises(IndexMismatchError, match=name.replace("_", " ")):
            IndexGroup([one, folded])
