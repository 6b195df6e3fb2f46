"""Running totals of the metrics: rows are added block by block, and totals of several ranks are summed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.errors import DataError
from xmc.evaluation.coverage import CoverageCounter
from xmc.evaluation.hits import Hits, find_hits
from xmc.evaluation.kinds import COVERAGE_KINDS, PROPENSITY_KINDS, metric_names, row_terms
from xmc.evaluation.row_blocks import row_blocks

if TYPE_CHECKING:
    import torch

    from xmc.distributed import World

__all__ = ["MetricTotals", "walk_hits"]


class MetricTotals:
    """Sums over rows of what each metric gains, and of what it could; and 9 bytes per label for coverage.

    Args:
        num_labels: L.
        inverse_propensity: [L]; None where ``kinds`` holds neither PSP nor PSnDCG.
        ks: Cut-offs of P, nDCG, PSP and PSnDCG.
        recall_ks: Cut-offs of R, MRR, MAP, Cov and Reach.
        kinds: Which metrics (see `xmc.evaluation.kinds.KINDS`).

    Raises:
        ConfigError: For a k below 1 or an unknown kind.
    """

    def __init__(
        self,
        num_labels: int,
        inverse_propensity: NDArray[np.floating] | None,
        *,
        ks: Sequence[int],
        recall_ks: Sequence[int],
        kinds: Sequence[str],
    ) -> None:
        self.names = metric_names(kinds, ks, recall_ks)
        self.num_rows = 0
        self._weights = inverse_propensity
        self._by_row = [name for name in self.names if _kind(name) not in COVERAGE_KINDS]
        self._gained = dict.fromkeys(self._by_row, 0.0)
        self._ideal = {name: 0.0 for name in self._by_row if _kind(name) in PROPENSITY_KINDS}
        covers = len(self._by_row) < len(self.names)
        self._coverage = CoverageCounter(num_labels) if covers else None

    def add(self, hits: Hits, ids: NDArray[np.integer]) -> None:
        """Take in rows: their hits and the lists [N, K] they are of."""
        self.num_rows += hits.num_rows
        gained, ideal = row_terms(hits, self._by_row, self._weights)
        for name, values in gained.items():
            self._gained[name] += float(values.sum())
        for name, values in ideal.items():
            self._ideal[name] += float(values.sum())
        if self._coverage is not None:
            self._coverage.add(hits, ids)

    def sum_over_ranks(self, world: World, device: torch.device | None = None) -> None:
        """Make these the totals of all ranks: one all-reduce of a number per metric, three of L for coverage.

        ``device`` is where the process group's tensors live (default: the CPU).
        """
        if world.size == 1:
            return
        import torch  # needed for ranks alone

        from xmc.distributed import all_reduce_sum

        numbers = [float(self.num_rows), *self._gained.values(), *self._ideal.values()]
        summed = all_reduce_sum(torch.tensor(numbers, dtype=torch.float64, device=device), world).tolist()
        self.num_rows = int(summed[0])
        self._gained = dict(zip(self._gained, summed[1:], strict=False))
        self._ideal = dict(zip(self._ideal, summed[1 + len(self._gained) :], strict=True))
        if self._coverage is not None:
            self._coverage.best_hit = -_maximum(-self._coverage.best_hit, world, device)
            self._coverage.best_rank = -_maximum(-self._coverage.best_rank, world, device)
            positive = self._coverage.positive.astype(np.int32)
            self._coverage.positive = _maximum(positive, world, device) > 0

    def metrics(self) -> dict[str, float]:
        """Every metric in percent, by name."""
        return {name: 100.0 * self._value(name) for name in self.names}

    def _value(self, name: str) -> float:
        kind, _, cut = name.partition("@")
        if self._coverage is not None and kind in COVERAGE_KINDS:
            return self._coverage.covered(int(cut)) if kind == "Cov" else self._coverage.reached(int(cut))
        whole = self._ideal.get(name, float(self.num_rows))
        return self._gained[name] / whole if whole else 0.0


def walk_hits(
    truth: sp.csr_matrix,
    ids: NDArray[np.integer],
    add: Callable[[Hits, NDArray[np.integer]], None],
    first_row: int = 0,
    place: Callable[[int], str] | None = None,
) -> None:
    """Call ``add(hits, ids)`` for blocks of rows, in order.

    A block has at most 16,384 rows and, unless it is one row, 524,288 positives, so that memory is bounded
    whatever N is. ``first_row`` and ``place`` are as in `find_hits`.

    Raises:
        DataError: When the ranking is malformed; the text names the row.
    """
    truth = sp.csr_matrix(truth)
    if len(ids) != truth.shape[0]:
        raise DataError(f"expected a ranking of label ids with {truth.shape[0]} rows, got {len(ids)} rows")
    for block in row_blocks(truth.indptr):
        named = None if place is None else partial(_shifted, place, block.start)
        add(find_hits(truth[block], ids[block], first_row + block.start, named), ids[block])


def _shifted(place: Callable[[int], str], start: int, row: int) -> str:
    return place(start + row)


def _kind(name: str) -> str:
    return name.partition("@")[0]


def _maximum(values: NDArray[np.int32], world: World, device: torch.device | None) -> NDArray[np.int32]:
    import torch

    from xmc.distributed import all_reduce_max

    reduced = all_reduce_max(torch.from_numpy(values).to(device or "cpu"), world)
    return np.asarray(reduced.cpu().numpy(), dtype=np.int32)
