"""Clicks and labels in tables, made into a prepared data set."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp

from xmc.data.dataset import Dataset
from xmc.data.importers.formats import file_facts
from xmc.data.manifest import Split, check_place
from xmc.data.propensity import Propensity
from xmc.data.tables.clicks import Clicks, UnknownLabels, read_clicks
from xmc.data.tables.columns import Columns
from xmc.data.tables.labels import LabelTexts, dataset_labels, table_labels
from xmc.data.tables.own_labels import OwnLabels, pairs_to_filter, remembered
from xmc.data.tables.source import TextOptions
from xmc.data.text_keys import check_share, drawn
from xmc.data.writer import DatasetWriter
from xmc.errors import ConfigError, DataError

__all__ = ["TableFiles", "TableOptions", "import_tables"]

_log = logging.getLogger(__name__)

_BY_NAME = "taken for a table of labels by its name"


@dataclass(frozen=True)
class TableFiles:
    """Which tables make a data set; any of them may be missing, but not all."""

    train: Sequence[Path] = ()
    test: Sequence[Path] = ()
    labels: Path | None = None
    """A table of labels or a prepared data set, whose labels are then these."""
    by_name: bool = False
    """Whether ``labels`` is that by its name, and not as told."""

    def tables(self) -> list[Path]:
        """Every file that is a table."""
        labels = [self.labels] if self.labels is not None and self.labels.is_file() else []
        return [*labels, *self.train, *self.test]


@dataclass(frozen=True)
class TableOptions:
    """How tables are read, where they do not tell by themselves.

    Of a table of labels beside clicks the columns alone are told here; one that needs more is imported on its
    own, and then named as a data set.
    """

    columns: Columns = field(default_factory=Columns)
    text: TextOptions = field(default_factory=TextOptions)
    header: bool | None = None
    """Whether a CSV file begins with one; None to see."""
    separator: str | None = None
    """Between labels in one field; "|" where a column is a list."""
    unknown: UnknownLabels | None = None
    """What becomes of clicks on labels that their table has not: "refuse" where there is a table."""
    weights: Literal["sum", "one"] = "sum"
    """A pair's relevance: its clicks' number or sum of weights, or 1."""
    own_label: OwnLabels = "auto"
    """A label that is the query itself, as of related items: left out of training and rankings, or kept."""

    def told(self) -> list[str]:
        """Names of the options that are not as by default."""
        return [one for one, value in vars(self).items() if value != getattr(TableOptions(), one)]


def import_tables(
    files: TableFiles,
    out: str | Path,
    *,
    name: str,
    options: TableOptions | None = None,
    split: float | None = None,
    seed: int = 0,
    propensity: Propensity | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Dataset:
    """Read clicks and labels and write them, whole or not at all, as a prepared data set to ``out``.

    Args:
        files: Clicks to train on, clicks to test on, labels.
        out: Folder to make.
        name: Of the data set.
        options: Columns, delimiter and the like.
        split: Share of the query texts that is held out of the clicks to train on, as the test split. All
            clicks of a text go to one side; which one, its hash and ``seed`` decide
            (:func:`xmc.data.text_keys.drawn`), so that it stays there as clicks are added.
        seed: Of the split.
        propensity: Constants A and B; default by the name, see ``known_propensity``.
        overwrite: Replace the prepared data set at ``out``.
        progress: Show bars.

    Raises:
        DataError: For bad input, naming file, line and column.
        ConfigError: For a split that cannot be made, or unknown labels where there is no table of known ones.
        XMCError: When ``out`` is taken.
    """
    options = options or TableOptions()
    check_place(out, overwrite=overwrite)
    if split is not None:
        check_share("split", split)
        if files.by_name and not files.train and not files.test:
            raise DataError(f"expected clicks to train on, but {_taken_for_labels(files)}")
        if files.test or not files.train:
            raise ConfigError(
                "split: expected clicks to train on and no file of test clicks, as one of them is split: "
                "leave it out"
            )
    if options.unknown is not None and files.labels is None:
        raise ConfigError(
            f"unknown: expected with a table of labels, got {options.unknown!r} without one, where labels "
            "are those that clicks name: name the table (labels), or leave it out"
        )
    if options.own_label == "filter" and not files.train and not files.test:
        raise ConfigError("own_label: expected with clicks, got 'filter' with labels alone: leave it out")
    if files.by_name and not files.train and not files.test:
        _log.warning("no training rows: %s", _taken_for_labels(files))
    labels = _labels(files, options, progress)
    unknown = options.unknown or ("add" if files.labels is None else "refuse")
    parts = {"train": list(files.train), "test": list(files.test)}
    clicks = {
        part: read_clicks(
            paths,
            labels,
            options.columns,
            options.text,
            header=options.header,
            separator=options.separator,
            unknown=unknown,
            progress=progress,
        )
        for part, paths in parts.items()
        if paths
    }
    for part, folded in clicks.items():
        _tell(parts[part], folded)
    relevance = {part: folded.relevance(len(labels)) for part, folded in clicks.items()}
    choice = _own_label(files, options.own_label)
    read = _names([*files.train, *files.test])
    own = pairs_to_filter(read, clicks, relevance, labels, choice) if clicks else None
    made: dict[str, Any] = {"format": "tables"}
    if own is not None or choice == "keep":
        made["own_label"] = "keep" if own is None else "filter"
    if split is not None:
        made |= {"split": split, "seed": seed}
    writer = DatasetWriter(
        out,
        name=name,
        propensity=propensity,
        sources=[made, *file_facts(files.tables())],
        overwrite=overwrite,
    )
    writer.query_columns = next((c.query_columns for c in clicks.values() if c.query_columns), {})
    with writer:
        for uid, title, content in labels:
            writer.add_label(uid, title, content)
        for part, folded in clicks.items():
            texts = (f"{title} {content}" for _, title, content in folded.texts)
            tested = drawn(texts, split, seed) if split else np.full(len(folded.texts), part == "test")
            _write(writer, folded, tested, relevance[part], (own or {}).get(part), options.weights)
    return Dataset.load(out)


def _own_label(files: TableFiles, choice: OwnLabels) -> OwnLabels:
    """What is wanted; of clicks on the labels of a data set by default what was done there."""
    if choice == "auto" and files.labels is not None and files.labels.is_dir():
        before = remembered(Dataset.load(files.labels).manifest.sources)
        if before is not None and (files.train or files.test):
            names = _names([*files.train, *files.test])
            _log.info("%s: --own-label %s, as in the data set %s", names, before, files.labels)
            return before
    return choice


def _labels(files: TableFiles, options: TableOptions, progress: bool) -> LabelTexts:
    path = files.labels
    if path is None:
        return LabelTexts("the clicks")
    if path.is_dir():
        return dataset_labels(Dataset.load(path))
    alone = not files.train and not files.test  # else how files are written is told of the clicks
    text, header = (options.text, options.header) if alone else (TextOptions(), None)
    try:
        labels = table_labels(path, options.columns, text, header=header, progress=progress)
    except DataError as error:
        if not files.by_name:
            raise
        raise DataError(f"{error}; {_taken_for_labels(files)}") from error
    if files.by_name:
        labels.where += f" ({_BY_NAME})"
    return labels


def _taken_for_labels(files: TableFiles) -> str:
    """That a table is taken for labels, and what to do where it holds clicks."""
    assert files.labels is not None
    return (
        f"{files.labels.name} is {_BY_NAME}: if its rows are clicks, name that file alone and say which "
        "columns are what (--columns query=NAME label=NAME), or give it another name"
    )


def _write(
    writer: DatasetWriter,
    clicks: Clicks,
    tested: np.ndarray,
    relevance: sp.csr_matrix,
    own: np.ndarray | None,
    weights: Literal["sum", "one"],
) -> None:
    for row, (uid, title, content) in enumerate(clicks.texts):
        side: Split = "test" if tested[row] else "train"
        pairs = slice(relevance.indptr[row], relevance.indptr[row + 1])
        ids = relevance.indices[pairs].tolist()
        values = relevance.data[pairs].tolist() if weights == "sum" else None
        name = str(writer.num_rows(side)) if uid is None else uid
        place = writer.add_row(side, name, title, content, ids, values)
        if own is not None and own[row] >= 0:
            writer.add_filter(side, place, int(own[row]))


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(path.name for path in paths)


def _tell(paths: Sequence[Path], clicks: Clicks) -> None:
    """Say what became of the rows, or refuse tables without a click."""
    names = _names(paths)
    for why, count in clicks.left_out.items():
        _log.warning(
            "%s: left out %s: %s (the first: %s)", names, why, f"{count:,}", clicks.first_left_out[why]
        )
    if not clicks.num_clicks:
        raise DataError(f"{names}: expected at least one click with a query and a label, got none")
    pairs = clicks.num_pairs()
    _log.info(
        "%s: clicks %s, different queries %s, clicks that came again and are added to their pair %s",
        *(names, f"{clicks.num_clicks:,}", f"{len(clicks.texts):,}", f"{clicks.num_clicks - pairs:,}"),
    )
