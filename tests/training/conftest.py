"""A data set and a static model so small that a run takes a second: queries and labels are the same words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from xmc.data import Dataset, DatasetWriter
from xmc.encoders import EncoderConfig
from xmc.training.batches import NegativesConfig
from xmc.training.config import (
    DataConfig,
    ObjectiveConfig,
    OptimisationConfig,
    RunOptions,
    TrainConfig,
    ValidationConfig,
)

NUM_WORDS = 40


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """120 training rows, one of them without labels: each query holds three words and has them as labels."""
    path = tmp_path_factory.mktemp("data") / "words"
    generator = np.random.default_rng(0)
    with DatasetWriter(path, name="words") as writer:
        for word in range(NUM_WORDS):
            writer.add_label(f"l{word}", f"label{word}")
        for split, count in (("train", 120), ("test", 30)):
            for row in range(count):
                words = generator.choice(NUM_WORDS, 3, replace=False)
                text = " ".join(f"query{word}" for word in words)
                labels = [] if split == "train" and row == 7 else sorted(words.tolist())
                writer.add_row(split, f"{split}{row}", text, "", labels)
    return Dataset.load(path)


@pytest.fixture(scope="session")
def static_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random token vectors: untrained, queries and labels have nothing to do with each other."""
    words = ["[UNK]"] + [f"{kind}{word}" for kind in ("query", "label") for word in range(NUM_WORDS)]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "static"
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=24)]).save_pretrained(str(path))
    return path


@pytest.fixture
def config(dataset: Dataset, static_model: Path, tmp_path: Path) -> TrainConfig:
    """A run of 28 steps."""
    return TrainConfig(
        data=DataConfig(path=str(dataset.path)),
        run=RunOptions(dir=str(tmp_path / "run"), log_every=1, trackers=[]),
        seed=3,
        encoder=EncoderConfig(model=str(static_model), kind="static", tied=False, dropout=0.1),
        objective=ObjectiveConfig(label_offsets=True, learn_scale=True),
        negatives=NegativesConfig(mode="sampled", uniform=12),
        training=OptimisationConfig(epochs=4, batch_size=14, learning_rate=0.1),
        validation=ValidationConfig(rows=20, every=10),
    )


@pytest.fixture
def changed() -> Callable[..., TrainConfig]:
    """``changed(config, training={"epochs": 1})``: a copy with fields of some sections replaced."""

    def change(config: TrainConfig, **sections: dict[str, object]) -> TrainConfig:
        replaced = {name: replace(getattr(config, name), **values) for name, values in sections.items()}
        return replace(config, **replaced)

    return change
