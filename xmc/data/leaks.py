"""Test queries whose text is a training query's too, and what to do about this and the like."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xmc.counted import agreeing, counted
from xmc.data.case_twins import case_twins
from xmc.data.dataset import Dataset
from xmc.data.facts import TextFacts, text_facts
from xmc.data.label_names import label_names
from xmc.data.manifest import TABLES, Table
from xmc.data.text_keys import text_hashes

__all__ = ["advice", "advice_on", "advice_on_names", "leaked_rows"]


def leaked_rows(dataset: Dataset) -> np.ndarray:
    """The test rows whose text a training row has, case and white space aside: int64 [n], ascending.

    A model may know their labels by heart. Reads both splits' texts once and keeps 8 bytes of each; texts
    that are empty are of no account.
    """
    train, test = (text_hashes(dataset.texts(split)) for split in ("train", "test"))
    empty = text_hashes([""])
    return np.flatnonzero(np.isin(test, np.setdiff1d(train, empty))).astype(np.int64)


def advice(dataset: Dataset, num_leaked: int, unclicked: int, texts: Mapping[Table, TextFacts]) -> list[str]:
    """A sentence for each thing that a measurement or a training run may suffer from, with what to do.

    Args:
        dataset: What it is about.
        num_leaked: How many rows :func:`leaked_rows` gives.
        unclicked: Labels that no training row has.
        texts: Facts of each table.
    """
    lines = []
    if num_leaked:
        lines.append(
            f"{num_leaked:,} of {dataset.num_test:,} test queries {agreeing(num_leaked, 'has', 'have')} the "
            "text of a training query, which flatters every metric: import all rows as training rows with "
            "--split, which keeps a text on one side"
        )
    if not dataset.num_test and dataset.num_train:
        lines.append(
            "no test rows to evaluate on: import again with --split 0.1, or with a file of test rows"
        )
    if texts["train"].num_repeated:
        tables = any(source.get("format") == "tables" for source in dataset.manifest.sources)
        way = (
            "their query_uid tells them apart, and without that column they become one"
            if tables
            else "a table of clicks (CSV, TSV) makes one of them"
        )
        lines.append(f"training queries of one text are several rows: {way}, with all their labels")
    if unclicked and dataset.num_train:
        lines.append(
            f"{unclicked:,} of {counted(dataset.num_labels, 'label')} "
            + agreeing(
                unclicked,
                "has no training row: it is found by its text alone, so see that it says what it is",
                "have no training row: they are found by their text alone, so see that it says what they are",
            )
        )
    if texts["labels"].num_repeated:
        lines.append(
            "labels of one text cannot be told apart by it: merge them, give them a content, or learn a "
            "vector for each (residuals.enabled)"
        )
    twins = case_twins(dataset)
    if twins.example:
        lines.append(
            f"{twins.num_labels:,} labels differ from another in case or white space alone, such as "
            f"{twins.example[0]!r:.60} and {twins.example[1]!r:.60}, and are learned apart: if they mean the "
            "same, write each in one way in the files and import again"
        )
    return lines + advice_on_names(dataset)


def advice_on_names(dataset: Dataset) -> list[str]:
    """What the names of labels tell that clicks alone name; what to do about it, best before a training."""
    names = label_names(dataset)
    if names.separator is not None:
        shown = "'tab'" if names.separator == "\t" else repr(names.separator)
        return [
            f"labels such as {names.example!r:.60} seem to be several in one: if they are, import again with "
            f"--columns labels=COLUMN --separator {shown}"
        ]
    if names.num_numbers:
        return [
            f"{names.num_numbers:,} of {counted(dataset.num_labels, 'label')} "
            f"{agreeing(names.num_numbers, 'is a number', 'are numbers')} such as "
            f"{names.example!r}, from which a model of texts learns little: give a table of what they are "
            "with --labels, or a vector for each (residuals.enabled in a recipe)"
        ]
    return []


def advice_on(dataset: Dataset) -> list[str]:
    """:func:`advice` on a data set, of which all texts are read."""
    clicked = len(np.unique(dataset.relevance("train").indices))
    unclicked = dataset.num_labels - clicked - len(dataset.unseen_labels)
    texts = {table: text_facts(dataset, table) for table in TABLES}
    return advice(dataset, len(leaked_rows(dataset)), unclicked, texts)
