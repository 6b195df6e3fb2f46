from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from xmc.data import Dataset
from xmc.encoders import DualEncoder, EncoderConfig
from xmc.encoders.kept_labels import find_label_vectors, keep_label_vectors
from xmc.errors import ConfigError, DataError


@pytest.fixture
def own(dataset: Dataset, tmp_path: Path) -> Dataset:
    """A copy to keep vectors in."""
    shutil.copytree(dataset.path, tmp_path / "words")
    return Dataset.load(tmp_path / "words")


@pytest.fixture
def encoder(static_model: Path) -> DualEncoder:
    return DualEncoder.build(EncoderConfig(str(static_model), kind="static", tied=False))


def test_vectors_are_those_of_the_tower_and_are_found_by_what_decides_them(
    own: Dataset, encoder: DualEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xmc.encoders.kept_labels.CHUNK", 7)
    assert find_label_vectors(own, encoder) is None
    kept = keep_label_vectors(own, encoder, progress=False)
    np.testing.assert_allclose(kept, encoder.encode_labels(own), atol=1e-6)
    assert isinstance(kept, np.memmap) and not kept.flags.writeable
    monkeypatch.setattr(DualEncoder, "encode_labels", None)  # nothing is encoded again
    fields = list(own.manifest.label_fields)
    np.testing.assert_array_equal(keep_label_vectors(own, encoder, fields), kept)
    with torch.no_grad():
        encoder.query_tower.token_table[0] += 1  # type: ignore[index]
    assert find_label_vectors(own, encoder) is not None
    with torch.no_grad():
        encoder.label_tower.token_table[0] += 1  # type: ignore[index]
    assert find_label_vectors(own, encoder) is None


def test_damaged_vectors_are_told(own: Dataset, encoder: DualEncoder) -> None:
    keep_label_vectors(own, encoder, progress=False)
    [file] = (own.path / "label_vectors").rglob("vectors.npy")
    content = file.read_bytes()
    file.write_bytes(content[:-8])
    with pytest.raises(DataError, match=r"label vectors of the shape \(40, 24\) .*delete this folder"):
        find_label_vectors(own, encoder)
    np.save(file, np.zeros((40, 23), dtype=np.float32))
    with pytest.raises(DataError, match=r"expected label vectors float32 \(40, 24\), got float32 \(40, 23\)"):
        find_label_vectors(own, encoder)


def test_the_label_tower_alone_is_frozen(encoder: DualEncoder, static_model: Path, bert_folder: Path) -> None:
    assert not encoder.labels_frozen
    encoder.freeze_labels()
    assert encoder.labels_frozen and encoder.query_tower.token_table.requires_grad  # type: ignore[union-attr]
    tied = DualEncoder.build(EncoderConfig(str(static_model), kind="static"))
    with pytest.raises(ConfigError, match="share no weights that are trained"):
        tied.freeze_labels()
    with pytest.raises(ConfigError, match="frozen_labels only with tied false"):
        EncoderConfig(str(static_model), frozen_labels=True)
