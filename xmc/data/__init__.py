"""Prepared data sets: texts, relevance, filters and token stores on disk, and how they are made.

A data set is a folder that :class:`DatasetWriter` writes (through ``import_folder`` for existing files, or a
built-in corpus) and :class:`Dataset` opens lazily: texts as memory-mapped Arrow tables, relevance and filters
as CSR [N, L]. :class:`TokenStore` keeps the token ids of its texts. This room knows nothing of models.
"""

from __future__ import annotations

from xmc.data.dataset import Dataset
from xmc.data.importers import import_folder
from xmc.data.info import DatasetInfo, describe
from xmc.data.prepare import prepare
from xmc.data.propensity import (
    Propensity,
    describe_propensity,
    inverse_propensity,
    known_propensity,
)
from xmc.data.splits import labelled_rows, train_validation_split
from xmc.data.text_facts import TextFacts, text_facts
from xmc.data.texts import TextColumn
from xmc.data.tokens import TokenRows, TokenStore
from xmc.data.writer import DatasetWriter

__all__ = [
    "Dataset",
    "DatasetInfo",
    "DatasetWriter",
    "Propensity",
    "TextColumn",
    "TextFacts",
    "TokenRows",
    "TokenStore",
    "describe",
    "describe_propensity",
    "import_folder",
    "inverse_propensity",
    "known_propensity",
    "labelled_rows",
    "prepare",
    "text_facts",
    "train_validation_split",
]
