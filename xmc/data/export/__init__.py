"""A prepared data set as files that other tools read: one file per format."""

from __future__ import annotations

from xmc.data.export.export import EXPORT_FORMATS, export

__all__ = ["EXPORT_FORMATS", "export"]
