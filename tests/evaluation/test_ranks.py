"""A model evaluated by several ranks: the same rankings, file and metrics as by one process."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.distributed.ranks import Ranks
from xmc.data import Dataset, DatasetWriter
from xmc.encoders import DualEncoder, EncoderMetadata, LabelOffsets
from xmc.evaluation import Evaluation, evaluate, load_predictions, rank_labels

NUM_LABELS = 151


class Numbers(DualEncoder):
    """A text is a seed of its embedding, so that embeddings do not depend on batches."""

    def __init__(self) -> None:
        self.dimension = 16
        self.metadata = EncoderMetadata(scale=2.0)
        self.label_offsets = LabelOffsets(
            [f"l{i}" for i in range(NUM_LABELS)], np.linspace(-1, 1, NUM_LABELS, dtype=np.float32)
        )
        self.label_residuals = None

    fingerprint = property(lambda self: "numbers")  # type: ignore[assignment]

    def parameters(self):  # type: ignore[no-untyped-def]
        return iter([torch.nn.Parameter(torch.zeros(1))])

    def encode_queries(self, texts: Sequence[str], **_: object) -> np.ndarray:
        assert len(texts), "an empty shard is not to be encoded"
        rows = [np.random.default_rng(int(text)).normal(size=16) for text in texts]
        return np.array(rows, dtype=np.float32)

    encode_labels = encode_queries


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("ranks") / "data"
    rng = np.random.default_rng(0)
    with DatasetWriter(folder, name="numbers") as writer:
        for label in range(NUM_LABELS):
            writer.add_label(f"l{label}", str(1000 + label))
        for split, count in (("train", 40), ("test", 43)):
            for row in range(count):
                chosen = rng.choice(NUM_LABELS, rng.integers(0, 9), replace=False)
                writer.add_row(split, f"{split}{row}", str(row), "", chosen.tolist())
        for row in range(0, 43, 2):
            for label in rng.choice(NUM_LABELS, 30, replace=False).tolist():
                writer.add_filter("test", row, label)
        writer.unseen_labels = [f"l{label}" for label in range(0, NUM_LABELS, 7)]
    return Dataset.load(folder)


@contextmanager
def blocks_of(rows: int) -> Iterator[None]:
    module = sys.modules["xmc.evaluation.rank"]
    before, module._BLOCK_ROWS = module._BLOCK_ROWS, rows  # type: ignore[attr-defined]
    try:
        yield
    finally:
        module._BLOCK_ROWS = before  # type: ignore[attr-defined]


def share(folder: str, predictions: str) -> Evaluation:
    with blocks_of(10):
        return evaluate(
            Numbers(), folder, ks=(1, 5), recall_ks=(10, 20), predictions=predictions, progress=False
        )


@pytest.mark.parametrize("size", [1, pytest.param(2, marks=pytest.mark.slow), 3])
def test_ranks_agree_with_one_process(ranks: Ranks, dataset: Dataset, tmp_path: Path, size: int) -> None:
    alone = evaluate(Numbers(), dataset, ks=(1, 5), recall_ks=(10, 20), progress=False)
    ids, scores = rank_labels(Numbers(), dataset, "test", 20, progress=False)
    answers = ranks.run(share, str(dataset.path), str(tmp_path / "p.npz"), size=size, seconds=180)
    assert all(answer.metrics == answers[0].metrics for answer in answers)
    assert answers[0].metrics == pytest.approx(alone.metrics, rel=1e-12)
    assert (answers[0].processes, answers[0].num_queries) == (size, 43)
    novel, wanted = answers[0].novel, alone.novel
    assert novel is not None and wanted is not None and novel.unseen_queries == wanted.unseen_queries > 0
    for group in ("seen", "unseen", "harmonic", "disjoint"):
        assert getattr(novel, group) == pytest.approx(getattr(wanted, group), rel=1e-12)
    assert novel.disjoint["R@20"] > novel.unseen["R@20"]
    shared_ids, shared_scores = load_predictions(tmp_path / "p.npz")
    np.testing.assert_array_equal(shared_ids, ids)
    np.testing.assert_array_equal(shared_scores, scores)
    assert [path.name for path in tmp_path.iterdir()] == ["p.npz"]


def test_more_ranks_than_labels_or_queries(ranks: Ranks, tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "two", name="two") as writer:
        writer.add_label("l0", "7")
        writer.add_label("l1", "8")
        writer.add_row("train", "t", "1", "", [0])
        writer.add_row("test", "q", "2", "", [1])
    answers = ranks.run(share, str(tmp_path / "two"), str(tmp_path / "p.npz"), size=3, seconds=180)
    assert answers[0].metrics["R@10"] == 100.0
    assert sorted(load_predictions(tmp_path / "p.npz")[0][0, :3].tolist()) == [-1, 0, 1]
