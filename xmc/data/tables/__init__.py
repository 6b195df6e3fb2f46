"""Tables of clicks and of labels as people have them: CSV, TSV, JSON Lines, Parquet."""

from __future__ import annotations

from xmc.data.tables.columns import Columns
from xmc.data.tables.import_tables import TableFiles, TableOptions, import_tables
from xmc.data.tables.source import TextOptions
from xmc.data.tables.sources import is_table, stem

__all__ = [
    "Columns",
    "TableFiles",
    "TableOptions",
    "TextOptions",
    "import_tables",
    "is_table",
    "stem",
]
