"""How labels that were held out of training are found: apart, among all labels, and beside the others.

The labels are in two groups, the unseen (`Dataset.unseen_labels`) and the seen, which are all others. For a
group g the truth is restricted to g, and metrics are means over the queries with a positive in g (PSP is a
ratio of means):

- joint: all labels are ranked, so that a group's label has to come before those of both. What comes before it
  counts against it, right or wrong.
- disjoint: the unseen labels alone are ranked.
- harmonic mean: ``2 s u / (s + u)`` of a joint metric on seen (s) and unseen (u) labels; 0 where one is 0.

Source: Pereira, Joly, Valduriez, Porto, "Hyperspherical embedding for novel class classification",
arXiv:2102.03243 (the joint and disjoint scenarios); Xian, Schiele, Akata, "Zero-shot learning: the good, the
bad and the ugly", CVPR 2017 (the harmonic mean).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.counted import counted
from xmc.evaluation.kinds import PROPENSITY_KINDS
from xmc.evaluation.totals import MetricTotals, walk_hits

if TYPE_CHECKING:
    import torch

    from xmc.distributed import World

__all__ = ["NovelLabels", "NovelTotals", "harmonic_means", "novel_metrics", "restricted"]

_KINDS = ("P", "nDCG", "PSP", "R")
_SHOWN = ("P", "R")


@dataclass(frozen=True)
class NovelLabels:
    """Metrics of seen and unseen labels in percent, by name."""

    num_unseen: int
    """Labels held out of training."""
    seen_queries: int
    """Queries with a seen positive."""
    unseen_queries: int
    """Queries with an unseen positive."""
    seen: dict[str, float]
    """Joint, of the seen labels."""
    unseen: dict[str, float]
    """Joint, of the unseen labels."""
    harmonic: dict[str, float]
    """Harmonic means of the two."""
    disjoint: dict[str, float]
    """Of the unseen labels ranked alone; empty where only a ranking of all labels was there."""

    def rows(self) -> list[tuple[str, dict[str, float]]]:
        """The lines of a table: what each is, and its metrics."""
        lines = [("seen, among all", self.seen), ("unseen, among all", self.unseen)]
        lines.append(("harmonic mean", self.harmonic))
        return [*lines, ("unseen, alone", self.disjoint)] if self.disjoint else lines

    def table(self) -> str:
        """P and R in percent, a line for each way of ranking, under a line that says of how many."""
        names = [name for name in self.seen if name.partition("@")[0] in _SHOWN]
        lines = [
            f"{counted(self.num_unseen, 'label')} held out of training: "
            f"{counted(self.unseen_queries, 'query has', 'queries have')} one of them, {self.seen_queries:,} "
            "one of the others",
            f"{'':<18}" + "".join(f"{name:>8}" for name in names),
        ]
        for title, metrics in self.rows():
            lines.append(f"{title:<18}" + "".join(f"{metrics[name]:>8.2f}" for name in names))
        return "\n".join(lines)


class NovelTotals:
    """Running totals of both groups; rows are added block by block, and those of several ranks are summed.

    Args:
        unseen: Label ids, int64 [n].
        num_labels: L.
        inverse_propensity: [L]; None leaves out PSP.
        ks: Cut-offs of P, nDCG and PSP.
        recall_ks: Cut-offs of R.
    """

    def __init__(
        self,
        unseen: NDArray[np.integer],
        num_labels: int,
        inverse_propensity: NDArray[np.floating] | None,
        *,
        ks: Sequence[int],
        recall_ks: Sequence[int],
    ) -> None:
        self.is_unseen = np.zeros(num_labels, dtype=bool)
        self.is_unseen[unseen] = True
        left_out = PROPENSITY_KINDS if inverse_propensity is None else ()
        kinds = [kind for kind in _KINDS if kind not in left_out]
        self._seen, self._unseen, self._alone = (
            MetricTotals(num_labels, inverse_propensity, ks=ks, recall_ks=recall_ks, kinds=kinds)
            for _ in range(3)
        )

    def add(
        self, truth: sp.csr_matrix, joint: NDArray[np.integer], alone: NDArray[np.integer] | None
    ) -> None:
        """Take in rows.

        Args:
            truth: [N, L].
            joint: [N, K] label ids of a ranking of all labels, best first, -1 pads.
            alone: The same of the unseen labels alone, or None where there is none.

        Raises:
            DataError: When a ranking is malformed.
        """
        _add_rows(restricted(truth, ~self.is_unseen), joint, self._seen)
        unseen = restricted(truth, self.is_unseen)
        _add_rows(unseen, joint, self._unseen)
        if alone is not None:
            _add_rows(unseen, alone, self._alone)

    def sum_over_ranks(self, world: World, device: torch.device | None = None) -> None:
        """Make these the totals of all ranks: an all-reduce of a number per metric for each of three."""
        for totals in (self._seen, self._unseen, self._alone):
            totals.sum_over_ranks(world, device)

    def result(self) -> NovelLabels:
        """The metrics of what was added."""
        seen, unseen = self._seen.metrics(), self._unseen.metrics()
        return NovelLabels(
            num_unseen=int(self.is_unseen.sum()),
            seen_queries=self._seen.num_rows,
            unseen_queries=self._unseen.num_rows,
            seen=seen,
            unseen=unseen,
            harmonic=harmonic_means(seen, unseen),
            disjoint=self._alone.metrics() if self._alone.num_rows else {},
        )


def novel_metrics(
    truth: sp.csr_matrix,
    joint: NDArray[np.integer],
    unseen: NDArray[np.integer],
    inverse_propensity: NDArray[np.floating] | None,
    *,
    alone: NDArray[np.integer] | None = None,
    ks: Sequence[int] = (1, 3, 5),
    recall_ks: Sequence[int] = (10, 100),
) -> NovelLabels:
    """The metrics of whole rankings; arguments as in `NovelTotals` and its ``add``.

    Raises:
        ConfigError: For a cut-off below 1.
        DataError: When a ranking is malformed.
    """
    totals = NovelTotals(unseen, truth.shape[1], inverse_propensity, ks=ks, recall_ks=recall_ks)
    totals.add(truth, joint, alone)
    return totals.result()


def restricted(truth: sp.csr_matrix, group: NDArray[np.bool_]) -> sp.csr_matrix:
    """``truth`` [N, L] with the positives of the labels in ``group`` [L] alone."""
    kept = sp.csr_matrix(truth, copy=True)
    kept.data = np.where(group[kept.indices], kept.data, 0)
    kept.eliminate_zeros()
    return kept


def harmonic_means(seen: Mapping[str, float], unseen: Mapping[str, float]) -> dict[str, float]:
    """``2 s u / (s + u)`` of every metric, 0 where one of the two is 0."""
    sums = {name: seen[name] + unseen[name] for name in seen}
    return {name: 2 * seen[name] * unseen[name] / whole if whole else 0.0 for name, whole in sums.items()}


def _add_rows(truth: sp.csr_matrix, ids: NDArray[np.integer], totals: MetricTotals) -> None:
    """Add the rows that have a positive."""
    rows = np.flatnonzero(np.diff(truth.indptr))
    if len(rows):
        walk_hits(truth[rows], ids[rows], totals.add)
