"""Averages what teachers say of the candidates of some queries: probabilities, on the same candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

__all__ = ["Said", "average", "candidates_of", "log_softmax_within", "row_sums"]

TINY = 1e-30
"""What a probability of 0 is kept as: a candidate is known to be unlikely, which no entry at all is not."""


@dataclass(frozen=True, eq=False)
class Said:
    """What one teacher says of the C candidates of n queries.

    Attributes:
        log_probabilities: float64 [C].
        rest: float64 [n], its probability of all other labels together; None from a teacher that knows the
            candidates alone, which is then taken to leave as much as the others do.
        speaks: bool [n], whether it says anything of the query; None where it does of all.
    """

    log_probabilities: NDArray[np.float64]
    rest: NDArray[np.float64] | None = None
    speaks: NDArray[np.bool_] | None = None


def candidates_of(
    proposed: Sequence[NDArray[np.integer]],
    positives: sp.csr_matrix | None,
    excluded: sp.csr_matrix | None,
    num_labels: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The union of lists of labels and the positives, without the pairs that are left out.

    Args:
        proposed: Label ids [n, k] each, -1 for none.
        positives: CSR [n, L], or None.
        excluded: CSR [n, L], none of them positive, or None.
        num_labels: L.

    Returns:
        Owners [C] and labels [C], by query and then by label, each pair once.
    """
    keys = [_keys(np.arange(len(ids)).repeat(ids.shape[1]), ids.ravel(), num_labels) for ids in proposed]
    if positives is not None:
        keys.append(_pairs(positives, num_labels))
    found = np.unique(np.concatenate(keys))
    if excluded is not None:
        found = found[~np.isin(found, _pairs(excluded, num_labels))]
    return found // num_labels, found % num_labels


def _keys(owners: NDArray[np.int64], labels: NDArray[np.integer], num_labels: int) -> NDArray[np.int64]:
    kept = labels >= 0
    return np.asarray(owners[kept] * np.int64(num_labels) + labels[kept], dtype=np.int64)


def _pairs(matrix: sp.csr_matrix, num_labels: int) -> NDArray[np.int64]:
    owners = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
    return np.asarray(owners * num_labels + matrix.indices, dtype=np.int64)


def average(said: Sequence[Said], owners: NDArray[np.int64], num_queries: int) -> NDArray[np.float64]:
    """The mean of the teachers' probabilities of each candidate: [C], 0 where no teacher speaks of the query.

    ``p_ic = 1/N sum_t softmax(z_t,i)_c`` (Shen and Savvides 2020, equation 1), not of scores.
    A teacher that is silent on a query has no part in its mean.
    """
    rest = _mean_rest(said, num_queries)
    total, count = np.zeros(len(owners)), np.zeros(num_queries)
    for one in said:
        probabilities = np.exp(one.log_probabilities)
        if one.rest is None:
            probabilities *= (1 - rest)[owners]
        speaks = np.ones(num_queries, dtype=bool) if one.speaks is None else one.speaks
        total += np.where(speaks[owners], probabilities, 0.0)
        count += speaks
    mean = total / np.maximum(count, 1)[owners]
    mean = np.where((count > 0)[owners], np.maximum(mean, TINY), 0.0)
    # Rounding may have brought a row's sum to a little more than 1.
    return np.asarray(mean / np.maximum(row_sums(mean, owners, num_queries), 1.0)[owners])


def _mean_rest(said: Sequence[Said], num_queries: int) -> NDArray[np.float64]:
    """The mean [n] of what teachers that know all labels leave to others than candidates; 0 without any."""
    total, count = np.zeros(num_queries), np.zeros(num_queries)
    for one in said:
        if one.rest is not None:
            speaks = np.ones(num_queries, dtype=bool) if one.speaks is None else one.speaks
            total, count = total + np.where(speaks, one.rest, 0.0), count + speaks
    return np.asarray(total / np.maximum(count, 1))


def row_sums(values: NDArray[np.floating], owners: NDArray[np.int64], num_rows: int) -> NDArray[np.float64]:
    """The sum of each row's values: [n]."""
    return np.bincount(owners, values, minlength=num_rows).astype(np.float64)


def log_softmax_within(
    scores: NDArray[np.floating], owners: NDArray[np.int64], num_rows: int
) -> NDArray[np.float64]:
    """The log of the softmax of scores [C] over those of the same row."""
    highest = np.full(num_rows, -np.inf)
    np.maximum.at(highest, owners, scores)
    shifted = scores - highest[owners]
    return np.asarray(shifted - np.log(row_sums(np.exp(shifted), owners, num_rows))[owners])
