"""What a data set holds: counts, distributions, lengths and an example."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from xmc.data.dataset import Dataset
from xmc.data.facts import TextFacts, num_repeated, text_facts
from xmc.data.leaks import advice, leaked_rows
from xmc.data.manifest import SPLITS, TABLES
from xmc.data.propensity import Propensity

__all__ = ["DatasetInfo", "Distribution", "describe"]

_SHOWN_CHARACTERS = 100


@dataclass(frozen=True)
class Distribution:
    """Mean, median and maximum of some counts; zeros when there are none."""

    mean: float
    median: float
    max: int

    @classmethod
    def of(cls, counts: np.ndarray) -> Distribution:
        """Of int [N]."""
        if len(counts) == 0:
            return cls(0.0, 0.0, 0)
        return cls(float(counts.mean()), float(np.median(counts)), int(counts.max()))

    def __str__(self) -> str:
        """Mean, median and maximum in a line."""
        return f"mean {self.mean:,.2f}, median {self.median:,.0f}, max {self.max:,}"


@dataclass(frozen=True)
class DatasetInfo:
    """Facts of a prepared data set. Shares are fractions, lengths are characters."""

    name: str
    num_train: int
    num_test: int
    num_labels: int
    labels_per_point: dict[str, Distribution]
    """By split; rows without labels count as 0."""
    points_per_label: Distribution
    """Training points, labels without any included."""
    share_of_one_point_labels: float
    labels_without_points: int
    """Labels that no training row has."""
    rows_without_labels: dict[str, int]
    text_lengths: dict[str, Distribution]
    """By table, in characters of the default fields."""
    empty_texts: dict[str, int]
    filter_pairs: dict[str, int]
    folded_duplicates: int
    propensity: Propensity
    ceiling: dict[str, float]
    """The best that any system can expect on the test rows, in percent by metric; empty when unknown."""
    query_fields: tuple[str, ...]
    label_fields: tuple[str, ...]
    repeated_uids: dict[str, int]
    """By split: rows that share their uid with another row."""
    texts: dict[str, TextFacts]
    """By table: what its texts are made of."""
    leaked_test_rows: int
    """Test rows whose text is a training row's, case and white space aside."""
    unseen_labels: int
    """Labels that were held out of training on purpose."""
    advice: list[str]
    """What a measurement or a training run may suffer from, and what to do."""
    fingerprint: str
    label_fingerprint: str
    example: dict[str, Any]
    """A training row: its uid, text and up to ten label texts."""

    def to_json(self) -> str:
        """All facts as a JSON object."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)

    def table(self) -> str:
        """All facts as lines of text for a terminal."""
        lines = [(key, value) for key, value in _table_rows(self)]
        width = max(len(key) for key, _ in lines)
        return "\n".join(f"{key:<{width}}  {value}" for key, value in lines)

    def __str__(self) -> str:
        """The table that ``xmc data info`` prints."""
        return self.table()


def describe(dataset: Dataset) -> DatasetInfo:
    """The facts of ``dataset``; reads the texts in chunks."""
    relevance = {split: dataset.relevance(split) for split in SPLITS}
    labels_of = {split: np.diff(matrix.indptr) for split, matrix in relevance.items()}
    points = np.bincount(relevance["train"].indices, minlength=dataset.num_labels)
    filters = {split: dataset.filter(split) for split in SPLITS}
    texts = {table: text_facts(dataset, table) for table in TABLES}
    num_leaked, unclicked = len(leaked_rows(dataset)), int((points == 0).sum())
    return DatasetInfo(
        name=dataset.name,
        num_train=dataset.num_train,
        num_test=dataset.num_test,
        num_labels=dataset.num_labels,
        labels_per_point={split: Distribution.of(counts) for split, counts in labels_of.items()},
        points_per_label=Distribution.of(points),
        share_of_one_point_labels=float((points == 1).mean()) if len(points) else 0.0,
        labels_without_points=unclicked,
        rows_without_labels={split: int((counts == 0).sum()) for split, counts in labels_of.items()},
        text_lengths={table: Distribution.of(_lengths(dataset, table)) for table in TABLES},
        empty_texts=dict(dataset.manifest.empty_texts),
        filter_pairs={split: 0 if matrix is None else int(matrix.nnz) for split, matrix in filters.items()},
        folded_duplicates=dataset.manifest.folded_duplicates,
        propensity=dataset.propensity,
        ceiling=dataset.ceiling,
        query_fields=dataset.manifest.query_fields,
        label_fields=dataset.manifest.label_fields,
        repeated_uids={split: _repeated(dataset.uids(split)) for split in SPLITS},
        texts={table: facts for table, facts in texts.items()},
        leaked_test_rows=num_leaked,
        unseen_labels=len(dataset.unseen_labels),
        advice=advice(dataset, num_leaked, unclicked - len(dataset.unseen_labels), texts),
        fingerprint=dataset.fingerprint,
        label_fingerprint=dataset.label_fingerprint,
        example=_example(dataset, relevance["train"]),
    )


def _repeated(uids: Iterable[str]) -> int:
    hashes = np.fromiter((hash(uid) for uid in uids), dtype=np.int64)
    return num_repeated(hashes)


def _lengths(dataset: Dataset, table: Any) -> np.ndarray:
    texts = dataset.texts(table)
    return np.fromiter((len(text) for text in texts), dtype=np.int64, count=len(texts))


def _example(dataset: Dataset, relevance: sp.csr_matrix) -> dict[str, Any]:
    rows = np.flatnonzero(np.diff(relevance.indptr))
    if len(rows) == 0:
        return {}
    row = int(rows[0])
    ids = relevance.indices[relevance.indptr[row] : relevance.indptr[row + 1]][:10]
    return {
        "uid": dataset.uids("train")[row],
        "text": dataset.texts("train")[row],
        "labels": dataset.texts("labels")[ids],
    }


def _table_rows(info: DatasetInfo) -> list[tuple[str, str]]:
    rows = [
        ("data set", info.name),
        ("training rows", f"{info.num_train:,} ({info.rows_without_labels['train']:,} without labels)"),
        ("test rows", f"{info.num_test:,} ({info.rows_without_labels['test']:,} without labels)"),
        ("labels", f"{info.num_labels:,} ({info.labels_without_points:,} without a training point)"),
        *((f"labels per point, {split}", str(counts)) for split, counts in info.labels_per_point.items()),
        ("training points per label", str(info.points_per_label)),
        ("labels with one point", f"{100 * info.share_of_one_point_labels:.1f} %"),
        *((f"characters, {table}", str(counts)) for table, counts in info.text_lengths.items()),
        ("empty texts", _counted(info.empty_texts)),
        ("filter pairs", _counted(info.filter_pairs)),
        ("rows of one uid", _counted(info.repeated_uids)),
        ("repeated labels folded", f"{info.folded_duplicates:,}"),
        ("propensity", f"A {info.propensity.a}, B {info.propensity.b}"),
        ("a query's text", " + ".join(info.query_fields)),
        ("a label's text", " + ".join(info.label_fields)),
        *(("note", note) for facts in info.texts.values() for note in facts.notes()),
        *(("advice", line) for line in info.advice),
        ("fingerprint", f"{info.fingerprint} (labels {info.label_fingerprint})"),
    ]
    if info.unseen_labels:
        rows.insert(4, ("unseen labels", f"{info.unseen_labels:,} held out of training on purpose"))
    if info.ceiling:
        best = ", ".join(f"{metric} {value:.2f}" for metric, value in info.ceiling.items())
        rows.append(("best possible", f"{best} % (expected; chance moves a measured one)"))
    if info.example:
        rows.append(("example query", _short(info.example["text"])))
        rows += [("  has label", _short(text)) for text in info.example["labels"]]
    return rows


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in counts.items())


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARACTERS else line[: _SHOWN_CHARACTERS - 1] + "…"
