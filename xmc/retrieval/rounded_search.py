"""Exact search, most of whose products are of vectors rounded to bfloat16.

A CPU with matrix units multiplies these several times faster than float32. A product of rounded vectors is
wrong by a bounded amount, so that few labels can be among a query's k best: those of all queries of a block
are scored in float32, in tiles like any others, and the lists are those of float32 to the last bit.

With q' and e' the rounded vectors, Cauchy and Schwarz say

    |q.e - q'.e'|  =  |(q - q').e' + q.(e - e')|  <=  |q - q'| |e'| + |q| |e - e'|.

What is added for the rounding of sums and of their results is in :meth:`_Rounding.error`. If no score is
wrong by more than ``error``, and ``t`` is the k-th best rounded one, the k best labels have exact scores of
at least ``t - error``, and so rounded ones of at least ``t - 2 error``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from xmc.errors import ModelError
from xmc.retrieval.tiled_search import LEAST_SIDE, TiledSearch, only_rows

__all__ = ["RoundedSearch", "rounding_pays"]

# By what share of it a result of eight bits may be wrong, and, twice, one of float32's 24.
_RESULT = 2.0**-8
_ONCE = 2.0**-23
# Numbers below 2^-126 may be taken for 0, in each of D terms, and so may the squares that a norm adds up.
_FLUSHED = 2.0**-125
_UNSEEN = 2.0**-62
# Of products that are nearly infinite some are when rounded.
_TOO_LARGE = 1e37
# Labels for each place in the lists of a block: with fewer most of them would be scored again.
_LEAST_LABELS = 8
_LEAST_DIMENSION = 64
# Fewer queries do not make up for rounding the labels.
_LEAST_QUERIES = 512
# Labels whose rounding is measured at a time.
_ROWS = 4_096
# Above this share of the labels and queries that are scored a second time nothing is gained.
_MOST_AGAIN = 0.5


def rounding_pays(num_queries: int, num_labels: int, dimension: int, k: int, device: torch.device) -> bool:
    """Whether a block of so many queries is likely found sooner by rounded vectors."""
    return (
        device.type == "cpu"
        and num_queries >= _LEAST_QUERIES
        and dimension >= _LEAST_DIMENSION
        and num_labels >= _LEAST_LABELS * num_queries * k
        and _has_matrix_units()
    )


@lru_cache
def _has_matrix_units() -> bool:
    """Whether products of bfloat16 are much faster here, and summed as the bound has it."""
    if not torch.cpu._is_amx_tile_supported():
        return False
    rows = torch.arange(LEAST_SIDE * 4096).sin().view(LEAST_SIDE, 4096).bfloat16()
    exact = rows.double() @ rows.double().T
    sums = rows.double().abs() @ rows.double().abs().T
    wrong = (torch.mm(rows, rows.T).double() - exact).abs()
    return bool((wrong <= _RESULT * exact.abs() + rows.shape[1] * _ONCE * sums).all())


class RoundedSearch:
    """Blocks of queries one after the other, as long as it pays.

    Args:
        search: All labels.
    """

    def __init__(self, search: TiledSearch) -> None:
        self._search = search
        self._rounding = _Rounding(search.buffer)
        self._bias = 0.0 if search.bias is None else _largest(search.bias)
        self.pays = True
        """Whether another block is likely to be found sooner by this search."""

    @property
    def depth(self) -> int:
        """Length of the lists of rounded scores, which have room for what could be among the k best."""
        return 3 * self._search.k + 64

    def best(
        self, queries: Tensor, exclude: sp.csc_matrix | None, floor: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """As :meth:`~xmc.retrieval.tiled_search.TiledSearch.best`; the floor is one for ``depth`` labels."""
        search, k = self._search, self._search.k
        try:
            lists = search.look_through(queries, self.depth, exclude, floor, self._rounding)
        except ModelError:
            # Numbers near the end of float32 may be too large when rounded; what is none stays none.
            self.pays = False
            return search.best(queries, exclude)
        self._rounding.done()
        rounded, ids = lists.lists()
        # All that is above it is in the lists.
        complete = rounded[:, -1] if floor is None else torch.maximum(rounded[:, -1], floor)
        kth = rounded[:, k - 1]
        least = kth - 2 * self._rounding.error(queries, kth, self._bias)
        sure = least > complete
        chosen = ids[(rounded >= least[:, None]) & sure[:, None]].unique()
        again = len(chosen) / max(1, len(search.labels)) + 1 - sure.float().mean().item()
        self.pays = again <= _MOST_AGAIN
        if again >= 1:
            return search.best(queries, exclude)
        few = _Chosen(search.labels, chosen.numpy())
        bias = None if search.bias is None else search.bias[chosen]
        part = replace(search, labels=few, bias=bias)
        mask = None if exclude is None else exclude[:, few.ids]
        # A query of which nothing is sure finds nothing here, and is short.
        found = part.look_through(queries, k, mask, least.masked_fill(~sure, torch.inf))
        scores, places = found.lists()
        ids = chosen[places]
        if len(rest := found.short()):
            scores[rest], ids[rest] = search.best(queries[rest], only_rows(exclude, rest))
        return scores, ids


@dataclass(frozen=True)
class _Chosen:
    """Some of the labels, read tile by tile."""

    labels: Any
    ids: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, part: slice) -> Any:
        ids = self.ids[part]
        return self.labels[torch.from_numpy(ids) if isinstance(self.labels, Tensor) else ids]


@dataclass
class _Rounding:
    """The product of rounded vectors; while labels come for the first time, what they are wrong by."""

    buffer: Tensor
    norm: float = 0.0
    """Of the longest label."""
    wrong: float = 0.0
    """Of the label that rounding moves farthest."""
    _is_done: bool = False
    _rounded: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self._rounded = torch.empty(self.buffer.numel(), dtype=torch.bfloat16)

    def __call__(self, queries: Tensor, labels: Tensor, scores: Tensor) -> None:
        rounded = labels.bfloat16()
        if not self._is_done:
            for exact, cut in zip(labels.split(_ROWS), rounded.split(_ROWS), strict=True):
                self.norm = _larger(self.norm, _norms(exact))
                self.wrong = _larger(self.wrong, _norms(exact - cut))
        products = self._rounded[: scores.numel()].view(scores.shape)
        torch.mm(queries.bfloat16(), rounded.T, out=products)
        scores.copy_(products)

    def done(self) -> None:
        """All labels have come once."""
        self._is_done = True

    def error(self, queries: Tensor, scores: Tensor, bias: float) -> Tensor:
        """What scores [B], and those that are less by twice as much, are wrong by at most: [B].

        Sums of D products in float32, of which there are two, err by D units in the last place of the product
        of the norms; results are rounded to eight bits, and with a bias to float32 again.

        Args:
            queries: [B, D].
            scores: Of rounded vectors, bias included.
            bias: The largest there is, by its size.
        """
        norms, moved = _norms(queries), _norms(queries - queries.bfloat16())
        dimension = queries.shape[1]
        longest = self.norm + self.wrong
        of_vectors = moved * longest + norms * self.wrong
        of_sums = (dimension + 2) * _ONCE * norms * longest
        of_results = _RESULT * (scores.abs() + bias).minimum(norms * longest)
        of_totals = _ONCE * (bias + norms * longest) + dimension * _FLUSHED * (1 + norms + longest)
        error: Tensor = 1.02 * (of_vectors + of_sums + of_results + of_totals)
        return error.masked_fill(norms * longest > _TOO_LARGE, torch.inf)


def _norms(rows: Tensor) -> Tensor:
    """At least the lengths of rows [n, D], also where squares vanish: [n]."""
    norms: Tensor = torch.linalg.vector_norm(rows, dim=1)
    return norms + _UNSEEN * float(np.sqrt(rows.shape[1]))


def _larger(known: float, norms: Tensor) -> float:
    """The largest so far; infinite once there is one that is no number, of which nothing is known."""
    largest = float(norms.max())
    return max(known, largest) if largest == largest else torch.inf


def _largest(bias: Tensor) -> float:
    finite = bias[bias > -torch.inf]
    return float(finite.abs().max()) if len(finite) else 0.0
