"""Importers: one file per source format, and ``import_folder``, which picks the one that fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmc.lazy import lazy_exports

if TYPE_CHECKING:
    from xmc.data.importers.importing import FORMATS, detect_format, import_folder

__all__ = ["FORMATS", "detect_format", "import_folder"]

__getattr__, __dir__ = lazy_exports(
    __name__, dict.fromkeys(("FORMATS", "detect_format", "import_folder"), "xmc.data.importers.importing")
)
