"""Data sets made on the spot: from what is on the machine, or drawn from a known law."""

from __future__ import annotations

from xmc.corpora.api_docs import build_api_docs
from xmc.corpora.debian import build_debian
from xmc.corpora.synthetic import Law, build_synthetic

CORPORA = {"api-docs": build_api_docs, "debian": build_debian}
"""Builders by the name that `xmc data build` knows them by; each takes the folder and ``overwrite``."""

__all__ = ["CORPORA", "Law", "build_api_docs", "build_debian", "build_synthetic"]
