"""What trials say of the rows that they hold out: what ranks beside a model is chosen by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.retrieval.fusion import Lists

__all__ = ["HeldOut", "Learned", "joined"]


@dataclass(frozen=True, eq=False)
class Learned:
    """What a trial's model takes for the labels of the rows that it learned.

    Attributes:
        rows: [n], of the training split.
        confused: Label ids [n, K] that it ranks first for them, right or wrong; -1 of rows not ranked.
    """

    rows: NDArray[np.int64]
    confused: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What a trial's model says of the rows it was measured on: what an ensemble is chosen by.

    Attributes:
        rows: [V], of the training split.
        lists: Label ids and scores, both [V, 100].
        near: Ids and similarities of their nearest training queries, both [V, 100], themselves left out.
        voters: [M], the rows of the training split that those ids count.
        near_seconds: The search for ``near`` took.
        apart: [V, L], pairs that are neither right nor wrong; see :func:`xmc.tuning.trial.judged_fairly`.
        learned: Of each fold: how many of the V rows are its own, in order, and what its model has learned.
    """

    rows: NDArray[np.int64]
    lists: Lists
    near: Lists
    voters: NDArray[np.int64]
    near_seconds: float
    apart: sp.csr_matrix | None = None
    learned: tuple[tuple[int, Learned], ...] = ()


def joined(parts: Sequence[HeldOut]) -> HeldOut | None:
    """Those of several folds as one, in which a row may come more than once; None for none."""
    if len(parts) < 2:
        return parts[0] if parts else None
    apart = None
    width = next((part.apart.shape[1] for part in parts if part.apart is not None), None)
    if width is not None:
        given = [_none_apart(len(part.rows), width) if part.apart is None else part.apart for part in parts]
        apart = sp.csr_matrix(sp.vstack(given))
    return HeldOut(
        np.concatenate([part.rows for part in parts]),
        _stacked([part.lists for part in parts]),
        _stacked([part.near for part in parts]),
        parts[0].voters,  # all labelled rows, whichever are held out
        sum(part.near_seconds for part in parts),
        apart,
        tuple(own for part in parts for own in part.learned),
    )


def _none_apart(rows: int, labels: int) -> sp.csr_matrix:
    none = np.empty(0, dtype=np.int64)
    return sp.csr_matrix((none.astype(np.bool_), (none, none)), shape=(rows, labels))


def _stacked(lists: Sequence[Lists]) -> Lists:
    return np.concatenate([ids for ids, _ in lists]), np.concatenate([scores for _, scores in lists])
