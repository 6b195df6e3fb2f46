"""The files of Annif, the toolkit of libraries that tag by subject: vocabularies, documents with subjects."""

from __future__ import annotations

from xmc.data.importers.annif.import_annif import import_annif

__all__ = ["import_annif"]
