from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xmc.data.npz import check_npz, check_unpacked, read_header
from xmc.limits import MAX_RATIO, UNPACKED_ARRAY_BYTES


def header(**facts: Any) -> io.BytesIO:
    file = io.BytesIO()
    whole = {"descr": "<f4", "fortran_order": False, "shape": (2,), **facts}
    np.lib.format.write_array_header_1_0(file, whole)
    file.seek(0)
    return file


def test_what_is_promised_is_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.zeros((2, 3), np.float32), b=np.array(b"csr"), c=np.arange(0))
    found = check_npz(path)
    assert {name: shape for name, (shape, _) in found.items()} == {"a": (2, 3), "b": (), "c": (0,)}
    assert found["a"][1] == np.float32


@pytest.mark.parametrize("shape", [(3,), (2**40,), (2**31, 2**31), (1,), (2**63,)])
def test_an_array_of_another_size_than_its_header_says(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", header(shape=shape).getvalue() + bytes(8))
    with pytest.raises(ValueError, match="but has"):
        check_npz(tmp_path / "a.npz")


def test_objects_strange_headers_and_other_members(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Python objects"):
        read_header(header(descr="|O"))
    with pytest.raises(ValueError, match="its shape is"):
        read_header(header(shape=(-1,)))
    deep = b"\x93NUMPY\x01\x00" + (9000).to_bytes(2, "little") + b"-" * 9000
    with pytest.raises(ValueError):
        read_header(io.BytesIO(deep))
    for name in ("x.txt", "a.npy"):
        with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
            archive.writestr("a.npy", header().getvalue() + bytes(8))
            with pytest.warns(UserWarning) if name == "a.npy" else _nothing():
                archive.writestr(name, header().getvalue() + bytes(8))
        with pytest.raises(ValueError, match=r"twice|no array"):
            check_npz(tmp_path / "b.npz")


def _nothing() -> Any:
    import contextlib

    return contextlib.nullcontext()


def test_large_arrays_are_read_where_their_file_is_large_too() -> None:
    packed = UNPACKED_ARRAY_BYTES // MAX_RATIO
    check_unpacked(UNPACKED_ARRAY_BYTES, packed // 10)
    check_unpacked(UNPACKED_ARRAY_BYTES + 1000, packed + 1000)
    with pytest.raises(ValueError, match=rf"more than {MAX_RATIO} times as many"):
        check_unpacked(UNPACKED_ARRAY_BYTES + 1000, packed)
