"""The file of what teachers say of a data set's training queries: Parquet, a row a query, written in blocks.

Columns: ``labels``, the ids of the query's candidates in ascending order, and ``probabilities``, above 0,
which add up to at most 1; what is missing to 1 is that of all other labels together. The schema's metadata
says whose they are. Pages carry checksums, which are checked as they are read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp

from xmc.data import Dataset
from xmc.errors import ConfigError, DataError
from xmc.files import atomic_file, fingerprint
from xmc.limits import MAX_IDS
from xmc.received import reading
from xmc.typed import from_plain

__all__ = ["TeacherFacts", "TeacherFile", "TeacherWriter", "write_teachers"]

FORMAT_VERSION = 1
KEY = b"xmc.teachers"
SLACK = 1e-4
"""What rounding may add to the sum of a row's probabilities."""
_READ_ROWS = 4096
_EXPECTED = "a file of teachers' probabilities (xmc distill writes one)"
_SCHEMA = pa.schema([("labels", pa.list_(pa.int32())), ("probabilities", pa.list_(pa.float32()))])


@dataclass(frozen=True)
class TeacherFacts:
    """Whose probabilities a file has, and of what.

    Attributes:
        dataset: The name of the data set.
        dataset_fingerprint: Of its rows, labels and relevance.
        num_rows: N training queries.
        num_labels: L.
        teachers: What each was called.
        fingerprints: What each was: its weights, or its file.
        top: Candidates that each teacher proposed for a query.
        sampled: Candidates that were drawn for it.
        temperature: What the teachers' scores were divided by.
        seed: Of the draw.
    """

    dataset: str
    dataset_fingerprint: str
    num_rows: int
    num_labels: int
    teachers: tuple[str, ...]
    fingerprints: tuple[str, ...]
    top: int
    sampled: int
    temperature: float = 1.0
    seed: int = 0
    format_version: int = FORMAT_VERSION

    @property
    def fingerprint(self) -> str:
        """Names what decides the content; not what the teachers were called."""
        values = {name: value for name, value in asdict(self).items() if name not in ("teachers", "dataset")}
        return fingerprint(json.dumps(values, sort_keys=True))


@dataclass(frozen=True)
class TeacherFile:
    """A file of teachers' probabilities that is there.

    Attributes:
        path: Where.
        facts: What it says of itself.
        num_pairs: Candidates of all rows together, a row without any counted as one.
    """

    path: Path
    facts: TeacherFacts
    num_pairs: int

    @classmethod
    def open(cls, path: str | Path) -> TeacherFile:
        """Read what the file says of itself; its rows are read by :meth:`blocks`.

        Raises:
            DataError: When there is no such file, or it is no file of teachers.
        """
        path = Path(path)
        if not path.is_file():
            raise DataError(f"{path}: expected {_EXPECTED}, found no such file")
        with reading(path, _EXPECTED), pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            if not schema.equals(_SCHEMA) or KEY not in (schema.metadata or {}):
                raise ValueError(f"it has the columns {', '.join(schema.names)}")
            values = json.loads(schema.metadata[KEY])
            if values.get("format_version") != FORMAT_VERSION:
                raise ValueError(f"its version is {values.get('format_version')!r:.40}: update xmc")
            facts = from_plain(TeacherFacts, values)
            if file.metadata.num_rows != facts.num_rows or facts.num_labels > MAX_IDS:
                raise ValueError(f"it has {file.metadata.num_rows} rows, and says {facts.num_rows}")
            groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
            return cls(path, facts, sum(group.column(0).num_values for group in groups))

    @classmethod
    def of(cls, path: str | None, dataset: Dataset) -> TeacherFile | None:
        """The file that a recipe names, for its data set; None where it names none.

        Raises:
            ConfigError: When its queries, labels or relevance are others.
            DataError: As :meth:`open`.
        """
        if path is None:
            return None
        found = cls.open(path)
        if found.facts.dataset_fingerprint != dataset.fingerprint:
            raise ConfigError(
                f"distillation.teachers: expected probabilities for {dataset.name} "
                f"({dataset.fingerprint[:16]}), got those of {path} for {found.facts.dataset} "
                f"({found.facts.dataset_fingerprint[:16]}): run xmc distill on this data set"
            )
        return found

    def blocks(self) -> Iterator[tuple[int, sp.csr_matrix]]:
        """Some thousand rows at a time: the first row's number, and CSR float32 [n, L] of probabilities.

        Raises:
            DataError: When the file is damaged, or a row is no distribution over labels; the text names it.
        """
        start = 0
        with reading(self.path, _EXPECTED):
            file = pq.ParquetFile(self.path, page_checksum_verification=True)
        with file:
            batches = file.iter_batches(batch_size=_READ_ROWS)
            while True:
                with reading(self.path, _EXPECTED):
                    batch = next(batches, None)
                    if batch is None:
                        return
                    batch.validate(full=True)
                    part = _as_csr(batch, self.facts.num_labels, start)
                yield start, part
                start += batch.num_rows


def _as_csr(batch: pa.RecordBatch, num_labels: int, start: int) -> sp.csr_matrix:
    labels, starts = _flat(batch.column("labels"))
    probabilities, others = _flat(batch.column("probabilities"))
    if not np.array_equal(starts, others):
        raise ValueError(f"from row {start} on there are not as many probabilities as labels")
    owners = np.repeat(np.arange(batch.num_rows), np.diff(starts))

    def refuse(wrong: np.ndarray, text: str) -> None:
        if wrong.any():
            raise ValueError(f"row {start + int(owners[np.argmax(wrong)])}: {text}")

    refuse((labels < 0) | (labels >= num_labels), f"a label id is not in [0, {num_labels})")
    rising = np.append(labels[1:] > labels[:-1], True) | np.append(owners[1:] != owners[:-1], True)
    refuse(~rising, "label ids do not ascend")
    refuse(~((probabilities > 0) & (probabilities <= 1 + SLACK)), "a probability is not in (0, 1]")
    sums = np.bincount(owners, probabilities, minlength=batch.num_rows)
    refuse((sums > 1 + SLACK)[owners], "the probabilities add up to more than 1")
    return sp.csr_matrix((probabilities, labels, starts), shape=(batch.num_rows, num_labels))


def _flat(column: Any) -> tuple[np.ndarray, np.ndarray]:
    """The values of lists one after another, and where each list begins: [m] and [n + 1]."""
    if column.null_count or column.values.null_count:
        raise ValueError("a value is missing")
    offsets = column.offsets.to_numpy(zero_copy_only=False).astype(np.int64)
    values = column.values.to_numpy(zero_copy_only=False)[offsets[0] : offsets[-1]]
    return values, offsets - offsets[0]


class TeacherWriter:
    """Takes rows block by block, in order; see `write_teachers`."""

    def __init__(self, file: pq.ParquetWriter, schema: pa.Schema) -> None:
        self._file, self._schema = file, schema
        self.num_rows = self.num_pairs = 0

    def add(self, probabilities: sp.csr_matrix) -> None:
        """The next rows: CSR [n, L], sorted labels, no probability of 0."""
        starts = pa.array(probabilities.indptr.astype(np.int32), pa.int32())
        columns = [
            pa.ListArray.from_arrays(starts, pa.array(values, kind))
            for values, kind in (
                (probabilities.indices.astype(np.int32), pa.int32()),
                (probabilities.data.astype(np.float32), pa.float32()),
            )
        ]
        self._file.write_batch(pa.record_batch(columns, schema=self._schema))
        self.num_rows += probabilities.shape[0]
        self.num_pairs += probabilities.nnz


@contextmanager
def write_teachers(path: str | Path, facts: TeacherFacts) -> Iterator[TeacherWriter]:
    """Write a file of teachers, which appears whole when the block of code ends, or not at all.

    Raises:
        DataError: When other than ``facts.num_rows`` rows were added.
    """
    schema = _SCHEMA.with_metadata({KEY: json.dumps(asdict(facts)).encode()})
    with atomic_file(path) as temporary:
        with pq.ParquetWriter(temporary, schema, write_page_checksum=True) as file:
            writer = TeacherWriter(file, schema)
            yield writer
        if writer.num_rows != facts.num_rows:
            raise DataError(f"{path}: expected {facts.num_rows} rows of teachers, got {writer.num_rows}")
