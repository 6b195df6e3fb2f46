"""Draws queries: what their texts show of an anchor, and their labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xmc.corpora.synthetic.catalogue import MAX_COLOURS, MAX_FINISHES, Catalogue
from xmc.corpora.synthetic.law import Law
from xmc.corpora.synthetic.vocabulary import ABSENT, CORE, Vocabulary
from xmc.corpora.synthetic.words import FILLERS

__all__ = ["QueryBatch", "draw_queries", "inclusion"]


@dataclass(frozen=True)
class QueryBatch:
    """n queries."""

    observed: np.ndarray
    """int64 [n, 6]: the facet words that a text shows, under whatever name; ``ABSENT`` where it does not."""
    text: np.ndarray
    """int64 [n, 8]: word numbers in the order of the text, ``ABSENT`` where there is none."""
    labels: np.ndarray
    """int64 [n, 15]: label ids, repeats possible, ``ABSENT`` where there is none."""


def draw_queries(
    count: int, catalogue: Catalogue, vocabulary: Vocabulary, law: Law, rng: np.random.Generator
) -> QueryBatch:
    """``count`` queries by ``law``."""
    cumulative = np.cumsum(catalogue.probability)
    family, finish, colour = _draw_articles(rng.random((3, count)), catalogue, cumulative)
    observed = _observe(family, finish, colour, catalogue, law, rng)
    text = _text(observed, vocabulary, law, rng)
    signal = rng.random((count, MAX_FINISHES, MAX_COLOURS)) < inclusion(
        catalogue.shape[family], finish, colour, law
    )
    places = catalogue.first[family][:, None, None] + _grid(catalogue.shape[family, 1])
    replaced = signal & (rng.random(signal.shape) < law.noise)
    other, *at = _draw_articles(rng.random((3, int(replaced.sum()))), catalogue, cumulative)
    places[replaced] = catalogue.first[other] + at[0] * catalogue.shape[other, 1] + at[1]
    labels = np.full(signal.shape, ABSENT, dtype=np.int64)
    labels[signal] = catalogue.id_of[places[signal]]
    return QueryBatch(observed, text, labels.reshape(count, -1))


def inclusion(shape: np.ndarray, finish: np.ndarray, colour: np.ndarray, law: Law) -> np.ndarray:
    """Each family member's chance to be a label: float64 [n, 3, 5], 0 where the family has no such member.

    Args:
        shape: int [n, 2]: finishes and colours of the family.
        finish: int [n]: the anchor's.
        colour: int [n]: the anchor's.
        law: Chances of members that share the anchor's finish, and of others.
    """
    finishes, colours = np.arange(MAX_FINISHES)[:, None], np.arange(MAX_COLOURS)[None, :]
    same = finishes == finish[:, None, None]
    chance = np.where(same, law.same_finish, law.other_finish)
    chance = np.where(same & (colours == colour[:, None, None]), 1.0, chance)
    exists = (finishes < shape[:, 0, None, None]) & (colours < shape[:, 1, None, None])
    masked: np.ndarray = np.where(exists, chance, 0.0)
    return masked


def _grid(num_colours: np.ndarray) -> np.ndarray:
    """Places within the family, int64 [n, 3, 5]."""
    finishes, colours = np.arange(MAX_FINISHES)[:, None], np.arange(MAX_COLOURS)[None, :]
    grid: np.ndarray = finishes * num_colours.astype(np.int64)[:, None, None] + colours
    return grid


def _draw_articles(uniform: np.ndarray, catalogue: Catalogue, cumulative: np.ndarray) -> list[np.ndarray]:
    """Family, finish and colour, int64 [n] each, out of uniform numbers [3, n]."""
    family = np.searchsorted(cumulative, uniform[0] * cumulative[-1], side="right")
    family = np.minimum(family, catalogue.num_families - 1)
    shape = catalogue.shape[family]
    return [family, *((uniform[1 + i] * shape[:, i]).astype(np.int64) for i in range(2))]


def _observe(
    family: np.ndarray,
    finish: np.ndarray,
    colour: np.ndarray,
    catalogue: Catalogue,
    law: Law,
    rng: np.random.Generator,
) -> np.ndarray:
    count = len(family)
    core = catalogue.core[family].astype(np.int64)
    drops = rng.random(count) < law.dropped
    left_out = (rng.random(count) * CORE).astype(np.int64)
    core[np.flatnonzero(drops), left_out[drops]] = ABSENT
    variants = np.column_stack([catalogue.variants(family, i, at) for i, at in enumerate((finish, colour))])
    variants[rng.random((count, 2)) >= law.mentioned] = ABSENT
    return np.concatenate([core, variants], axis=1)


def _text(observed: np.ndarray, vocabulary: Vocabulary, law: Law, rng: np.random.Generator) -> np.ndarray:
    numbers = observed + vocabulary.facet_start
    numbers += vocabulary.num_title_words * (rng.random(observed.shape) < law.aliased)
    numbers[observed == ABSENT] = ABSENT
    drawn = (rng.random((len(observed), 2)) * len(FILLERS)).astype(np.int64)
    fillers = 2 * vocabulary.num_title_words + drawn
    fillers[rng.random(fillers.shape) >= law.filled] = ABSENT
    text = np.concatenate([numbers, fillers], axis=1)
    return np.take_along_axis(text, np.argsort(rng.random(text.shape), axis=1), axis=1)
