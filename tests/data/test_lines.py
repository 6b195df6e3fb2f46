from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from xmc.data.lines import LineReader
from xmc.errors import DataError
from xmc.limits import MAX_LINE_BYTES, MAX_RATIO, UNPACKED_TEXT_BYTES


def read(path: Path) -> list[str]:
    lines = LineReader(path)
    with lines.located():
        return list(lines)


def test_the_longest_line_that_is_read_and_one_byte_more(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"first\n" + b"x" * (MAX_LINE_BYTES - 1) + b"\n")
    assert [len(line) for line in read(path)] == [5, MAX_LINE_BYTES - 1]
    path.write_bytes(b"first\n" + b"x" * MAX_LINE_BYTES + b"\n")
    with pytest.raises(DataError, match=r"a.txt, line 2: expected lines of at most 16 MiB, got a longer one"):
        read(path)


def test_what_packs_better_than_text_is_read_up_to_a_size(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    few, many = UNPACKED_TEXT_BYTES // 20 - 1, UNPACKED_TEXT_BYTES // 5
    path.write_bytes(gzip.compress(b"the same line again\n" * few, 9))
    assert path.stat().st_size * MAX_RATIO < few * 20 and len(read(path)) == few
    path.write_bytes(gzip.compress(b"the same line again\n" * many, 9))
    with pytest.raises(DataError, match=rf"at most {MAX_RATIO} times its size.*gunzip"):
        read(path)
    path.write_bytes(b"the same line again\n" * many)  # as the error advises
    assert len(read(path)) == many


@pytest.mark.parametrize("packed", [9_000, 12_000, 40_000])
def test_a_gzip_file_is_bounded_by_its_own_size_however_small(packed: int, tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    noise = np.random.default_rng(0).integers(33, 127, packed, dtype=np.uint8).tobytes()
    for times, fits in ((105, True), (125, False)):
        # Noise that does not pack well, and lines that do, by turns.
        lines = b"".join(
            noise[start : start + 10] + b" " * (13 * times) + b"\n" for start in range(0, packed, 20)
        )
        path.write_bytes(gzip.compress(lines, 9))
        size = path.stat().st_size
        assert len(lines) > UNPACKED_TEXT_BYTES and (len(lines) < MAX_RATIO * size) == fits
        if fits:
            assert len(read(path)) > times
        else:
            with pytest.raises(
                DataError, match=rf"at most {MAX_RATIO} times its size, got [\d,]+ bytes out of"
            ) as error:
                read(path)
            assert "first 0" not in str(error.value)


def test_a_gzip_file_of_two_members_and_one_that_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"a\nb\n") + gzip.compress(b"c\n"))
    assert read(path) == ["a", "b", "c"]
    path.write_bytes(gzip.compress(b"a\n" * 1000)[:-9])
    with pytest.raises(DataError, match="expected a complete gzip file"):
        read(path)
