"""Labels near labels: each is asked with its own text and left out of what it finds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from xmc.encoders import DualEncoder
from xmc.errors import DataError
from xmc.prediction import predict_neighbours
from xmc.retrieval import LabelIndex
from xmc.retrieval.several import IndexGroup

TEXTS = ["1 0 0", "1 1 0", "0 1 0", "0 0 1", "1 0 0"]
UIDS = ["a", "b", "c", "d", "twin"]


@pytest.fixture
def index(make_encoder: Callable[..., DualEncoder]) -> LabelIndex:
    return LabelIndex.build(make_encoder(), TEXTS, uids=UIDS, kind="exact", progress=False)


def found(index: LabelIndex | IndexGroup, uids: list[str], k: int) -> list[list[str]]:
    return [
        [hit.uid for hit in index.hits_of(prediction.ids, prediction.scores)]
        for block in predict_neighbours(index, uids, k)
        for prediction in block
    ]


def test_a_label_is_none_of_its_neighbours(index: LabelIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xmc.prediction.predict.BLOCK", 2)
    assert found(index, ["twin", "c", "a"], 2) == [["a", "b"], ["b", "a"], ["b", "twin"]]
    (block,) = predict_neighbours(index, ["b"], 1)
    assert (block[0].query.uid, block[0].query.text, block[0].scores.tolist()) == ("b", "1 1 0", [1.0])


def test_all_others_where_more_are_asked_for(index: LabelIndex) -> None:
    assert found(index, ["a"], 99) == [["b", "twin", "c", "d"]]
    index.remove(["b"])
    assert found(index, ["a"], 99) == [["twin", "c", "d"]]
    index.remove(["c", "d", "twin"])
    assert found(index, ["a"], 3) == [[]]


def test_a_label_that_its_own_text_does_not_find(make_encoder: Callable[..., DualEncoder]) -> None:
    # An inner product may put others before it; the best k of them come.
    index = LabelIndex.build(make_encoder(), ["1 0 0", "2 0 0", "3 0 0"], kind="exact", progress=False)
    assert found(index, ["0"], 1) == [["2"]]


def test_what_cannot_ask_is_refused(index: LabelIndex) -> None:
    with pytest.raises(DataError, match=r"expected uids of labels in the index, got 'e' \(1 unknown"):
        found(index, ["a", "e"], 2)
    index.add_vectors(index.vectors(index.live_ids[:1]), [" "], ["blank"])
    with pytest.raises(
        DataError, match="expected a label with a text to ask with, got 'blank', whose text is"
    ):
        found(index, ["blank"], 2)


def test_indexes_together_answer_as_one(
    index: LabelIndex, make_encoder: Callable[..., DualEncoder], tmp_path: Path
) -> None:
    parts = [
        LabelIndex.build(make_encoder(), TEXTS[part], uids=UIDS[part], kind="exact", progress=False)
        for part in (slice(0, 2), slice(2, 5))
    ]
    group = IndexGroup(parts)
    assert [group.id_of(uid) for uid in UIDS] == list(range(5))
    assert found(group, ["d", "b"], 3) == found(index, ["d", "b"], 3)
    with pytest.raises(DataError, match="of a label in one of 2 indexes, got 'e'"):
        group.id_of("e")
