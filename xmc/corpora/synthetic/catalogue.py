"""The articles of the synthetic data set: families of labels whose titles are composed of facets.

A family is a brand, a line, a material and a noun, no two families alike. Its members are every pair of its
finishes (one to three) and its colours (two to five), so that every title is distinct.

In a *crowded* catalogue, families come in groups that differ in one of the four words alone, so that a label
has many others that share all but one of its family's words. A few uniformly drawn labels hold none of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xmc.corpora.synthetic.vocabulary import CORE, FACETS
from xmc.errors import ConfigError

__all__ = ["MAX_COLOURS", "MAX_FINISHES", "Catalogue", "make_catalogue"]

MAX_FINISHES = 3
MAX_COLOURS = 5
_SIZES = [len(facet) for facet in FACETS]
_MAX_LABELS = 20_000_000
MAX_CROWDING = min(_SIZES[:CORE])
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
        return np.asarray(places % _SIZES[CORE + which])

    def family_of(self, places: np.ndarray) -> np.ndarray:
        """The family of each place."""
        return np.searchsorted(self.first, places, side="right") - 1

    def title_words(self, places: np.ndarray) -> np.ndarray:
        """Facet words int64 [n, 6] of the labels at ``places``."""
        families = self.family_of(places)
        finish, colour = np.divmod(places - self.first[families], self.shape[families, 1])
        variants = [self.variants(families, which, at) for which, at in enumerate((finish, colour))]
        return np.column_stack([self.core[families], *variants]).astype(np.int64)


def make_catalogue(num_labels: int, zipf_offset: float, seed: int, crowding: int = 1) -> Catalogue:
    """Draw a catalogue.

    Args:
        num_labels: L.
        zipf_offset: As `Law` has it.
        seed: Of all draws.
        crowding: Families that differ in one word alone; 1 for families drawn on their own.

    Raises:
        ConfigError: When ``num_labels`` is below 10 or beyond what titles of this kind can tell apart well,
            or ``crowding`` is more than a facet has words for.
    """
    if not 10 <= num_labels <= _MAX_LABELS:
        raise ConfigError(f"expected 10 to {_MAX_LABELS:,} labels, got {num_labels:,}")
    if not 1 <= crowding <= MAX_CROWDING:
        raise ConfigError(f"expected a crowding of 1 to {MAX_CROWDING} families, got {crowding}")
    rng = np.random.default_rng([seed, 1])
    shape = _shapes(rng, num_labels)
    families = len(shape)
    weights = 1.0 / (np.arange(1, families + 1) + zipf_offset)
    return Catalogue(
        core=_distinct_cores(rng, families) if crowding == 1 else _crowded_cores(rng, families, crowding),
        shape=shape,
        start=np.column_stack([_below(rng, size, families) for size in _SIZES[CORE:]]).astype(np.int8),
        step=np.column_stack([2 * _below(rng, size // 2, families) + 1 for size in _SIZES[CORE:]]).astype(
            np.int8
        ),
        first=np.concatenate([[0], np.cumsum(shape.astype(np.int64).prod(axis=1))]),
        probability=weights / weights.sum(),
        id_of=np.argsort(rng.random(num_labels)).astype(np.int32),
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


def _distinct_cores(rng: np.random.Generator, families: int) -> np.ndarray:
    """Distinct rows int16 [F, 4]; word ``r`` of a facet is drawn in proportion to ``1 / sqrt(r + 10)``."""
    cumulative = [np.cumsum(1.0 / np.sqrt(np.arange(size) + 10.0)) for size in _SIZES[:CORE]]
    rows = np.empty((0, CORE), dtype=np.int16)
    while len(rows) < families:
        uniform = rng.random((families + 64, CORE))
        columns = [np.searchsorted(c, uniform[:, i] * c[-1], side="right") for i, c in enumerate(cumulative)]
        rows = _unlike(np.concatenate([rows, np.column_stack(columns).astype(np.int16)]))
    return rows[:families]


def _crowded_cores(rng: np.random.Generator, families: int, crowding: int) -> np.ndarray:
    """Distinct rows int16 [F, 4] in groups of ``crowding`` that differ in one column; shuffled.

    A row that is in two groups is there once, so that a few groups are smaller.
    """
    rows = np.empty((0, CORE), dtype=np.int16)
    while len(rows) < families:
        groups = _distinct_cores(rng, families // crowding + 64)
        column = _below(rng, CORE, len(groups))
        sizes = np.array(_SIZES[:CORE])[column]
        first, step = _below(rng, sizes, len(groups)), 1 + _below(rng, sizes // crowding, len(groups))
        words = (first[:, None] + np.arange(crowding) * step[:, None]) % sizes[:, None]
        members = np.repeat(groups, crowding, axis=0)
        members[np.arange(len(members)), np.repeat(column, crowding)] = words.ravel()
        rows = _unlike(np.concatenate([rows, members]))
    return rows[:families][np.argsort(rng.random(families))]


def _unlike(rows: np.ndarray) -> np.ndarray:
    """The rows [n, 4] in their order, each once."""
    _, first = np.unique(np.ravel_multi_index(tuple(rows.T), _SIZES[:CORE]), return_index=True)
    return rows[np.sort(first)]


def _below(rng: np.random.Generator, bound: int | np.ndarray, count: int) -> np.ndarray:
    """Integers int64 [count] below ``bound``, drawn from the uniform law that NumPy keeps stable."""
    return (rng.random(count) * bound).astype(np.int64)
