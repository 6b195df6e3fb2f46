from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xmc.data.tokens as tokens
from xmc.data import TokenStore
from xmc.errors import DataError


def _codes(texts: list[str]) -> list[list[int]]:
    return [[ord(character) for character in text] for text in texts]


def _store(folder: Path, texts: list[str], max_length: int | None = None, tokenize=_codes) -> TokenStore:  # type: ignore[no-untyped-def]
    return TokenStore.open_or_build(
        folder,
        texts,
        tokenize,
        fingerprint="abc",
        max_length=max_length,
        description="tokens",
        progress=False,
    )


@settings(deadline=None)
@given(st.lists(st.text(max_size=9), max_size=30), st.data())
def test_rows_come_back_in_any_order(texts: list[str], data: st.DataObject) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        store = _store(Path(folder), texts)
        assert len(store) == len(texts) and store.ids.dtype == np.int32 and store.offsets.dtype == np.int64
        assert store.lengths.tolist() == [len(text) for text in texts]
        rows = data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=20)) if texts else []
        ids, offsets = store.gather(rows)
        assert ids.dtype == np.int32 and offsets.dtype == np.int64 and len(offsets) == len(rows) + 1
        for position, row in enumerate(rows):
            assert ids[offsets[position] : offsets[position + 1]].tolist() == _codes([texts[row]])[0]


def test_counts_of_cut_and_empty_texts(tmp_path: Path) -> None:
    store = _store(tmp_path, ["abcd", "", "ab", "abc", ""], max_length=3)
    assert (store.num_truncated, store.num_empty) == (2, 2)
    assert store.lengths.tolist() == [3, 0, 2, 3, 0]


def test_is_made_in_chunks_and_only_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_CHUNK_TEXTS", 4)
    calls: list[int] = []

    def counted(texts: list[str]) -> list[list[int]]:
        calls.append(len(texts))
        return _codes(texts)

    texts = [str(number) for number in range(10)]
    first = _store(tmp_path, texts, tokenize=counted)
    assert calls == [4, 4, 2]
    second = _store(tmp_path, texts, tokenize=counted)
    assert calls == [4, 4, 2]
    assert isinstance(second.ids, np.memmap)
    np.testing.assert_array_equal(first.ids, second.ids)
    assert sorted(path.name for path in (tmp_path / "abc").iterdir()) == [
        "ids.npy",
        "meta.json",
        "offsets.npy",
    ]


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def broken(texts: list[str]) -> list[list[int]]:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        _store(tmp_path, ["a"], tokenize=broken)
    assert list(tmp_path.iterdir()) == []


def test_a_tokenizer_that_loses_rows(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="tokens for 2 texts, the tokenizer gave 1"):
        _store(tmp_path, ["a", "b"], tokenize=lambda texts: [[1]])


def test_a_store_of_other_texts_is_refused(tmp_path: Path) -> None:
    _store(tmp_path, ["a", "b"])
    with pytest.raises(DataError, match="with 3 texts, got version 1 with 2"):
        _store(tmp_path, ["a", "b", "c"])


def test_a_damaged_store_is_refused(tmp_path: Path) -> None:
    _store(tmp_path, ["a", "b"])
    (tmp_path / "abc" / "offsets.npy").write_bytes(b"nonsense")
    with pytest.raises(DataError, match="delete this folder"):
        _store(tmp_path, ["a", "b"])


def test_rows_out_of_range(tmp_path: Path) -> None:
    store = _store(tmp_path, ["a", "b"])
    for row in (-1, 2):
        with pytest.raises(IndexError, match="between 0 and 1"):
            store.gather([row])


def test_meta_says_what_is_there(tmp_path: Path) -> None:
    _store(tmp_path, ["ab", "c"], max_length=8)
    meta = json.loads((tmp_path / "abc" / "meta.json").read_text())
    assert (meta["num_texts"], meta["num_tokens"], meta["max_length"]) == (2, 3, 8)


def test_where_the_folder_cannot_be_written_the_users_cache_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    there = tmp_path / "there" / "tokens"
    _store(there, ["ab"])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(os, "access", lambda *arguments: False)
    assert _store(there, ["ab"], tokenize=None).lengths.tolist() == [2] and not caplog.records
    for _ in range(2):
        assert _store(tmp_path / "elsewhere" / "tokens", ["abc"]).lengths.tolist() == [3]
    assert not (tmp_path / "elsewhere").exists() and len(caplog.records) == 1
    assert (tmp_path / "home" / "xmc" / "tokens" / "abc" / "meta.json").is_file()
