from __future__ import annotations

import gzip
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from xmc.data.tables import TextOptions
from xmc.data.tables.lent_file import LentFile
from xmc.data.tables.sources import open_source
from xmc.errors import DataError

_STOPPED_HALF_WAY = """
import io, sys, time
from pathlib import Path
from xmc.data.tables import TextOptions, csv_source
from xmc.data.tables.sources import open_source

class Slow(io.FileIO):
    def read(self, size=-1):
        time.sleep(0.1)
        return super().read(size)

csv_source.open_bytes, csv_source._BLOCK_BYTES = Slow, 1024
records = open_source(Path(sys.argv[1]), TextOptions()).records([0], header=True, progress=False)
next(records)
records.close()
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_the_interpreter_ends_though_a_file_was_read_half_way(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "clicks.csv"
    path.write_text("query,label\n" + "a query of some words,x\n" * 10_000, encoding=encoding)
    command = [sys.executable, "-c", _STOPPED_HALF_WAY, str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_file_is_taken_back_from_whoever_still_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 100)
    begun, left = threading.Event(), threading.Event()
    count = 0

    def read(lent: list[object]) -> None:
        nonlocal count
        while lent[0].read(1):  # type: ignore[attr-defined]
            count += 1
            begun.set()
            time.sleep(0.02)
        left.set()
        lent.clear()

    with open(path, "rb") as file:
        with LentFile(file) as lent:
            threading.Thread(target=read, args=([lent.lend()],)).start()
            begun.wait(10)
        assert left.is_set() and count < 100 and not file.closed


@pytest.mark.parametrize("whole", [True, False], ids=["a bomb", "cut off"])
def test_a_read_that_fails_is_not_waited_for(whole: bool, tmp_path: Path) -> None:
    """What handles the error holds its frames, and by them what they held."""
    path = tmp_path / "clicks.csv.gz"
    rows = b"query,label\n" + (
        b"a,b\n" * 5_000_000 if whole else random.Random(0).randbytes(40_000_000).hex().encode()
    )
    packed = gzip.compress(rows, 1)
    path.write_bytes(packed if whole else packed[: len(packed) // 2])
    started = time.monotonic()
    with pytest.raises(DataError):
        for _ in open_source(path, TextOptions()).records([0], header=True, progress=False):
            pass
    assert time.monotonic() - started < 30
