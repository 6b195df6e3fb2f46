"""How much is read of files that others made: far above what real data needs, far below what fills a machine.

The largest public sets have 3 million labels, texts of 100,000 characters (0.4 MB in UTF-8, 1.2 MB as JSON
escapes) and rows of 10,000 labels (0.3 MB as text). Nothing here bounds how many lines, rows or labels a file
has: memory then grows with the file, not beyond it.
"""

from __future__ import annotations

__all__ = [
    "MAX_DEPTH",
    "MAX_DOCUMENT_BYTES",
    "MAX_FOLDER_ENTRIES",
    "MAX_IDS",
    "MAX_LINE_BYTES",
    "MAX_LIST",
    "MAX_RATIO",
    "MAX_YAML_BYTES",
    "MAX_YAML_VALUES",
    "UNPACKED_ARRAY_BYTES",
    "UNPACKED_TEXT_BYTES",
]

MAX_LINE_BYTES = 16 << 20
"""Of a line of text, or one text of a table: ten times the longest above. Parsed as JSON, 16 MB of the worst
kind take 0.5 GB."""

MAX_DOCUMENT_BYTES = 64 << 20
"""Of a JSON file that is read whole: a manifest, a run's state or result, a module's configuration. They have
kilobytes."""

MAX_DEPTH = 50
"""Levels of nesting in a YAML file; ours have four. JSON ends at Python's own limit, some thousands."""

MAX_YAML_BYTES = 64 << 10
"""Of a recipe, which has 5 kB with every option: the parser reads some 50 kB a second."""

MAX_YAML_VALUES = 5_000
"""Values of a recipe, which has some 100, with its aliases written out: nine lines of them can stand for a
billion."""

MAX_RATIO = 100
"""Times its size that a packed file may unpack to. Text packs 3 to 20 times, sparse matrices up to 10; a bomb
1,000. The same line or row again and again packs as well as a bomb: it is read once it is unpacked."""

UNPACKED_TEXT_BYTES = 512 << 10
"""That a packed text may unpack to whatever its size: an empty line may become a label, at 160 bytes."""

UNPACKED_ARRAY_BYTES = 256 << 20
"""As above, of arrays, which take no more in memory than unpacked."""

MAX_IDS = (1 << 31) - 1
"""Rows or labels of a data set: ids are int32."""

MAX_LIST = 1 << 20
"""Predictions of one query, or as many as there are labels where those are more."""

MAX_FOLDER_ENTRIES = 100_000
"""Files and folders in a model's folder, or in one that Hugging Face's ``datasets`` saved."""
