"""Data sets made on the spot: from what is on the machine, or drawn from a known law."""

from __future__ import annotations

from collections.abc import Callable

from xmc.corpora.api_docs import build_api_docs
from xmc.corpora.debian import build_debian
from xmc.corpora.hpo import build_hpo
from xmc.corpora.synthetic import Law, build_synthetic
from xmc.corpora.wordnet import build_wordnet
from xmc.data.dataset import Dataset

CORPORA: dict[str, Callable[..., Dataset]] = {
    "api-docs": build_api_docs,
    "debian": build_debian,
    "hpo": build_hpo,
    "wordnet": build_wordnet,
}
"""Builders by the name that `xmc data build` knows them by; each takes the folder and ``overwrite``."""

__all__ = [
    "CORPORA",
    "Law",
    "build_api_docs",
    "build_debian",
    "build_hpo",
    "build_synthetic",
    "build_wordnet",
]
