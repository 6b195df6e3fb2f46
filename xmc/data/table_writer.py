"""Writes one table of texts to Parquet, a few thousand at a time."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from xmc.data.parquet import check_texts, encoded_bytes
from xmc.data.texts import SCHEMA
from xmc.errors import DataError

__all__ = ["TableWriter"]

_FLUSH_ROWS = 8192
_FLUSH_CHARACTERS = 16_000_000


class TableWriter:
    """One Parquet file of uid, title, content.

    Args:
        path: The file.
        fields: Which of title and content make up a text, to count the empty ones.
    """

    num_empty: int
    """Texts added so far with nothing but white space in ``fields``."""

    uid_hashes: array[int]
    """A hash of each uid added so far, of this process alone."""

    filled: set[str]
    """Those of title and content that hold more than white space in some text added so far."""

    def __init__(self, path: Path, fields: Sequence[str]) -> None:
        self.num_empty = 0
        self.filled = set()
        self._by_title, self._by_content = "title" in fields, "content" in fields
        self.uid_hashes = array("q")
        self._digest = hashlib.sha256()
        self._rows: tuple[list[str], list[str], list[str]] = ([], [], [])
        self._characters = self._bytes = 0
        self._path = path
        self._writer = pq.ParquetWriter(path, SCHEMA, compression="zstd")

    @property
    def digest(self) -> str:
        """Names every uid and text added so far, in order."""
        return self._digest.hexdigest()[:16]

    def add(self, uid: str, title: str, content: str) -> None:
        """Append a text.

        Raises:
            DataError: When an argument is not text, or holds half a surrogate pair.
        """
        if not (isinstance(uid, str) and isinstance(title, str) and isinstance(content, str)):
            raise DataError(f"expected uid, title and content to be text, got {(uid, title, content)!r:.200}")
        try:
            data = f"{len(uid)} {len(title)} {len(content)} {uid}{title}{content}\n".encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"expected text that fits UTF-8, not so for uid {uid!r} ({error.reason})"
            ) from error
        self._digest.update(data)
        self.uid_hashes.append(hash(uid))
        has_title, has_content = bool(title.strip()), bool(content.strip())
        self.num_empty += not ((self._by_title and has_title) or (self._by_content and has_content))
        if has_title:
            self.filled.add("title")
        if has_content:
            self.filled.add("content")
        uids, titles, contents = self._rows
        uids.append(uid)
        titles.append(title)
        contents.append(content)
        self._characters += len(data)
        self._bytes += len(data)
        if len(self._rows[0]) >= _FLUSH_ROWS or self._characters >= _FLUSH_CHARACTERS:
            self._flush()

    def close(self, *, flush: bool = True) -> None:
        """Close the file, with the texts still held or without."""
        if flush:
            self._flush()
        self._writer.close()
        if flush:
            self._keep_readable()

    def _keep_readable(self) -> None:
        """Write the file once more, plain, where it packs so well that it would be refused."""
        size = max(self._bytes, encoded_bytes(pq.read_metadata(self._path)))
        try:
            check_texts(size, self._path.stat().st_size)
        except ValueError:
            plain = self._path.with_suffix(".plain")
            with (
                pq.ParquetFile(self._path) as packed,
                pq.ParquetWriter(plain, SCHEMA, compression="none", use_dictionary=False) as writer,
            ):
                for batch in packed.iter_batches(batch_size=_FLUSH_ROWS):
                    writer.write_batch(batch)
            plain.replace(self._path)

    def _flush(self) -> None:
        if self._rows[0]:
            self._writer.write_table(pa.table(list(self._rows), schema=SCHEMA))
        self._rows, self._characters = ([], [], []), 0
