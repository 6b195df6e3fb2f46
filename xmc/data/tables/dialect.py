"""How a CSV or TSV file is written: its encoding, its delimiter, its quotes."""

from __future__ import annotations

import codecs
import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from xmc.data.lines import unpacked
from xmc.data.tables.other_formats import refuse_other_format
from xmc.errors import ConfigError, DataError
from xmc.received import reading

if TYPE_CHECKING:
    from _csv import Reader as CsvReader

__all__ = ["Dialect", "line_of", "open_bytes", "open_text", "quote_left_open", "records", "sniff"]

_SAMPLE_BYTES = 1 << 18
_SAMPLE_RECORDS = 200
_DELIMITERS = (",", "\t", ";", "|")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8", "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "utf-16"),
)
"""Byte order marks; what they mark, and that with a mark, which is no text then."""


@dataclass(frozen=True)
class Dialect:
    """How the records of a text file are told apart."""

    encoding: str
    """As Python names it."""
    delimiter: str
    """Between the fields of a record."""
    quote: str | None
    """Around a field that holds delimiters or line ends, doubled within; None where quotes mean nothing."""
    skipped_lines: int
    """Lines before the first record: empty ones, and Excel's ``sep=;``."""
    sample: tuple[tuple[str, ...], ...]
    """The first records, for whoever has to know what the columns hold."""


def sniff(
    path: Path, *, delimiter: str | None = None, encoding: str | None = None, quote: str | None = '"'
) -> Dialect:
    """The dialect of ``path``, plain or gzipped, told from its beginning.

    A byte order mark decides the encoding, which is UTF-8 without one. The delimiter is the one that cuts
    the most records into as many fields as the first, two at least; where none does, into the same number;
    a comma where none does that either.

    Args:
        path: The file.
        delimiter: One character, where it is known.
        encoding: Where it is known.
        quote: One character; None where a quote is a character like others.

    Raises:
        DataError: When the file is empty, of another format or encoding by its beginning, or its first record
            is too long.
        ConfigError: For a delimiter or quote of more than a character, or an encoding unknown to Python.
    """
    for option, value in (("delimiter", delimiter), ("quote", quote)):
        if value is not None and (len(value) != 1 or value in "\r\n"):
            raise ConfigError(f"{option}: expected one character, got {value!r}")
    with open_bytes(path) as file:
        with reading(path, "a complete gzip file", "fetch it again"):
            data = file.read(_SAMPLE_BYTES)
    marked = _encoding(encoding, data)
    refuse_other_format(path, data, marked)
    encoding = marked or "utf-8"
    text, skipped = _from_first_line(_decoded(path, data, encoding))
    # A line by which Excel says which delimiter follows.
    first, _, rest = text.partition("\n")
    if first.lower().startswith("sep=") and len(first.rstrip("\r")) == 5:
        text, blank = _from_first_line(rest)
        delimiter, skipped = delimiter or first[4], skipped + 1 + blank
    if not text:
        raise DataError(f"{path}: expected records, but the file is empty")
    # A tab first for a file that says it has tabs, where several cut equally well.
    choices = sorted(_DELIMITERS, key=lambda one: one != "\t") if ".tsv" in path.suffixes else _DELIMITERS
    whole = len(data) < _SAMPLE_BYTES
    delimiter = delimiter or max(choices, key=lambda one: _agreement(_sample(text, one, quote, whole)))
    sample = _sample(text, delimiter, quote, whole)
    if not sample:
        raise DataError(
            f"{path}, line {skipped + 1}: expected a record of fields of at most {csv.field_size_limit():,} "
            "characters, got a longer one: end lines with a line feed, close quotes, or say that quotes mean "
            "nothing (--quote none)"
        )
    return Dialect(encoding, delimiter, quote, skipped, sample)


def open_bytes(path: Path) -> IO[bytes]:
    """The bytes of a file, unpacked where it is gzipped, whatever it is called."""
    return unpacked(open(path, "rb"))


def open_text(path: Path, dialect: Dialect) -> IO[str]:
    """The text of a file from its first record on, with its line ends as they are."""
    file = io.TextIOWrapper(open_bytes(path), encoding=dialect.encoding, errors="replace", newline="")
    for _ in range(dialect.skipped_lines):
        file.readline()
    return file


def line_of(path: Path, dialect: Dialect, record: int) -> int:
    """The line on which the record of that number begins, both from 1; empty lines are no records.

    A record may have several lines, so the file is read again, which only an error is worth.
    """
    with open_text(path, dialect) as file:
        reader = records(file, dialect.delimiter, dialect.quote)
        before, count = 0, 0
        try:
            for fields in reader:
                count += bool(fields)
                if count == record:
                    break
                before = reader.line_num
        except csv.Error:  # a field beyond the limit of csv: the record before is as near as it gets
            pass
        return before + 1 + dialect.skipped_lines


def quote_left_open(path: Path, dialect: Dialect) -> bool:
    """Whether the file ends within quotes, so that what looks like its last record holds all that follow."""
    with open_text(path, dialect) as file:
        try:
            for _ in records(file, dialect.delimiter, dialect.quote, strict=True):
                pass
        except csv.Error as error:
            return "unexpected end" in str(error) or "field limit" in str(error)
    return False


def records(text: IO[str], delimiter: str, quote: str | None, *, strict: bool = False) -> CsvReader:
    """Python's own reader, which counts lines: for a sample, and for the place of an error."""
    if quote is None:
        return csv.reader(text, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    return csv.reader(text, delimiter=delimiter, quotechar=quote, strict=strict)


def not_of_encoding(path: Path, line: int, encoding: str, byte: int | None = None) -> DataError:
    """The error of a file that is of another encoding than ``encoding``."""
    came = "" if byte is None else f", got the byte 0x{byte:02x}"
    return DataError(
        f"{path}, line {line}: expected {encoding}{came}: save the file as UTF-8 (Excel: CSV UTF-8), or say "
        "what it is (--encoding cp1252, for example)"
    )


def _encoding(told: str | None, data: bytes) -> str | None:
    """As told, or as a mark says; one that is told of a file with its mark is the one with a mark."""
    for mark, plain, marked in _MARKS:
        if data.startswith(mark):
            try:
                if told is None or codecs.lookup(told) == codecs.lookup(plain):
                    return marked
            except LookupError:  # has its error where it is used
                pass
    return told


def _from_first_line(text: str) -> tuple[str, int]:
    """``text`` without the empty lines it begins with, and how many these are."""
    lines = io.StringIO(text, newline="")
    skipped = place = 0
    for line in lines:
        if line.strip():
            return text[place:], skipped
        skipped, place = skipped + 1, place + len(line)
    return "", skipped


def _decoded(path: Path, data: bytes, encoding: str) -> str:
    try:
        return codecs.getincrementaldecoder(encoding)().decode(data)
    except LookupError as error:
        raise ConfigError(
            f"encoding: expected a name that Python knows, such as cp1252, got {encoding!r}"
        ) from error
    except UnicodeError as error:
        start = getattr(error, "start", 0)
        line = data[:start].count(b"\n") + 1
        raise not_of_encoding(path, line, encoding, data[start]) from error


def _sample(text: str, delimiter: str, quote: str | None, whole: bool) -> tuple[tuple[str, ...], ...]:
    """The first records; the last may be cut, so it is left out where the sample is not the whole file."""
    found: list[tuple[str, ...]] = []
    try:
        for record in records(io.StringIO(text, newline=""), delimiter, quote):
            if record:
                found.append(tuple(record))
            if len(found) > _SAMPLE_RECORDS:
                break
    except csv.Error:  # a field beyond the limit of csv: some quote is open with this delimiter
        pass
    cut = len(found) > _SAMPLE_RECORDS or not whole
    return tuple(found[:-1] if cut and len(found) > 1 else found)


def _agreement(sample: tuple[tuple[str, ...], ...]) -> tuple[float, float]:
    """The shares of records with as many fields as the first, and with the commonest number; of two or more.

    A file whose first record is another than most cannot be read: lists cut at ``|`` in a file of ``;`` whose
    texts hold some ``;`` too.
    """
    widths = [len(record) for record in sample]
    numbers = widths[0] if widths else 0, max(set(widths), key=widths.count, default=0)
    first, common = (widths.count(number) / len(widths) if number > 1 else 0.0 for number in numbers)
    return first, common
