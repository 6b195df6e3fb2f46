"""Data sets made on the spot from what is on the machine."""

from __future__ import annotations

from xmc.data.corpora.api_docs import build_api_docs

CORPORA = {"api-docs": build_api_docs}
"""Builders by the name that `xmc data build` knows them by; each takes the folder and ``overwrite``."""

__all__ = ["CORPORA", "build_api_docs"]
