"""Token ids of a list of texts, made once, kept ragged on disk and memory-mapped."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from xmc.data.cache import writable_folder
from xmc.errors import DataError
from xmc.files import atomic_folder
from xmc.progress import Bar

__all__ = ["TokenRows", "TokenStore"]

_FORMAT_VERSION = 1
_CHUNK_TEXTS = 4096

Tokenize = Callable[[list[str]], list[list[int]]]


class TokenRows(Protocol):
    """Tokens that are found by row."""

    def __len__(self) -> int:
        """Rows there are."""
        ...

    def gather(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Flat ids int32 [t] and offsets int64 [n + 1] of n rows."""
        ...


class TokenStore:
    """The token ids of N texts, T in all; row ``i`` is ``ids[offsets[i]:offsets[i + 1]]``.

    Args:
        ids: int32 [T], memory-mapped.
        offsets: int64 [N + 1].
        num_truncated: Texts that fill ``max_length``: cut to it, or of exactly that length.
        num_empty: Texts without any token.
    """

    def __init__(self, ids: np.ndarray, offsets: np.ndarray, num_truncated: int, num_empty: int) -> None:
        self.ids = ids
        self.offsets = offsets
        self.num_truncated = num_truncated
        self.num_empty = num_empty

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each text, int64 [N]."""
        return np.diff(self.offsets)

    def gather(self, rows: np.ndarray | Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """The tokens of ``rows``, in their order, repeats allowed.

        Returns:
            Flat ids int32 [t], and offsets int64 [n + 1] into them.

        Raises:
            IndexError: When a row is negative or not below N.
        """
        rows = np.asarray(rows, dtype=np.int64)
        if rows.size and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"expected rows between 0 and {len(self) - 1}, got {rows.min()}..{rows.max()}")
        starts = self.offsets[rows]
        lengths = self.offsets[rows + 1] - starts
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        positions = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        return np.asarray(self.ids[positions]), offsets

    @classmethod
    def open_or_build(
        cls,
        folder: str | Path,
        texts: Sequence[str],
        tokenize: Tokenize,
        *,
        fingerprint: str,
        max_length: int | None,
        description: str,
        progress: bool = True,
    ) -> TokenStore:
        """Open ``folder/<fingerprint>`` when it is there, else tokenize every text into it.

        Some thousand texts are tokenized at a time and written as they come; memory grows 8 bytes per text.

        Args:
            folder: Holds one folder a fingerprint. Where it cannot be written, and the store is not there
                yet, the user's cache takes its place, which is logged.
            texts: [N].
            tokenize: Texts to token ids, special tokens and truncation included; longer rows are cut here.
            fingerprint: Names tokenizer, length and texts.
            max_length: Tokens a text may have, or None.
            description: Of the progress bar.
            progress: Show it, on stderr.

        Raises:
            DataError: When what is there is not a token store of ``len(texts)`` texts.
        """
        path = Path(folder) / fingerprint
        if not (path / "meta.json").is_file():
            path = writable_folder(Path(folder)) / fingerprint
        if not (path / "meta.json").is_file():
            with atomic_folder(path, overwrite=True) as temporary:
                _build(temporary, texts, tokenize, max_length, description, progress)
        return cls._open(path, len(texts))

    @classmethod
    def _open(cls, path: Path, num_texts: int) -> TokenStore:
        try:
            meta = json.loads((path / "meta.json").read_text(encoding="utf-8"))
            offsets = np.load(path / "offsets.npy", allow_pickle=False)
            ids = np.load(path / "ids.npy", mmap_mode="r", allow_pickle=False)
            counts = (meta["format_version"], meta["num_texts"], len(offsets) - 1, meta["num_tokens"])
        except (OSError, ValueError, KeyError) as error:
            raise DataError(
                f"{path}: expected a token store ({error}): delete this folder to remake it"
            ) from error
        wanted = (_FORMAT_VERSION, num_texts, num_texts, int(offsets[-1]))
        if counts != wanted or len(ids) != offsets[-1]:
            raise DataError(
                f"{path}: expected a token store of version {_FORMAT_VERSION} with {num_texts} texts, got "
                f"version {counts[0]} with {counts[1]}: delete this folder to remake it"
            )
        return cls(ids, offsets, meta["num_truncated"], meta["num_empty"])


def _build(
    folder: Path,
    texts: Sequence[str],
    tokenize: Tokenize,
    max_length: int | None,
    description: str,
    progress: bool,
) -> None:
    lengths = np.zeros(len(texts), dtype=np.int64)
    with (
        open(folder / "ids.npy", "wb") as file,
        Bar(len(texts), description, "text", shown=progress) as bar,
    ):
        file.write(_npy_header(0))
        for start in range(0, len(texts), _CHUNK_TEXTS):
            chunk = list(texts[start : start + _CHUNK_TEXTS])
            lengths[start : start + len(chunk)] = _append(file, tokenize(chunk), len(chunk), max_length)
            bar.update(len(chunk))
        file.seek(0)
        file.write(_npy_header(int(lengths.sum())))
    np.save(folder / "offsets.npy", np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
    meta = json.dumps(_meta(lengths, max_length), indent=2)
    (folder / "meta.json").write_text(meta + "\n", encoding="utf-8")


def _append(file: BinaryIO, rows: list[list[int]], num_texts: int, max_length: int | None) -> list[int]:
    if len(rows) != num_texts:
        raise DataError(f"expected tokens for {num_texts} texts, the tokenizer gave {len(rows)} rows")
    rows = [row[:max_length] for row in rows]
    lengths = [len(row) for row in rows]
    flat = np.fromiter(chain.from_iterable(rows), dtype="<i4", count=sum(lengths))
    file.write(flat.tobytes())
    return lengths


def _meta(lengths: np.ndarray, max_length: int | None) -> dict[str, Any]:
    return {
        "format_version": _FORMAT_VERSION,
        "num_texts": len(lengths),
        "num_tokens": int(lengths.sum()),
        "num_truncated": 0 if max_length is None else int((lengths >= max_length).sum()),
        "num_empty": int((lengths == 0).sum()),
        "max_length": max_length,
    }


def _npy_header(num_tokens: int) -> bytes:
    """The header of an int32 npy array: 128 bytes whatever the count, so it can be rewritten in place."""
    header = io.BytesIO()
    facts = {"descr": "<i4", "fortran_order": False, "shape": (num_tokens,)}
    np.lib.format.write_array_header_1_0(header, facts)
    return header.getvalue()
