"""Word numbers of the synthetic data set: title words, their aliases, fillers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import numpy as np

from xmc.corpora.synthetic import words

__all__ = [
    "ABSENT",
    "CORE",
    "FACETS",
    "LINE",
    "MAX_NAMES",
    "Vocabulary",
    "facet_sizes",
    "join_words",
    "make_vocabulary",
]

ABSENT = -1
"""Stands where a text leaves a word out."""

FACETS = (words.BRANDS, words.LINES, words.MATERIALS, words.NOUNS, words.FINISHES, words.COLOURS)
CORE = 4
"""The first four facets name a family; finish and colour tell its members apart."""

LINE = 1
"""The facet that made-up names take the place of."""

MAX_NAMES = 30_000
_SYLLABLES = [consonant + vowel for consonant in "bdfgjklmnprstvz" for vowel in "aeiou"]


@dataclass(frozen=True)
class Vocabulary:
    """Title words have numbers 0..T-1 (facet after facet), their aliases T..2T-1, fillers follow."""

    words: list[str]
    num_title_words: int
    """T."""
    facet_start: np.ndarray
    """int64 [6]: the number of each facet's first word."""


def facet_sizes(names: int = 0) -> tuple[int, ...]:
    """How many words each of the six facets has, with ``names`` made-up lines where there are any."""
    sizes = [len(facet) for facet in FACETS]
    return (sizes[0], names or sizes[LINE], *sizes[LINE + 1 :])


def make_vocabulary(seed: int, names: int = 0) -> Vocabulary:
    """The words of the data set; the seed decides which alias stands for which title word.

    Args:
        seed: Of the draws.
        names: Made-up words of three syllables in place of the lines, and as many that are their aliases.
    """
    rng = np.random.default_rng([seed, 0])
    drawn = np.argsort(rng.random(len(words.ALIASES)))
    made_up = _made_up(rng, 2 * names) if names else []
    facets = [made_up[:names] if names and i == LINE else facet for i, facet in enumerate(FACETS)]
    aliases = [words.ALIASES[i] for i in drawn]
    title: list[str] = []
    said: list[str] = []
    for i, facet in enumerate(facets):
        title += facet
        said += made_up[names:] if names and i == LINE else [aliases.pop(0) for _ in facet]
    sizes = facet_sizes(names)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    return Vocabulary([*title, *said, *words.FILLERS], len(title), starts)


def _made_up(rng: np.random.Generator, count: int) -> list[str]:
    """Distinct words of three syllables, none of them a word of the lists."""
    base = len(_SYLLABLES)
    known = {word for name in words.__all__ for word in getattr(words, name)}
    drawn = np.argsort(rng.random(base**3))
    made = ("".join(_SYLLABLES[at // base**place % base] for place in range(3)) for at in drawn.tolist())
    return list(islice((word for word in made if word not in known), count))


def join_words(vocabulary: list[str], numbers: np.ndarray) -> list[str]:
    """Texts out of word numbers [N, W], those ``ABSENT`` left out."""
    lookup = [*vocabulary, ""]  # ABSENT, -1, finds the last
    return [" ".join(filter(None, map(lookup.__getitem__, row))) for row in numbers.tolist()]
