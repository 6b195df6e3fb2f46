"""A data set of words with unseen, rare and frequent labels, and rankings of its test rows made by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from xmc.data import Dataset, DatasetWriter
from xmc.reports.systems import System

NUM_LABELS, NUM_TEST, DEPTH = 30, 60, 12
NASTY = "<script>alert('x')</script> & \"quotes\" | *stars* $x^2$"


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Label l has 3 l training points, label 0 none; test rows have 0 to 4 positives; one text is nasty."""
    path = tmp_path_factory.mktemp("data") / "words"
    generator = np.random.default_rng(0)
    with DatasetWriter(path, name="words <b>&", query_fields=("title",), label_fields=("title",)) as writer:
        for label in range(NUM_LABELS):
            writer.add_label(f"l{label}", NASTY if label == 3 else f"label {label}")
        points = np.repeat(np.arange(NUM_LABELS), 3 * np.arange(NUM_LABELS))
        for row, label in enumerate(points):
            writer.add_row("train", f"t{row}", f"word {label}", "", [int(label)])
        for row in range(NUM_TEST):
            labels = generator.choice(NUM_LABELS, row % 5, replace=False)
            text = NASTY if row == 4 else " ".join(["word"] * (1 + row % 9))
            writer.add_row("test", f"q{row}", text, "", sorted(labels.tolist()))
    return Dataset.load(path)


@pytest.fixture(scope="session")
def make_system(dataset: Dataset) -> Callable[..., System]:
    """A system that knows each positive with probability ``skill``; the rest of its list is chance."""

    def make(name: str, skill: float, seed: int = 0, **options: object) -> System:
        generator = np.random.default_rng(seed)
        scores = generator.random((NUM_TEST, NUM_LABELS)).astype(np.float32)
        truth = dataset.relevance("test")
        positive = truth.toarray() > 0
        scores += positive & (generator.random(positive.shape) < skill)
        ids = np.argsort(-scores, axis=1)[:, :DEPTH].astype(np.int32)
        return System(name, ids, np.take_along_axis(scores, ids, axis=1), truth, **options)  # type: ignore[arg-type]

    return make
