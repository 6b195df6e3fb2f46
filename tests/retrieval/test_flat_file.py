"""A flat FAISS file is searched without FAISS, to the same bits, and read by FAISS where it is another."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from xmc.retrieval.stores.faiss_store import FAISS_FILE, FaissStore
from xmc.retrieval.stores.flat_file import FlatFileStore
from xmc.retrieval.stores.search import search_store


@pytest.fixture
def made(tmp_path: Path) -> FaissStore:
    """500 vectors, of which some are equal, and some are forgotten."""
    vectors = np.random.default_rng(0).standard_normal((500, 17)).astype(np.float32)
    vectors[100:120] = vectors[99]
    store = FaissStore.make(17, "Flat")
    store.add(vectors)
    store.forget(np.array([3, 110, 499]))
    store.write(tmp_path)
    return store


def opened(folder: Path) -> FlatFileStore:
    found = FlatFileStore.read(folder / FAISS_FILE, 500)
    assert found is not None
    return found


def test_a_search_gives_the_bits_that_faiss_gives(made: FaissStore, tmp_path: Path) -> None:
    label_of = np.arange(500)
    vectors = made.vectors(np.arange(90, 110))
    assert vectors is not None
    for query in [*vectors, *np.random.default_rng(1).standard_normal((50, 17)).astype(np.float32)]:
        for k in (1, 5, 497, 600):
            expected = search_store(made, query[None], k, label_of)
            store = opened(tmp_path)
            for _ in range(2):  # the second is FAISS's
                for one, other in zip(search_store(store, query[None], k, label_of), expected, strict=True):
                    np.testing.assert_array_equal(one, other)


def test_it_is_the_store_that_was_written(made: FaissStore, tmp_path: Path) -> None:
    store, slots = opened(tmp_path), np.array([0, 99, 498, 4])
    for _ in range(2):
        np.testing.assert_array_equal(store.vectors(slots), made.vectors(slots))
        assert (store.width, store.next_slot, store.reachable) == (17, 500, 497)
        assert (store.keeps_dead, store.comparable, store.lists, store.knobs()) == (False, True, 0, {})
        assert store.is_trained and store.exact_vectors()
        assert store.index.ntotal == 497  # from here on it is FAISS's
    (tmp_path / "again").mkdir()
    assert opened(tmp_path).write(tmp_path / "again") == [FAISS_FILE]
    assert (tmp_path / "again" / FAISS_FILE).read_bytes() == (tmp_path / FAISS_FILE).read_bytes()
    store = opened(tmp_path)
    store.add(np.ones((2, 17), dtype=np.float32))
    store.forget(np.array([0]))
    assert (store.next_slot, store.reachable) == (502, 498)


def test_other_files_are_left_to_faiss(made: FaissStore, tmp_path: Path) -> None:
    whole = (tmp_path / FAISS_FILE).read_bytes()
    huge = struct.pack("<q", 1 << 60)
    for content in (
        *(b"", b"nonsense", whole[:-1], whole + b"x", whole[:60]),
        *(
            whole[:place] + b"\xff" + whole[place + 1 :]
            for place in (0, 4, 8, 32, 33, 37, 41, 45, 69, 70, 74)
        ),
        whole[:8] + huge + whole[16:45] + huge + whole[53:],
        whole[:-8] + whole[-16:-8],  # a slot twice
        whole[: -8 * 497 - 8] + struct.pack("<Q", 5) + whole[-8 * 497 :],
    ):
        (tmp_path / FAISS_FILE).write_bytes(content)
        assert FlatFileStore.read(tmp_path / FAISS_FILE, 500) is None
    for factory in ("IVF4,Flat", "HNSW8", "SQ8"):
        other = FaissStore.make(17, factory)
        other.train(np.random.default_rng(0).standard_normal((500, 17)).astype(np.float32))
        other.add(np.eye(17, dtype=np.float32))
        other.write(tmp_path)
        assert FlatFileStore.read(tmp_path / FAISS_FILE, 17) is None


def test_one_search_needs_no_faiss(made: FaissStore, tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np; from pathlib import Path; "
        "from xmc.retrieval.kinds import IndexKind; from xmc.retrieval.stores.search import search_store; "
        "store = IndexKind('flat', 'Flat').read(Path(sys.argv[1]), 17, False, 500); "
        "one = np.ones((1, 17), dtype=np.float32); label_of = np.arange(500); "
        "search_store(store, one, 5, label_of); print('faiss' in sys.modules); "
        "search_store(store, one, 5, label_of); print('faiss' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "True"]
