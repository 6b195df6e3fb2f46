"""Tables of clicks and of labels as people have them: CSV, TSV, JSON Lines, Parquet.

The names are imported on first use: to read queries takes no sparse matrices, and plain text no pyarrow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmc.lazy import lazy_exports

if TYPE_CHECKING:
    from xmc.data.tables.columns import Columns
    from xmc.data.tables.importing import TableFiles, TableOptions, import_tables
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

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Columns": "xmc.data.tables.columns",
        **dict.fromkeys(("TableFiles", "TableOptions", "import_tables"), "xmc.data.tables.importing"),
        "TextOptions": "xmc.data.tables.source",
        **dict.fromkeys(("is_table", "stem"), "xmc.data.tables.sources"),
    },
)
