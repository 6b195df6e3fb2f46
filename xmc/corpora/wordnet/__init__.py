"""``wordnet``: the relations, or the words, of WordNet's own files."""

from __future__ import annotations

from xmc.corpora.wordnet.build import VARIANTS, build_wordnet

__all__ = ["VARIANTS", "build_wordnet"]
