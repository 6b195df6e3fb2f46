"""The best ranking there is of the synthetic data set, and how precise it is.

Precision at k of a ranking, in expectation given the query's text, is the mean of its first k labels' chances
to be relevant given that text. So no system does better, in expectation, than one that ranks by these
chances. They are computed exactly here, from the law that the queries were drawn by: Bayes' rule over the
families that fit the text (at most one of its four core words is missing), over the members that the anchor
may be, and over the noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xmc.corpora.synthetic.catalogue import MAX_COLOURS, MAX_FINISHES, Catalogue
from xmc.corpora.synthetic.law import Law
from xmc.corpora.synthetic.vocabulary import ABSENT, CORE

__all__ = ["Oracle"]

_SHAPES = np.array([(f, c) for f in range(1, MAX_FINISHES + 1) for c in range(1, MAX_COLOURS + 1)])


@dataclass(frozen=True)
class _Candidates:
    """p pairs of a query (0..n-1, ascending) and a family that fits its text."""

    row: np.ndarray
    family: np.ndarray
    posterior: np.ndarray
    """float64 [p]: the family's chance given the text; sums to 1 over a row."""
    anchor: np.ndarray
    """float64 [p, 3, 5]: each member's chance to be the anchor, given text and family."""


class Oracle:
    """Ranks labels by their exact chance to be relevant given what a text shows."""

    def __init__(self, catalogue: Catalogue, law: Law) -> None:
        self._catalogue = catalogue
        self._law = law
        # By the facet left out, the last entry for none: the families in order of their other words.
        self._sorted = [_sorted_keys(catalogue, left_out) for left_out in range(CORE + 1)]
        size = np.diff(catalogue.first)
        self._anchor_probability = catalogue.probability / size
        self._heads = np.argsort(-np.repeat(self._anchor_probability, size), kind="stable")

    def rank(self, observed: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k likeliest labels of each query.

        Args:
            observed: Facet words int64 [n, 6], ``ABSENT`` where there is none: of the first four at most one.
            k: Labels for each query.

        Returns:
            Label ids int64 [n, k], and their chances float64 [n, k], descending; equal ones by ascending id.
        """
        found = self._candidates(observed)
        mixed = self._posterior_by_shape(found, len(observed))
        row, place, chance = self._members(found, mixed)
        row2, place2, chance2 = self._outsiders(found, mixed, k)
        rows, ids = np.concatenate([row, row2]), self._catalogue.id_of[np.concatenate([place, place2])]
        chances = np.concatenate([chance, chance2])
        order = np.lexsort((ids, -chances, rows))
        starts = np.searchsorted(rows[order], np.arange(len(observed)))
        best = order[starts[:, None] + np.arange(k)]
        return ids[best].astype(np.int64), chances[best]

    def _candidates(self, observed: np.ndarray) -> _Candidates:
        row, family = self._fitting_families(observed)
        shape = self._catalogue.shape[family]
        fits = []
        for which, most in enumerate((MAX_FINISHES, MAX_COLOURS)):
            position = np.arange(most)
            shown = observed[row, CORE + which, None]
            has = self._catalogue.variants(family[:, None], which, position) == shown
            fits.append(((shown == ABSENT) | has) & (position < shape[:, which, None]))
        anchor = (fits[0][:, :, None] & fits[1][:, None, :]).astype(np.float64)
        count = anchor.sum(axis=(1, 2))
        weight = self._anchor_probability[family] * count
        keep = weight > 0
        total = np.bincount(row, weight, minlength=len(observed))
        posterior = weight[keep] / total[row[keep]]
        return _Candidates(row[keep], family[keep], posterior, anchor[keep] / count[keep, None, None])

    def _fitting_families(self, observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of a row and a family with the core words that its text shows, in order of row."""
        core = observed[:, :CORE]
        missing = core == ABSENT
        pattern = np.where(missing.any(axis=1), missing.argmax(axis=1), CORE)
        rows, families = [], []
        for left_out, (keys, order) in enumerate(self._sorted):
            here = np.flatnonzero(pattern == left_out)
            wanted = _keys(np.where(missing[here], 0, core[here]), left_out, self._catalogue.sizes)
            low, high = (np.searchsorted(keys, wanted, side=side) for side in ("left", "right"))
            counts = high - low
            rows.append(np.repeat(here, counts))
            families.append(order[_ranges(low, counts)])
        row = np.concatenate(rows)
        by_row = np.argsort(row, kind="stable")
        return row[by_row], np.concatenate(families)[by_row]

    def _posterior_by_shape(self, found: _Candidates, num_rows: int) -> np.ndarray:
        """float64 [n, 15]: the posterior of a row summed over the families of each shape."""
        shape = _shape_number(self._catalogue.shape[found.family])
        cells = found.row * len(_SHAPES) + shape
        return np.bincount(cells, found.posterior, minlength=num_rows * len(_SHAPES)).reshape(num_rows, -1)

    def _members(self, found: _Candidates, mixed: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row, place and chance of every member of the families that fit."""
        probability = self._anchor_probability[found.family]
        shape = self._catalogue.shape[found.family]
        own = _shape_number(shape)
        missed = 1 - self._noise_chance(probability)[np.arange(len(own)), own]
        chance_if = [self._inside(rate, probability, missed) for rate in self._rates]
        finish = found.anchor.sum(axis=2, keepdims=True)
        inside = (
            found.anchor * chance_if[0][:, None, None]
            + (finish - found.anchor) * chance_if[1][:, None, None]
            + (1 - finish) * chance_if[2][:, None, None]
        )
        others = mixed[found.row].copy()
        others[np.arange(len(own)), own] -= found.posterior
        outside = (others * self._noise_chance(probability)).sum(axis=1)
        chance = found.posterior[:, None, None] * inside + outside[:, None, None]
        exists = (np.arange(MAX_FINISHES)[:, None] < shape[:, 0, None, None]) & (
            np.arange(MAX_COLOURS) < shape[:, 1, None, None]
        )
        pair, at, colour = np.nonzero(exists)
        place = self._catalogue.first[found.family[pair]] + at * shape[pair, 1].astype(np.int64) + colour
        return found.row[pair], place, chance[exists]

    @property
    def _rates(self) -> tuple[float, float, float]:
        return 1.0, self._law.same_finish, self._law.other_finish

    def _inside(self, rate: float, probability: np.ndarray, missed: np.ndarray) -> np.ndarray:
        """Chance of a member that is a label at ``rate``: kept, or drawn as noise for itself or another.

        Args:
            rate: Chance of the member to be a label.
            probability: float64 [p]: of the member, to be drawn as noise.
            missed: float64 [p]: chance that no label's noise is this member, itself included.
        """
        noise = rate * self._law.noise
        own = 1 - rate + noise * (1 - probability)
        chance: np.ndarray = 1 - own * missed / (1 - noise * probability)
        return chance

    def _noise_chance(self, probability: np.ndarray) -> np.ndarray:
        """Chance of labels outside a query's family, by the shape of that family: float64 [p, 15].

        A family of F finishes and C colours has the anchor, C - 1 members of its finish and (F - 1) C others;
        each, when it is a label, is replaced at the rate of noise by a label drawn with ``probability``.
        """
        counts = (np.ones(len(_SHAPES)), _SHAPES[:, 1] - 1, (_SHAPES[:, 0] - 1) * _SHAPES[:, 1])
        logs = [np.log1p(-rate * self._law.noise * probability)[:, None] for rate in self._rates]
        chance: np.ndarray = -np.expm1(sum(log * count for log, count in zip(logs, counts, strict=True)))
        return chance

    def _outsiders(
        self, found: _Candidates, mixed: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row, place and chance of the k likeliest labels outside the families that fit: noise alone."""
        num_rows = len(mixed)
        most = int(np.bincount(found.row, minlength=1).max(initial=0)) * MAX_FINISHES * MAX_COLOURS
        heads = self._heads[: most + k]
        family = self._catalogue.family_of(heads)
        taken = np.isin(
            np.arange(num_rows)[:, None] * self._catalogue.num_families + family,
            found.row * self._catalogue.num_families + found.family,
        )
        row, at = np.nonzero(~taken & (np.cumsum(~taken, axis=1) <= k))
        by_shape = self._noise_chance(self._anchor_probability[family])
        return row, heads[at], (mixed[row] * by_shape[at]).sum(axis=1)


def _shape_number(shape: np.ndarray) -> np.ndarray:
    number: np.ndarray = (shape[:, 0].astype(np.int64) - 1) * MAX_COLOURS + shape[:, 1] - 1
    return number


def _keys(core: np.ndarray, left_out: int, sizes: tuple[int, ...]) -> np.ndarray:
    columns = [np.zeros_like(core[:, i]) if i == left_out else core[:, i] for i in range(CORE)]
    return np.ravel_multi_index([column.astype(np.int64) for column in columns], sizes[:CORE])


def _sorted_keys(catalogue: Catalogue, left_out: int) -> tuple[np.ndarray, np.ndarray]:
    keys = _keys(catalogue.core, left_out, catalogue.sizes)
    order = np.argsort(keys, kind="stable")
    return keys[order], order


def _ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The numbers of all the ranges ``starts[i] .. starts[i] + counts[i] - 1``, one after another."""
    before = np.cumsum(counts) - counts
    return np.asarray(np.arange(counts.sum()) + np.repeat(starts - before, counts))
