"""Seen and unseen labels, against a loop over queries and a ranking of the unseen alone by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from xmc.data import Dataset, DatasetWriter
from xmc.errors import DataError
from xmc.evaluation import Evaluation, evaluate, novel_metrics, save_predictions, score_predictions

LABELS = ["1 0 0", "0 1 0", "0 0 1", "1 1 0", "0 2 1"]


@pytest.fixture
def dataset(tmp_path):
    """Labels 1 and 4 were held out of training; the last query has neither, the third no seen label."""
    with DatasetWriter(
        tmp_path / "data", name="tiny", query_fields=("title",), label_fields=("title",)
    ) as writer:
        for label, title in enumerate(LABELS):
            writer.add_label(f"l{label}", title)
        for label in (0, 2, 3):
            writer.add_row("train", f"t{label}", LABELS[label], "", [label])
        for row, (title, labels) in enumerate(
            [("0 3 1", [0, 1]), ("2 0 1", [2, 4]), ("0 1 2", [4]), ("1 0 0", [0])]
        ):
            writer.add_row("test", f"q{row}", title, "", labels)
        writer.add_filter("test", 2, 2)
        writer.unseen_labels = ["l1", "l4"]
    return Dataset.load(tmp_path / "data")


def by_hand(truth, ids, group, k):
    """P@k and R@k of a group, query by query."""
    precision, recall = [], []
    for row, found in zip(truth, ids, strict=True):
        positives = {label for label in np.flatnonzero(row) if label in group}
        if positives:
            hits = len(positives & set(found[:k].tolist()))
            precision.append(100 * hits / k)
            recall.append(100 * hits / len(positives))
    return np.mean(precision), np.mean(recall)


def test_groups_equal_a_loop_over_queries():
    generator = np.random.default_rng(0)
    truth = (generator.random((40, 12)) < 0.15).astype(np.float32)
    unseen, seen = np.array([1, 5, 6, 11]), {0, 2, 3, 4, 7, 8, 9, 10}
    joint = np.stack([generator.permutation(12)[:8] for _ in range(40)])
    alone = np.stack([generator.permutation(unseen) for _ in range(40)])
    found = novel_metrics(sp.csr_matrix(truth), joint, unseen, None, alone=alone, ks=(1, 3), recall_ks=(2, 8))
    for group, ids, metrics in (
        (seen, joint, found.seen),
        (set(unseen.tolist()), joint, found.unseen),
        (set(unseen.tolist()), alone, found.disjoint),
    ):
        assert metrics["P@3"] == pytest.approx(by_hand(truth, ids, group, 3)[0])
        assert metrics["R@2"] == pytest.approx(by_hand(truth, ids, group, 2)[1])
    assert found.unseen_queries == int((truth[:, unseen].sum(axis=1) > 0).sum())
    assert found.disjoint["R@8"] == 100.0 > found.unseen["R@8"]
    s, u = found.seen["P@3"], found.unseen["P@3"]
    assert found.harmonic["P@3"] == pytest.approx(2 * s * u / (s + u))
    assert "PSP@1" not in found.seen
    nothing = novel_metrics(sp.csr_matrix(truth), np.full((40, 3), -1), unseen, None)
    assert nothing.harmonic["P@1"] == 0.0 and nothing.disjoint == {}


@pytest.mark.parametrize("ranking", ["score", "magnitude"])
def test_evaluate_ranks_the_unseen_labels_alone_too(make_encoder, dataset, ranking, tmp_path):
    encoder = make_encoder(offsets={"l0": 8.0, "l1": -1.0, "l2": 0.0, "l3": 6.0, "l4": 2.0}, scale=2.0)
    encoder.metadata = replace(encoder.metadata, ranking=ranking)
    result = evaluate(
        encoder, dataset, ks=(1,), recall_ks=(2,), predictions=tmp_path / "p.npz", progress=False
    )
    novel = result.novel
    assert novel is not None and (novel.num_unseen, novel.unseen_queries, novel.seen_queries) == (2, 3, 3)
    # Alone: q0 scores l1 3 - 0.5, l4 7 + 1; q1 0 - 0.5, 1 + 1; q2 1 - 0.5, 4 + 1.
    assert novel.disjoint["P@1"] == pytest.approx(200 / 3) and novel.disjoint["R@2"] == 100.0
    # Among all, l0 has 4 more and l3 has 3: l4 comes first for q0, where it is wrong, and for q2.
    assert novel.unseen["P@1"] == pytest.approx(100 / 3)
    assert novel.seen["P@1"] == pytest.approx(100 / 3)
    assert result.novel.unseen["R@2"] < 100.0
    # The ranking of all labels is what it would be without the other.
    plain = score_predictions(tmp_path / "p.npz", dataset, ks=(1,), recall_ks=(2,))
    assert plain.metrics == result.metrics
    assert plain.novel == replace(novel, disjoint={})
    assert Evaluation.from_json(result.to_json()) == result
    assert "unseen, alone" in result.table() and "unseen, alone" not in plain.table()


def test_a_data_set_without_such_labels_has_no_groups(make_encoder, dataset, tmp_path):
    with DatasetWriter(
        tmp_path / "plain", name="tiny", query_fields=("title",), label_fields=("title",)
    ) as writer:
        writer.add_label("a", "1 0 0")
        writer.add_row("train", "t", "1 0 0", "", [0])
        writer.add_row("test", "q", "1 0 0", "", [0])
    result = evaluate(make_encoder(), tmp_path / "plain", progress=False)
    assert result.novel is None and "held out" not in result.table()


def test_blocks_change_nothing(make_encoder, dataset, monkeypatch):
    whole = evaluate(make_encoder(), dataset, progress=False)
    monkeypatch.setattr("xmc.evaluation.rank._BLOCK_ROWS", 1)
    parts = evaluate(make_encoder(), dataset, progress=False)
    assert whole.novel is not None and parts.novel is not None
    for name, value in whole.novel.unseen.items():
        assert parts.novel.unseen[name] == pytest.approx(value)
        assert parts.novel.disjoint[name] == pytest.approx(whole.novel.disjoint[name])


def test_a_malformed_list_is_refused(dataset, tmp_path):
    save_predictions(tmp_path / "p.npz", np.full((4, 2), 1, dtype=np.int32), np.zeros((4, 2), np.float32))
    with pytest.raises(DataError, match="names label 1 twice"):
        score_predictions(tmp_path / "p.npz", dataset)
