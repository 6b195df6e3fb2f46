from __future__ import annotations

import numpy as np
import pytest

from xmc.errors import DataError
from xmc.evaluation.npy_stream import NpyReader, npz_members, write_npz


def test_reads_in_parts_what_numpy_wrote(tmp_path):
    array = np.arange(24, dtype=np.int64).reshape(8, 3)
    np.savez_compressed(tmp_path / "a.npz", one=array, two=np.float32([1.5, 2.5]))
    assert npz_members(tmp_path / "a.npz") == ["one", "two"]
    with NpyReader(tmp_path / "a.npz", "one") as reader:
        assert reader.shape == (8, 3) and reader.dtype == np.int64
        np.testing.assert_array_equal(reader.take(5), array[:5])
        np.testing.assert_array_equal(reader.take(3), array[5:])
        with pytest.raises(DataError, match="24 more bytes of the array one, got 0"):
            reader.take(1)


def test_numpy_reads_what_was_written_from_files(tmp_path):
    array = np.arange(12, dtype="<f4").reshape(4, 3)
    (tmp_path / "bytes").write_bytes(array.tobytes())
    write_npz(tmp_path / "a.npz", [("x", (4, 3), "<f4", tmp_path / "bytes")])
    with np.load(tmp_path / "a.npz", allow_pickle=False) as content:
        np.testing.assert_array_equal(content["x"], array)


def test_other_files_are_explained(tmp_path):
    (tmp_path / "text").write_text("hello")
    np.savez(tmp_path / "object.npz", x=np.array([{}], dtype=object))
    np.savez(tmp_path / "columns.npz", x=np.asfortranarray(np.ones((2, 3))))
    np.savez(tmp_path / "other.npz", y=np.ones(2))
    for name, text in (
        ("text", "expected an npz file with the array x"),
        ("object.npz", "holds Python objects"),
        ("columns.npz", "column by column"),
        ("other.npz", "no item named 'x.npy'"),
        ("missing", "No such file"),
    ):
        with pytest.raises(DataError, match=text), NpyReader(tmp_path / name, "x"):
            pass
    with pytest.raises(DataError, match="expected an npz file"):
        npz_members(tmp_path / "text")
