"""Corrected sampling end to end: as good as training with all labels, for a fraction of the scores."""

from __future__ import annotations

from pathlib import Path

import pytest

from xmc.corpora import build_synthetic
from xmc.data import Dataset
from xmc.encoders import DualEncoder, EncoderConfig
from xmc.evaluation import evaluate
from xmc.training import TrainConfig, train
from xmc.training.batches import NegativesConfig
from xmc.training.config import (
    DataConfig,
    ObjectiveConfig,
    OptimisationConfig,
    RunOptions,
    ValidationConfig,
)

NUM_LABELS, UNIFORM, BATCH = 4000, 400, 64
ENCODER = EncoderConfig(kind="static", static_init="tokens")


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("catalogue") / "data"
    return build_synthetic(path, num_labels=NUM_LABELS, num_queries=8000, num_test=2000, progress=False)


def precision(negatives: NegativesConfig, data: Dataset, folder: Path) -> float:
    config = TrainConfig(
        data=DataConfig(path=str(data.path)),
        run=RunOptions(dir=str(folder), trackers=[]),
        encoder=ENCODER,
        objective=ObjectiveConfig(scale=20.0),
        negatives=negatives,
        training=OptimisationConfig(epochs=1, batch_size=BATCH, learning_rate=5e-3),
        validation=ValidationConfig(rows=0),
    )
    return evaluate(train(config).model_path, data, progress=False).metrics["P@1"]


@pytest.mark.slow
def test_within_a_point_and_a_half_of_all_labels(catalogue: Dataset, tmp_path: Path) -> None:
    everything = precision(NegativesConfig(mode="all"), catalogue, tmp_path / "all")
    sampled = precision(NegativesConfig(mode="sampled", uniform=UNIFORM), catalogue, tmp_path / "sampled")
    untrained = evaluate(DualEncoder.build(ENCODER), catalogue, progress=False)
    assert sampled > everything - 1.5
    assert everything > untrained.metrics["P@1"] + 10
