"""Importers: one file per source format, and ``import_folder``, which picks the one that fits."""

from __future__ import annotations

from xmc.data.importers.import_folder import FORMATS, detect_format, import_folder

__all__ = ["FORMATS", "detect_format", "import_folder"]
