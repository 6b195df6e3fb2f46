"""The one door for data of any kind: files or a folder in, a prepared data set out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from xmc.data.dataset import Dataset
from xmc.data.importers import FORMATS, import_folder
from xmc.data.importers.annif import import_annif
from xmc.data.manifest import MANIFEST_NAME, check_choice
from xmc.data.propensity import Propensity
from xmc.data.tables import TableFiles, TableOptions, import_tables, is_table
from xmc.data.tables.alone import table_alone
from xmc.data.tables.beside import labels_beside
from xmc.data.tables.folder import LOOKS_FOR, has_tables, tables_of, tables_of_folder
from xmc.errors import ConfigError, DataError

__all__ = ["INPUT_FORMATS", "Part", "is_prepared", "prepare"]

_log = logging.getLogger(__name__)

Part = Literal["train", "test", "labels"]
INPUT_FORMATS = ("auto", "tables", "annif", *FORMATS)
"""What :func:`prepare` may be told that its input is."""

_Paths = str | Path | Sequence[str | Path]


def prepare(
    source: _Paths,
    out: str | Path,
    *,
    test: _Paths = (),
    labels: str | Path | None = None,
    part: Part = "train",
    split: float | None = None,
    keep_test: bool = False,
    seed: int = 0,
    options: TableOptions | None = None,
    format: str = "auto",
    language: str | None = None,
    name: str | None = None,
    propensity: Propensity | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Dataset:
    """Make a prepared data set of whatever ``source`` is, or open it where it is one already.

    A folder is one of :data:`xmc.data.importers.FORMATS`, or holds tables: ``clicks.csv`` or ``train.csv``,
    with or without ``test.csv`` and ``products.csv`` or ``labels.csv``, each CSV, TSV, JSON Lines or Parquet.
    Files are tables. Of several, those called test, products or labels are that, and the others hold clicks.
    A single file holds clicks to train on, whatever it is called, unless it is called products or labels and
    has no columns of queries and labels.

    Args:
        source: A folder, a file, several files, or a data set's name on the Hugging Face hub
            (``format="hub"``).
        out: Folder to make; not used where ``source`` is prepared already.
        test: Files of test clicks.
        labels: A table of labels, or a prepared data set whose labels the clicks lead to: for clicks alone.
        part: What the files of ``source`` are, of a folder those of clicks. "test" makes a data set of test
            rows alone, to evaluate a model on; "labels" one of labels alone, to index.
        split: Share of the query texts to hold out as the test split where there is none. Every text is on
            one side, the same one whenever it comes again; see :func:`xmc.data.text_keys.drawn`.
        keep_test: Where ``source`` or ``test`` has test rows, make no split instead of refusing ``split``.
        seed: Of the split.
        options: How tables are read.
        format: One of :data:`INPUT_FORMATS`; auto never goes to the network. With "annif" ``source`` and
            ``test`` are documents with subjects and ``labels`` is their vocabulary; see
            :func:`xmc.data.importers.annif.import_annif`.
        language: Of a vocabulary's labels, "en" by default; with "annif" alone.
        name: Of the data set; default the folder's, or the first file's without its ending.
        propensity: Constants A and B; default by the name, see ``known_propensity``.
        overwrite: Replace the prepared data set at ``out``.
        progress: Show bars.

    Raises:
        DataError: When it cannot be told what ``source`` is, or for bad input, naming file, line and column.
        ConfigError: For options that do not fit ``source``.
        XMCError: When ``out`` is taken and ``overwrite`` is false, or holds anything but a prepared data set.
    """
    check_choice("format", format, INPUT_FORMATS)
    check_choice("part", part, ("train", "test", "labels"))
    paths = _paths(source)
    if len(paths) == 1 and is_prepared(paths[0]):
        only = {"split": split, "test": test, "labels": labels, "part": part != "train"}
        return _opened(paths[0], [*(what for what, value in only.items() if value), *_told(options)])
    if format == "annif":
        return _annif(
            *(paths, out, _paths(test), labels, language or "en"),
            alone=[*_told(options), *(["part"] if part != "train" else [])],
            split=None if keep_test and test else split,
            seed=seed,
            name=name,
            propensity=propensity,
            overwrite=overwrite,
            progress=progress,
        )
    if language is not None:
        raise ConfigError(f"language: expected with format annif alone, got '{language}': leave it out")
    if format == "tables" or (format == "auto" and _are_tables(paths)):
        files = _files(
            *(paths, _paths(test), None if labels is None else Path(labels), part, options or TableOptions())
        )
        if keep_test and files.test:
            split = None
        made = import_tables(
            files,
            out,
            name=name or _name(paths[0]),
            options=options,
            split=split,
            seed=seed,
            propensity=propensity,
            overwrite=overwrite,
            progress=progress,
        )
        if files.labels is None and paths[0].is_file():
            _point_out(paths[0], made)
        return made
    alone = {"test": test, "labels": labels, "part": part != "train"}
    if extra := [*(what for what, value in alone.items() if value), *_told(options)]:
        raise ConfigError(f"{', '.join(extra)}: expected with tables alone, got {source}: leave it out")
    if len(paths) != 1:
        raise DataError(f"expected one folder, or files of tables, got {', '.join(map(str, paths))}")
    return import_folder(
        source if isinstance(source, (str, Path)) else source[0],
        out,
        format=format,
        name=name,
        propensity=propensity,
        split=split,
        keep_test=keep_test,
        seed=seed,
        overwrite=overwrite,
        progress=progress,
    )


def _told(options: TableOptions | None) -> list[str]:
    return [] if options is None else options.told() or ["options"]


def _annif(
    sources: list[Path],
    out: str | Path,
    test: list[Path],
    labels: str | Path | None,
    language: str,
    *,
    alone: list[str],
    split: float | None,
    **given: Any,
) -> Dataset:
    if alone:
        raise ConfigError(f"{', '.join(alone)}: expected with tables alone, got format annif: leave it out")
    if labels is None:
        raise ConfigError("labels: expected the vocabulary of the subjects with format annif, got none")
    if split is not None and test:
        raise ConfigError("split: expected without test documents, got both: leave one out")
    return import_annif(
        sources, out, vocabulary=Path(labels), language=language, test=test, split=split, **given
    )


def is_prepared(path: Path) -> bool:
    """Whether ``path`` is a prepared data set."""
    return (path / MANIFEST_NAME).is_file()


def _opened(path: Path, extra: Sequence[str]) -> Dataset:
    if extra:
        raise ConfigError(
            f"{', '.join(extra)}: expected with files, but {path} is a prepared data set: leave it out, or "
            "import its files again"
        )
    return Dataset.load(path)


def _paths(given: _Paths) -> list[Path]:
    return [Path(given)] if isinstance(given, (str, Path)) else [Path(path) for path in given]


def _are_tables(paths: Sequence[Path]) -> bool:
    if len(paths) != 1 or paths[0].is_file() or is_table(paths[0]):
        return True
    folder = paths[0]
    # What a format of its own reads is its: a train.jsonl beside labels.jsonl knows labels by number, too.
    return folder.is_dir() and has_tables(folder) and not any(one.matches(folder) for one in FORMATS.values())


def _files(
    paths: list[Path], test: list[Path], labels: Path | None, part: Part, options: TableOptions
) -> TableFiles:
    if labels is not None and not labels.is_file() and not is_prepared(labels):
        raise DataError(f"labels: expected a table or a prepared data set, found none at {labels}")
    if part == "labels":
        if len(paths) != 1 or labels is not None or test:
            raise ConfigError("part labels: expected one file of labels and nothing else, got more")
        return _labels_alone(paths[0])
    if len(paths) == 1 and paths[0].is_dir():
        files = tables_of_folder(paths[0])
        if not files.tables():
            raise DataError(f"{paths[0]}: expected {LOOKS_FOR}, found none")
        if part == "test":
            files = _test_alone(files)
    elif part == "test":
        files = TableFiles(test=paths)
    elif len(paths) == 1:
        files = TableFiles(train=paths) if labels else table_alone(paths[0], options)
    else:
        files = tables_of(paths)
    if labels is not None and files.labels is not None:
        raise ConfigError(
            f"labels: expected one table of labels, got {labels} and {files.labels}, which is taken for a "
            "table of labels by its name: leave one, or give a table of clicks another name"
        )
    return replace(files, test=[*files.test, *test], labels=labels or files.labels)


def _labels_alone(path: Path) -> TableFiles:
    files = tables_of_folder(path) if path.is_dir() else TableFiles(labels=path)
    if files.labels is None:
        raise DataError(f"{path}: expected a table of labels, such as products.csv or labels.csv, found none")
    return TableFiles(labels=files.labels)


def _test_alone(files: TableFiles) -> TableFiles:
    """A folder's clicks, whatever they are called, as test clicks."""
    if files.train and files.test:
        raise ConfigError(
            f"part test: expected a folder with clicks of one kind, got {files.train[0].name} and "
            f"{files.test[0].name}: name the files to test on"
        )
    return replace(files, train=(), test=[*files.train, *files.test])


def _point_out(path: Path, made: Dataset) -> None:
    """Say that a table with texts of the labels lies beside a file and is not read."""
    if beside := labels_beside(path, made.uids("labels")[:]):
        _log.warning(
            "%s lies beside %s and is not read: --labels %s takes the labels' texts from it",
            *(beside.name, path.name, path.parent / beside.name),
        )


def _name(path: Path) -> str:
    return path.resolve().name if path.is_dir() else path.name.partition(".")[0]
