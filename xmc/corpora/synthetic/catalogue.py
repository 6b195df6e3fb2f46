"""The articles of the synthetic data set: families of labels whose titles are composed of facets.

A family is a brand, a line, a material and a noun, no two families alike. Its members are every pair of its
finishes (one to three) and its colours (two to five), so that every title is distinct.

In a *crowded* catalogue, families come in groups that differ in one of the four words alone, so that a label
has many others that share all but one of its family's words.

With *names*, the lines of all brands are made-up words, as many as one likes, and it is the line in which
crowded families differ. Every other word is in thousands of texts, a name in a few; what its alias stands for
is told only by the queries that have it, against labels that share all the other words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xmc.corpora.synthetic.vocabulary import CORE, LINE, MAX_NAMES, facet_sizes
from xmc.errors import ConfigError

__all__ = ["MAX_COLOURS", "MAX_FINISHES", "Catalogue", "make_catalogue"]

MAX_FINISHES = 3
MAX_COLOURS = 5
_MAX_LABELS = 20_000_000
MAX_CROWDING = min(facet_sizes()[:CORE])
"""Families that can differ in one word, whichever of the four it is."""


@dataclass(frozen=True)
class Catalogue:
    """F families, the most frequent first, with L labels in all.

    Labels have a *place* (family by family, finish by finish) and an id, a permutation of the places, so that
    neither frequency nor family shows in the id.
    """

    core: np.ndarray
    """int16 [F, 4]: the family's brand, line, material and noun."""
    shape: np.ndarray
    """int8 [F, 2]: how many finishes and colours it has."""
    start: np.ndarray
    """int8 [F, 2]: its first finish and its first colour."""
    step: np.ndarray
    """int8 [F, 2]: the way to its next ones; odd, as there are 32 of each."""
    first: np.ndarray
    """int64 [F + 1]: the place of its first member."""
    probability: np.ndarray
    """float64 [F]: that a query's anchor is of this family."""
    id_of: np.ndarray
    """int32 [L]: the label id of each place."""
    sizes: tuple[int, ...]
    """How many words each of the six facets has."""

    @property
    def num_families(self) -> int:
        """F."""
        return len(self.core)

    @property
    def num_labels(self) -> int:
        """L."""
        return len(self.id_of)

    def variants(self, families: np.ndarray, which: int, position: np.ndarray) -> np.ndarray:
        """The finishes (``which`` 0) or colours (1) at ``position`` of ``families``, broadcast together."""
        start, step = self.start[families, which], self.step[families, which]
        places = start.astype(np.int64) + position * step.astype(np.int64)
        return np.asarray(places % self.sizes[CORE + which])

    def family_of(self, places: np.ndarray) -> np.ndarray:
        """The family of each place."""
        return np.searchsorted(self.first, places, side="right") - 1

    def title_words(self, places: np.ndarray) -> np.ndarray:
        """Facet words int64 [n, 6] of the labels at ``places``."""
        families = self.family_of(places)
        finish, colour = np.divmod(places - self.first[families], self.shape[families, 1])
        variants = [self.variants(families, which, at) for which, at in enumerate((finish, colour))]
        return np.column_stack([self.core[families], *variants]).astype(np.int64)


def make_catalogue(
    num_labels: int, zipf_offset: float, seed: int, crowding: int = 1, names: int = 0
) -> Catalogue:
    """Draw a catalogue.

    Args:
        num_labels: L.
        zipf_offset: As `Law` has it.
        seed: Of all draws.
        crowding: Families that differ in one word alone; 1 for families drawn on their own.
        names: Made-up lines in place of the words there are; 0 for those.

    Raises:
        ConfigError: When ``num_labels`` is below 10 or beyond what titles of this kind can tell apart well,
            ``crowding`` is more than a facet has words for, or there are more names than can be made up.
    """
    if not 10 <= num_labels <= _MAX_LABELS:
        raise ConfigError(f"expected 10 to {_MAX_LABELS:,} labels, got {num_labels:,}")
    if names and not MAX_CROWDING <= names <= MAX_NAMES:
        raise ConfigError(f"expected 0 or {MAX_CROWDING} to {MAX_NAMES:,} names, got {names:,}")
    if not 1 <= crowding <= MAX_CROWDING:
        raise ConfigError(f"expected a crowding of 1 to {MAX_CROWDING} families, got {crowding}")
    rng = np.random.default_rng([seed, 1])
    sizes = facet_sizes(names)
    shape = _shapes(rng, num_labels)
    families = len(shape)
    weights = 1.0 / (np.arange(1, families + 1) + zipf_offset)
    if crowding == 1:
        core = _distinct_cores(rng, families, sizes)
    else:
        core = _crowded_cores(rng, families, crowding, sizes, LINE if names else None)
    return Catalogue(
        core=core,
        shape=shape,
        start=np.column_stack([_below(rng, size, families) for size in sizes[CORE:]]).astype(np.int8),
        step=np.column_stack([2 * _below(rng, size // 2, families) + 1 for size in sizes[CORE:]]).astype(
            np.int8
        ),
        first=np.concatenate([[0], np.cumsum(shape.astype(np.int64).prod(axis=1))]),
        probability=weights / weights.sum(),
        id_of=np.argsort(rng.random(num_labels)).astype(np.int32),
        sizes=sizes,
    )


def _shapes(rng: np.random.Generator, num_labels: int) -> np.ndarray:
    """Shapes of families that together have ``num_labels`` members: the last few are cut to fit."""
    drawn = np.column_stack(
        [
            1 + _below(rng, MAX_FINISHES, num_labels // 2 + 1),
            2 + _below(rng, MAX_COLOURS - 1, num_labels // 2 + 1),
        ]
    )
    filled = np.cumsum(drawn.prod(axis=1))
    whole = int(np.searchsorted(filled, num_labels, side="right"))
    left = num_labels - (int(filled[whole - 1]) if whole else 0)
    rest = [[1, min(MAX_COLOURS, left - taken)] for taken in range(0, left, MAX_COLOURS)]
    return np.concatenate([drawn[:whole], np.array(rest, dtype=np.int64).reshape(-1, 2)]).astype(np.int8)


def _distinct_cores(rng: np.random.Generator, families: int, sizes: tuple[int, ...]) -> np.ndarray:
    """Distinct rows int16 [F, 4]; word ``r`` of a facet is drawn in proportion to ``1 / sqrt(r + 10)``."""
    cumulative = [np.cumsum(1.0 / np.sqrt(np.arange(size) + 10.0)) for size in sizes[:CORE]]
    rows = np.empty((0, CORE), dtype=np.int16)
    while len(rows) < families:
        uniform = rng.random((families + 64, CORE))
        columns = [np.searchsorted(c, uniform[:, i] * c[-1], side="right") for i, c in enumerate(cumulative)]
        rows = _unlike(np.concatenate([rows, np.column_stack(columns).astype(np.int16)]), sizes)
    return rows[:families]


def _crowded_cores(
    rng: np.random.Generator, families: int, crowding: int, sizes: tuple[int, ...], column: int | None
) -> np.ndarray:
    """Distinct rows int16 [F, 4] in groups of ``crowding`` that differ in one column; shuffled.

    The column is drawn for each group where none is given. A row that is in two groups is there once, so that
    a few groups are smaller.
    """
    rows = np.empty((0, CORE), dtype=np.int16)
    while len(rows) < families:
        groups = _distinct_cores(rng, families // crowding + 64, sizes)
        columns = _below(rng, CORE, len(groups)) if column is None else np.full(len(groups), column)
        most = np.array(sizes[:CORE])[columns]
        first, step = _below(rng, most, len(groups)), 1 + _below(rng, most // crowding, len(groups))
        words = (first[:, None] + np.arange(crowding) * step[:, None]) % most[:, None]
        members = np.repeat(groups, crowding, axis=0)
        members[np.arange(len(members)), np.repeat(columns, crowding)] = words.ravel()
        rows = _unlike(np.concatenate([rows, members]), sizes)
    return rows[:families][np.argsort(rng.random(families))]


def _unlike(rows: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """The rows [n, 4] in their order, each once."""
    _, first = np.unique(np.ravel_multi_index(tuple(rows.T), sizes[:CORE]), return_index=True)
    return rows[np.sort(first)]


def _below(rng: np.random.Generator, bound: int | np.ndarray, count: int) -> np.ndarray:
    """Integers int64 [count] below ``bound``, drawn from the uniform law that NumPy keeps stable."""
    return (rng.random(count) * bound).astype(np.int64)
