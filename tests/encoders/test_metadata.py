from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xmc.encoders import EncoderMetadata, LabelOffsets
from xmc.errors import ModelError


def test_metadata_round_trip(tmp_path: Path) -> None:
    metadata = EncoderMetadata(scale=7.5, query_fields=("title",), dataset="toy", tied=False, label_length=4)
    metadata.save(tmp_path)
    assert EncoderMetadata.load(tmp_path) == metadata
    assert EncoderMetadata.load(tmp_path / "none") is None
    EncoderMetadata().save(tmp_path)
    assert EncoderMetadata.load(tmp_path) == EncoderMetadata()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "JSON object"),
        ("[]", "JSON object"),
        ('{"format_version": 99}', "version 1.*got 99"),
        ('{"format_version": 1}', "query_fields"),
        ('{"format_version": 1, "query_fields": [], "label_fields": [], "speed": 1}', "speed"),
    ],
)
def test_a_foreign_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "xmc.json").write_text(text)
    with pytest.raises(ModelError, match=message):
        EncoderMetadata.load(tmp_path)


def test_offsets_must_fit_their_labels(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="expected 2"):
        LabelOffsets(["a", "b"], np.zeros(3))
    with pytest.raises(ModelError, match="finite"):
        LabelOffsets(["a"], np.array([np.nan]))
    with pytest.raises(ModelError, match="label_offsets.parquet"):
        LabelOffsets.load(tmp_path)
