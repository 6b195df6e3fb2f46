"""A run's folder of a data set of words, without any training."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from tests.fixtures.tiny_models import save_static, word_tokenizer
from tests.fixtures.words import NUM_WORDS
from xmc.data import Dataset
from xmc.encoders import DualEncoder


@pytest.fixture
def data(dataset: Dataset, tmp_path: Path) -> Path:
    return Path(shutil.copytree(dataset.path, tmp_path / "data"))


@pytest.fixture
def run(data: Path, tmp_path: Path) -> Path:
    """A run's folder as training leaves it; a label's word has the vector of the queries' word for it."""
    folder, opened = tmp_path / "run", Dataset.load(data)
    words = ["[UNK]"] + [f"{kind}{word}" for kind in ("query", "label") for word in range(NUM_WORDS)]
    vectors = torch.randn(NUM_WORDS, 24, generator=torch.Generator().manual_seed(0))
    weights = torch.cat([torch.zeros(1, 24), vectors, vectors])
    encoder = DualEncoder.load(
        save_static(tmp_path / "start", word_tokenizer(words), embedding_weights=weights)
    )
    encoder.metadata = replace(
        encoder.metadata,
        label_fingerprint=opened.label_fingerprint,
        dataset_fingerprint=opened.fingerprint,
    )
    encoder.save(folder / "model")
    config = {"data": {"path": str(data)}, "validation": {"rows": 20}, "seed": 3}
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder
