from __future__ import annotations

import numpy as np
import pytest

from xmc.encoders import LabelVectors
from xmc.errors import ModelError


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_comes_back_as_it_was(tmp_path, dtype):
    table = np.arange(6).reshape(3, 2).astype(dtype)
    LabelVectors(["a", "b", "c"], table).save(tmp_path)
    loaded = LabelVectors.load(tmp_path)
    assert loaded.uids == ["a", "b", "c"] and loaded.table.dtype == dtype
    np.testing.assert_array_equal(loaded.of(["a", "b", "c"]), table.astype(np.float32))
    np.testing.assert_array_equal(loaded.of(["c", "a", "c"]), table[[2, 0, 2]])
    assert loaded.of(["b"]).dtype == np.float32


def test_an_unknown_label_is_named():
    with pytest.raises(ModelError, match="no vector for 'z'"):
        LabelVectors(["a"], np.zeros((1, 2), np.float32)).of(["a", "z"])


def test_what_cannot_be_label_vectors_is_refused(tmp_path):
    with pytest.raises(ModelError, match="table for 2 labels"):
        LabelVectors(["a", "b"], np.zeros((1, 2), np.float32))
    with pytest.raises(ModelError, match="diverged"):
        LabelVectors(["a"], np.array([[np.inf, 0]], np.float16))
    with pytest.raises(ModelError, match="label_table.parquet"):
        LabelVectors.load(tmp_path)
    LabelVectors(["a"], np.zeros((1, 2), np.float32)).save(tmp_path)
    (tmp_path / "label_table.safetensors").write_bytes(b"{}")
    with pytest.raises(ModelError, match="label_table.safetensors"):
        LabelVectors.load(tmp_path)
