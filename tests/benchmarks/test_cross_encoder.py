"""The cross-encoder's training draws a right label and wrong ones; its order is that of its scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.sparse as sp

from benchmarks.cross_encoder import draw, rerank, teachable
from tests.fixtures.tiny_cross_encoder import save_cross_encoder
from xmc.data import Dataset
from xmc.distillation.cross_encoder import CrossEncoderModel


def test_one_label_of_a_row_is_right_and_the_others_are_its_nearest_wrong_ones() -> None:
    random = np.random.default_rng(0)
    relevance = sp.csr_matrix((random.random((30, 50)) < 0.1).astype(np.float32))
    near = np.array([random.choice(50, 20, replace=False) for _ in range(30)])
    near[3, 2:] = -1  # of this one too few are known
    relevance[5] = 1  # of this one all are right
    relevance = sp.csr_matrix(relevance)
    rows = teachable(relevance, near, 6)
    assert set(np.flatnonzero(relevance.getnnz(axis=1))) - set(rows) == {5} | (
        {3} if relevance[3].nnz else set()
    )
    drawn = draw(relevance, near, rows, 6, random)
    assert drawn.shape == (len(rows), 6)
    dense = relevance.toarray()
    for row, own in zip(rows, drawn, strict=True):
        assert dense[row, own[0]] == 1 and not dense[row, own[1:]].any()
        assert len(set(own)) == 6 and set(own[1:]) <= set(near[row])


def test_labels_are_ranked_anew_by_their_scores(dataset: Dataset, tmp_path: Path) -> None:
    words = [f"{kind}{n}" for kind in ("query", "label") for n in range(40)]
    folder = save_cross_encoder(tmp_path / "cross", words)
    near = np.tile(np.arange(5), (dataset.num_test, 1))
    ids, scores = rerank(folder, dataset, near)
    queries, labels = dataset.texts("test"), dataset.texts("labels")
    own = CrossEncoderModel(folder).scores([(queries[2], labels[label]) for label in range(5)])
    assert ids[2].tolist() == np.argsort(-own, kind="stable").tolist()
    np.testing.assert_allclose(scores[2], -np.sort(-own), rtol=1e-5)
