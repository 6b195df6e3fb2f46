"""The positive (query row, label) pairs of a batch, from whatever form a caller holds them in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from xmc.distributed.world import to_device
from xmc.errors import ConfigError
from xmc.scoring.arithmetic import deterministic_index_add

__all__ = ["Positives", "PositivesLike", "as_positives", "join_pairs", "without_pairs"]


@dataclass(frozen=True)
class Positives:
    """P distinct positive pairs of B rows and L labels, ordered by label and then by row.

    Attributes:
        rows: [P] int64, the query row of each pair.
        labels: [P] int64, the label of each pair, ascending, so that a range of labels is a slice.
        weights: [P] float32, positive relevance weights, or None when all are 1.
        num_rows: B.
        num_labels: L, over all shards.
        keys: [P] int64, ``label * B + row`` of each pair, on the host, where that is known there: what is
            asked of them a GPU need not be asked. None elsewhere.
    """

    rows: Tensor
    labels: Tensor
    weights: Tensor | None
    num_rows: int
    num_labels: int
    keys: np.ndarray | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        """P, the number of pairs."""
        return len(self.rows)

    def to(self, device: torch.device) -> Positives:
        """The same pairs on ``device``."""
        weights = None if self.weights is None else self.weights.to(device)
        rows, labels = self.rows.to(device), self.labels.to(device)
        return Positives(rows, labels, weights, self.num_rows, self.num_labels, self.keys)

    def label_slices(self, bounds: Sequence[int]) -> list[slice]:
        """The pairs of each label range ``bounds[i]:bounds[i + 1]``: slices into ``rows`` and ``labels``."""
        edges = np.array(bounds, dtype=np.int64)
        # Labels ascend, so that a shard's or a tile's pairs are a slice: no mask of [P] for each tile.
        if self.keys is not None:
            cuts = np.searchsorted(self.keys, edges * self.num_rows).tolist()
        else:
            cuts = torch.searchsorted(self.labels, to_device(edges, self.labels.device)).tolist()
        return [slice(start, stop) for start, stop in zip(cuts, cuts[1:], strict=False)]

    def of_rows(self, chosen: Tensor) -> Positives:
        """The pairs of some rows, ``chosen`` bool [B], numbered among themselves."""
        kept = chosen[self.rows]
        places = torch.cumsum(chosen, 0) - 1
        weights = None if self.weights is None else self.weights[kept]
        count = int(chosen.sum())
        # Rows keep their order, so pairs stay ordered by label and then by row.
        return Positives(places[self.rows[kept]], self.labels[kept], weights, count, self.num_labels)

    def row_sum(self, values: Tensor) -> Tensor:
        """Weighted sum of [P] values over each row's positives: [B]."""
        weighted = values if self.weights is None else values * self.weights.to(values.dtype)
        return deterministic_index_add(values.new_zeros(self.num_rows), self.rows, weighted)

    def row_counts(self) -> Tensor:
        """How many positives each row has: [B] int64."""
        return torch.bincount(self.rows, minlength=self.num_rows)

    def row_mean(self, values: Tensor) -> Tensor:
        """Weighted mean of [P] values over each row's positives: [B], zero for a row without positives."""
        weights = torch.ones_like(values) if self.weights is None else self.weights.to(values.dtype)
        totals = deterministic_index_add(values.new_zeros(self.num_rows), self.rows, weights)
        sums = deterministic_index_add(values.new_zeros(self.num_rows), self.rows, weights * values)
        # Without positives 0 / 1, and not 0 / 0, whose gradient would be NaN even where it is not used.
        return sums / torch.where(totals > 0, totals, 1.0)


def join_pairs(first: Positives, second: Positives, names: str) -> tuple[Positives, Tensor]:
    """The pairs of both in one list, without relevance, and which of them are of the first: [P] bool.

    Args:
        first: Some pairs.
        second: Pairs of the same rows and labels, none of them in the first.
        names: What the two are, for the error: ``"masked pairs apart from positives"``.

    Raises:
        ConfigError: When a pair is in both.
    """
    if first.keys is not None and second.keys is not None and first.rows.device.type == "cpu":
        return _join_by_keys(first, second, names)
    rows, labels = torch.cat([first.rows, second.rows]), torch.cat([first.labels, second.labels])
    # Ordered by label and then by row; the keys are unique unless a pair is listed twice.
    keys, order = torch.sort(labels * first.num_rows + rows)
    known = None
    if first.keys is not None and second.keys is not None:
        # Of two ascending runs a stable sort is one merge.
        known = np.sort(np.concatenate([first.keys, second.keys]), kind="stable")
        twice = bool((known[1:] == known[:-1]).any())
    else:
        twice = bool((keys[1:] == keys[:-1]).any())
    _refuse_twice(twice, names)
    pairs = Positives(rows[order], labels[order], None, first.num_rows, first.num_labels, known)
    return pairs, order < len(first)


def _join_by_keys(first: Positives, second: Positives, names: str) -> tuple[Positives, Tensor]:
    """As :func:`join_pairs` for pairs that are on the host, with their keys, in less than half the time."""
    assert first.keys is not None and second.keys is not None
    both = np.concatenate([first.keys, second.keys])
    order = np.argsort(both, kind="stable")  # of two ascending runs, one merge
    keys = both[order]
    _refuse_twice(bool((keys[1:] == keys[:-1]).any()), names)
    labels, rows = np.divmod(keys, max(first.num_rows, 1))
    pairs = Positives(
        torch.from_numpy(rows), torch.from_numpy(labels), None, first.num_rows, first.num_labels, keys
    )
    return pairs, torch.from_numpy(order < len(first))


def _refuse_twice(twice: bool, names: str) -> None:
    if twice:
        raise ConfigError(f"expected {names}, but a pair is both")


def without_pairs(pairs: Positives, removed: Positives) -> Positives:
    """The pairs that are not among those of ``removed``, of the same rows and labels."""
    keys, others = (part.labels * part.num_rows + part.rows for part in (pairs, removed))
    kept = ~torch.isin(keys, others)
    weights = None if pairs.weights is None else pairs.weights[kept]
    return Positives(pairs.rows[kept], pairs.labels[kept], weights, pairs.num_rows, pairs.num_labels)


PositivesLike: TypeAlias = (
    Positives | sp.spmatrix | sp.sparray | Tensor | np.ndarray | Sequence[Sequence[int] | np.ndarray]
)
"""A SciPy or torch sparse matrix, a boolean [B, L] mask, a list of id lists, or :class:`Positives`."""


def as_positives(
    positives: PositivesLike, num_rows: int, num_labels: int, device: torch.device | str = "cpu"
) -> Positives:
    """Read positives in any accepted form; explicit zeros are no positives, repeated pairs count once.

    The values of a floating sparse matrix or tensor are relevance weights.

    Args:
        positives: SciPy sparse [B, L], torch sparse [B, L], boolean tensor or array [B, L], B lists of label
            ids, or :class:`Positives`.
        num_rows: B, the number of query rows.
        num_labels: L, the number of labels over all shards.
        device: Where the pairs are to live.

    Raises:
        ConfigError: When the shape is not [B, L], an id is no integer in ``range(L)``, or a weight is not
            positive and finite.
    """
    device = torch.device(device)
    if isinstance(positives, Positives):
        _check_shape((positives.num_rows, positives.num_labels), num_rows, num_labels)
        return positives.to(device)
    rows, labels, weights, shape = _pairs(positives, num_labels)
    _check_shape(shape, num_rows, num_labels)
    # Before the key below, in which an id out of range would be another pair's.
    _check_ids(rows, labels, num_labels)
    # One integer per pair, label first, sorts by label and then by row.
    keys = labels.astype(np.int64) * max(num_rows, 1) + rows
    kept = None
    if weights is None:
        keys = _ascending(keys)
    else:
        keys, first = np.unique(keys, return_index=True)
        kept = _weights(weights[first])
    labels, rows = np.divmod(keys, max(num_rows, 1))
    return Positives(
        to_device(rows, device),
        to_device(labels, device),
        None if kept is None else to_device(kept, device),
        num_rows,
        num_labels,
        keys,
    )


def _ascending(keys: np.ndarray) -> np.ndarray:
    """Keys int64 sorted in place, and each once: ``np.unique`` in a third of the time where all differ."""
    keys.sort()
    new = keys[1:] != keys[:-1]
    return keys if new.all() else np.concatenate([keys[:1], keys[1:][new]])


Pairs = tuple[np.ndarray, np.ndarray, "np.ndarray | None", tuple[int, int]]


def _pairs(positives: PositivesLike, num_labels: int) -> Pairs:
    if sp.issparse(positives):
        return _from_scipy(positives)
    if isinstance(positives, Tensor) and positives.layout != torch.strided:
        # Not coalesced: that would add up the weights of a repeated pair, which is to count once.
        tensor = positives.detach().cpu().to_sparse_coo()
        indices, values = tensor._indices().numpy(), tensor._values().numpy()
        matrix = sp.coo_matrix((values, (indices[0], indices[1])), shape=tuple(tensor.shape))
        return _from_scipy(matrix)
    if isinstance(positives, (Tensor, np.ndarray)):
        mask = positives.detach().cpu().numpy() if isinstance(positives, Tensor) else positives
        if mask.dtype != np.bool_ or mask.ndim != 2:
            raise ConfigError(
                "expected a dense positives mask to be boolean and [B, L], got "
                f"{mask.dtype} {list(mask.shape)}; pass ids as lists, or relevance as a sparse matrix"
            )
        rows, labels = np.nonzero(mask)
        return rows, labels, None, mask.shape
    if isinstance(positives, Sequence):
        return _from_lists(positives, num_labels)
    raise ConfigError(
        "expected positives as a SciPy sparse matrix, a torch sparse tensor, a boolean [B, L] mask or a list "
        f"of id lists, got {type(positives).__name__}"
    )


def _from_scipy(matrix: Any) -> Pairs:
    whole = matrix.format == "csr" and matrix.ndim == 2 and len(matrix.indices) == len(matrix.data)
    if whole:  # as batches bring them: a quarter of what tocoo takes
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        labels, data = matrix.indices[: len(rows)], matrix.data[: len(rows)]
    else:
        coo = matrix.tocoo()
        rows, labels, data = coo.row, coo.col, coo.data
    kept = data != 0
    if not kept.all():
        rows, labels, data = rows[kept], labels[kept], data[kept]
    # A matrix of ones is a multi-hot one, whatever its type: no weights to carry along.
    weighted = data.dtype.kind == "f" and bool((data != 1).any())
    return rows, labels, data if weighted else None, matrix.shape


def _from_lists(lists: Sequence[Any], num_labels: int) -> Pairs:
    arrays = [_ids(row, ids) for row, ids in enumerate(lists)]
    rows = np.repeat(np.arange(len(arrays)), [len(ids) for ids in arrays])
    labels = np.concatenate(arrays) if arrays else np.zeros(0, np.int64)
    return rows, labels, None, (len(arrays), num_labels)


def _ids(row: int, ids: Any) -> np.ndarray:
    try:
        array = np.asarray(ids)
    except ValueError:
        # Lists of unequal length within a row, which the check below refuses with the row's number.
        array = np.asarray(None)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ConfigError(
            f"expected a list of integer label ids for each query, got {ids!r} in row {row}; "
            "pass a [B, L] mask as a boolean tensor or array"
        )
    return array.astype(np.int64)


def _weights(weights: np.ndarray) -> np.ndarray:
    if not (np.isfinite(weights).all() and (weights > 0).all()):
        raise ConfigError(
            "expected relevance weights to be positive and finite, got a negative or non-finite value"
        )
    return weights.astype(np.float32)


def _check_shape(shape: tuple[int, int], num_rows: int, num_labels: int) -> None:
    if tuple(shape) != (num_rows, num_labels):
        raise ConfigError(
            f"expected positives of shape [B={num_rows}, L={num_labels}] to match queries and labels, "
            f"got {list(shape)}"
        )


def _check_ids(rows: np.ndarray, labels: np.ndarray, num_labels: int) -> None:
    if labels.size and (labels.min() < 0 or labels.max() >= num_labels):
        wrong = np.flatnonzero((labels < 0) | (labels >= num_labels))
        row, label = int(rows[wrong[0]]), int(labels[wrong[0]])
        raise ConfigError(f"expected label ids in [0, {num_labels}), got {label} in row {row}")
