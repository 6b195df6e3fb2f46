"""CSV and TSV files read by Arrow, record by record; errors name their line."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv as pc

from xmc.data.tables.dialect import Dialect, line_of, not_of_encoding, open_bytes, quote_left_open
from xmc.data.tables.lent_file import LentFile
from xmc.data.tables.source import TableSource
from xmc.errors import DataError
from xmc.progress import Bar

__all__ = ["CsvSource"]

_BLOCK_BYTES = 16 << 20


class CsvSource(TableSource):
    """A CSV or TSV file, read in blocks; every field is text as it stands, "00123" too."""

    def __init__(self, path: Path, dialect: Dialect) -> None:
        self.path, self.sample = path, dialect.sample
        self._dialect = dialect
        self._width = len(dialect.sample[0])

    def records(self, places: Sequence[int], *, header: bool, progress: bool) -> Iterator[tuple[Any, ...]]:
        """See :class:`TableSource`."""
        count, last = int(header), list[bytes]()
        try:
            with open_bytes(self.path) as file:
                for batch in self._batches(file, places, header, progress):
                    columns = [batch.column(place).to_pylist() for place in places]
                    yield from zip(*columns, strict=True)
                    count += batch.num_rows
                    if batch.num_rows:
                        last = [column[-1].as_buffer().to_pybytes() for column in batch.columns]
        except (pa.ArrowException, UnicodeError, EOFError, OSError, zlib.error) as error:
            raise self._explained(error, count) from error
        # Arrow takes a quote that is never closed for a field that ends with the file.
        if any(set(field) & set(b"\r\n") for field in last) and quote_left_open(self.path, self._dialect):
            raise DataError(f"{self.place(count)}: {_OPEN_QUOTE}")

    def place(self, record: int) -> str:
        """See :class:`TableSource`."""
        return f"{self.path}, line {line_of(self.path, self._dialect, record)}"

    def _batches(
        self, file: IO[bytes], places: Sequence[int], header: bool, progress: bool
    ) -> Iterator[pa.RecordBatch]:
        """All columns, text at ``places`` and bytes elsewhere: a quote may be open in any of them."""
        with LentFile(file) as lent, Bar(None, self.path.name, "row", shown=progress) as bar:
            reader = pc.open_csv(lent.lend(), **self._options(places, header))
            try:
                for batch in reader:
                    yield batch
                    bar.update(batch.num_rows)
            finally:
                del reader

    def _options(self, places: Sequence[int], header: bool) -> dict[str, Any]:
        # By number, as names of a header may repeat or be empty.
        names = [str(place) for place in range(self._width)]
        encoding = "utf8" if self._dialect.encoding == "utf-8-sig" else self._dialect.encoding
        return dict(
            read_options=pc.ReadOptions(
                column_names=names,
                skip_rows=self._dialect.skipped_lines,
                skip_rows_after_names=int(header),
                block_size=_BLOCK_BYTES,
                encoding=encoding,
                # With threads an error does not say which row it is about.
                use_threads=False,
            ),
            parse_options=pc.ParseOptions(
                delimiter=self._dialect.delimiter,
                quote_char=self._dialect.quote or False,
                newlines_in_values=self._dialect.quote is not None,
            ),
            convert_options=pc.ConvertOptions(
                column_types={
                    name: pa.string() if place in places else pa.binary() for place, name in enumerate(names)
                },
                strings_can_be_null=False,
            ),
        )

    def _explained(self, error: Exception, count: int) -> DataError:
        """An error of Arrow with its line."""
        message = str(error)
        if (
            isinstance(error, (EOFError, zlib.error))
            or "gzip" in message.lower()
            or "compress" in message.lower()
        ):
            return DataError(f"{self.path}: expected a complete gzip file ({message}): fetch it again")
        if "straddling" in message:
            return DataError(
                f"{self.place(count + 1)}: {_OPEN_QUOTE} (there is a record of over {_BLOCK_BYTES:,} bytes)"
            )
        found = re.search(r"Row #(\d+)", message)
        # Arrow counts lines that were skipped as rows.
        record = int(found[1]) - self._dialect.skipped_lines if found else count + 1
        if isinstance(error, UnicodeError) or "UTF8" in message:
            line = line_of(self.path, self._dialect, record)
            return not_of_encoding(self.path, line, self._dialect.encoding)
        place = self.place(record)
        if '"' in message and quote_left_open(self.path, self._dialect):
            return DataError(f"{place}: {_OPEN_QUOTE}")
        if widths := re.search(r"Expected (\d+) columns, got (\d+): (.*)", message, re.DOTALL):
            delimiter = {"\t": "a tab"}.get(self._dialect.delimiter, repr(self._dialect.delimiter))
            return DataError(
                f"{place}: expected {widths[1]} fields between {delimiter}, as in the first line, got "
                f"{widths[2]} in {' '.join(widths[3].split())!r:.80}: a field that holds the delimiter or a "
                "line end stands in quotes; name another delimiter with --delimiter"
            )
        return DataError(f"{place}: expected a CSV file ({' '.join(message.split())})")


_OPEN_QUOTE = (
    "expected every quote to be closed, but a quote that opens here or later is not: double a quote within a "
    "field, or say that quotes mean nothing (--quote none)"
)
