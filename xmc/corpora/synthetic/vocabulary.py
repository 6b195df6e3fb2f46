"""Word numbers of the synthetic data set: title words, their aliases, fillers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xmc.corpora.synthetic import words

__all__ = ["ABSENT", "CORE", "FACETS", "Vocabulary", "join_words", "make_vocabulary"]

ABSENT = -1
"""Stands where a text leaves a word out."""

FACETS = (words.BRANDS, words.LINES, words.MATERIALS, words.NOUNS, words.FINISHES, words.COLOURS)
CORE = 4
"""The first four facets name a family; finish and colour tell its members apart."""


@dataclass(frozen=True)
class Vocabulary:
    """Title words have numbers 0..T-1 (facet after facet), their aliases T..2T-1, fillers follow."""

    words: list[str]
    num_title_words: int
    """T."""
    facet_start: np.ndarray
    """int64 [6]: the number of each facet's first word."""


def make_vocabulary(seed: int) -> Vocabulary:
    """The words of the data set; the seed decides which alias stands for which title word."""
    title = [word for facet in FACETS for word in facet]
    drawn = np.argsort(np.random.default_rng([seed, 0]).random(len(words.ALIASES)))
    aliases = [words.ALIASES[i] for i in drawn[: len(title)]]
    sizes = [len(facet) for facet in FACETS]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    return Vocabulary([*title, *aliases, *words.FILLERS], len(title), starts)


def join_words(vocabulary: list[str], numbers: np.ndarray) -> list[str]:
    """Texts out of word numbers [N, W], those ``ABSENT`` left out."""
    lookup = [*vocabulary, ""]  # ABSENT, -1, finds the last
    return [" ".join(filter(None, map(lookup.__getitem__, row))) for row in numbers.tolist()]
