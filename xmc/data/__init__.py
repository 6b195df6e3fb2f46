"""Prepared data sets: texts, relevance, filters and token stores on disk, and how they are made.

A data set is a folder that :class:`DatasetWriter` writes (through ``import_folder`` for existing files, or a
built-in corpus) and :class:`Dataset` opens lazily: texts as memory-mapped Arrow tables, relevance and filters
as CSR [N, L]. :class:`TokenStore` keeps the token ids of its texts. This room knows nothing of models.
The names are imported on first use: reading a table needs no sparse matrices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmc.lazy import lazy_exports

if TYPE_CHECKING:
    from xmc.data.dataset import Dataset
    from xmc.data.facts import TextFacts, text_facts
    from xmc.data.importers import import_folder
    from xmc.data.info import DatasetInfo, describe
    from xmc.data.preparing import prepare
    from xmc.data.propensity import (
        Propensity,
        describe_propensity,
        inverse_propensity,
        known_propensity,
    )
    from xmc.data.splits import labelled_rows, train_validation_split
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

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Dataset": "xmc.data.dataset",
        "DatasetInfo": "xmc.data.info",
        "DatasetWriter": "xmc.data.writer",
        "Propensity": "xmc.data.propensity",
        "TextColumn": "xmc.data.texts",
        "TextFacts": "xmc.data.facts",
        "TokenRows": "xmc.data.tokens",
        "TokenStore": "xmc.data.tokens",
        "describe": "xmc.data.info",
        "describe_propensity": "xmc.data.propensity",
        "import_folder": "xmc.data.importers",
        "inverse_propensity": "xmc.data.propensity",
        "known_propensity": "xmc.data.propensity",
        "labelled_rows": "xmc.data.splits",
        "prepare": "xmc.data.preparing",
        "text_facts": "xmc.data.facts",
        "train_validation_split": "xmc.data.splits",
    },
)
