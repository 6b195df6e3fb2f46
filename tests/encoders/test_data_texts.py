"""A model reads a data set by the fields it was trained on, wherever it meets it."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from xmc.data import Dataset, DatasetWriter
from xmc.encoders import DualEncoder, EncoderConfig, LabelVectors
from xmc.errors import ConfigError
from xmc.retrieval import LabelIndex


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    with DatasetWriter(tmp_path / "d", name="d") as writer:
        for number, (title, content) in enumerate([("red house", "big tree"), ("a bird", "blue stone")]):
            writer.add_label(f"l{number}", title, content)
        writer.add_row("train", "q", "night", "day", [0])
        writer.add_row("test", "t", "river", "song", [1])
    return Dataset.load(tmp_path / "d")


@pytest.fixture
def encoder(static_folder: Path) -> DualEncoder:
    return DualEncoder.build(EncoderConfig(model=str(static_folder), kind="static"))


def test_default_texts_are_what_index_and_model_read(dataset: Dataset, encoder: DualEncoder) -> None:
    labels = encoder.encode_labels(dataset.texts("labels"))
    index = LabelIndex.build(encoder, dataset, progress=False)
    ids, scores = index.search_vectors(labels, 1)
    assert ids[:, 0].tolist() == [0, 1]
    np.testing.assert_allclose(scores[:, 0], 1.0, atol=1e-6)
    np.testing.assert_array_equal(encoder.encode_labels(dataset), labels)
    assert index.texts[0] == "red house big tree"


def test_a_models_fields_travel_with_it(dataset: Dataset, encoder: DualEncoder, tmp_path: Path) -> None:
    encoder.metadata = replace(encoder.metadata, query_fields=("content",), label_fields=("title",))
    encoder.save(tmp_path / "model")
    loaded = DualEncoder.load(tmp_path / "model")
    np.testing.assert_array_equal(
        loaded.encode_labels(dataset), encoder.encode_labels(["red house", "a bird"])
    )
    np.testing.assert_array_equal(loaded.encode_queries(dataset, "test"), encoder.encode_queries(["song"]))
    np.testing.assert_array_equal(
        loaded.encode_queries(dataset, split="train"), encoder.encode_queries(["day"])
    )
    assert list(LabelIndex.build(loaded, dataset, progress=False).texts) == ["red house", "a bird"]


def test_texts_of_other_fields_are_warned_of(
    dataset: Dataset, encoder: DualEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    encoder.metadata = replace(encoder.metadata, label_fields=("title", "content"))
    with caplog.at_level(logging.WARNING, logger="xmc"):
        encoder.encode_labels(dataset)
        encoder.encode_labels(dataset.texts("labels"))
        assert not caplog.messages
        encoder.encode_labels(dataset.texts("labels", ["title"]))
    assert "these labels are their title, but the model was trained on their title + content" in caplog.text


def test_a_data_set_brings_the_uids_of_its_labels(dataset: Dataset, encoder: DualEncoder) -> None:
    table = np.eye(2, encoder.dimension, dtype=np.float32)
    encoder.label_vectors = LabelVectors(["l1", "l0"], table)
    np.testing.assert_array_equal(encoder.encode_labels(dataset), table[::-1])
    with pytest.raises(ConfigError, match="uids only with texts"):
        encoder.encode_labels(dataset, uids=["l0", "l1"])


def test_a_split_goes_with_a_data_set_alone(dataset: Dataset, encoder: DualEncoder) -> None:
    with pytest.raises(ConfigError, match=r'expected a split \("train" or "test"\) for a data set'):
        encoder.encode_queries(dataset)
    with pytest.raises(ConfigError, match="none for texts"):
        encoder.encode_queries(["a bird"], "test")
    with pytest.raises(ConfigError, match="split among train, test"):
        encoder.encode_queries(dataset, "valid")
