"""A cross-encoder of random weights: what it says is what sentence-transformers says, as probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.tiny_cross_encoder import save_cross_encoder
from xmc.data import Dataset
from xmc.distillation.teachers import CrossEncoderTeacher
from xmc.errors import ModelError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = [f"{kind}{n}" for kind in ("query", "label") for n in range(40)]
    return save_cross_encoder(tmp_path_factory.mktemp("cross"), words)


def test_it_is_a_softmax_over_the_candidates(folder: Path, dataset: Dataset) -> None:
    teacher = CrossEncoderTeacher(str(folder), dataset, temperature=0.5)
    asked = teacher.ask(slice(2, 4), None)
    assert asked.proposed(3) is None
    owners, labels = np.array([0, 0, 1, 1, 1]), np.array([3, 9, 0, 4, 30])
    said = asked.says(owners, labels)
    texts = [
        (dataset.texts("train")[2 + o], dataset.texts("labels")[i])
        for o, i in zip(owners, labels, strict=True)
    ]
    scores = teacher.model.scores(texts) / 0.5
    for row in (0, 1):
        own = np.exp(scores[owners == row])
        np.testing.assert_allclose(np.exp(said.log_probabilities[owners == row]), own / own.sum(), rtol=1e-5)
    assert said.rest is None and teacher.fingerprint == CrossEncoderTeacher(str(folder), dataset).fingerprint
    assert len(np.unique(scores)) > 1


def test_other_folders_are_refused(tmp_path: Path, dataset: Dataset) -> None:
    with pytest.raises(ModelError, match="found none at"):
        CrossEncoderTeacher(str(tmp_path / "none"), dataset)
    with pytest.raises(ModelError, match="expected a cross-encoder of sentence-transformers"):
        CrossEncoderTeacher(str(tmp_path), dataset)
