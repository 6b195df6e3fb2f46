"""Weights of systems whose rankings are fused, by what the fusion comes to on rows that none has learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.errors import ConfigError
from xmc.evaluation.kinds import KINDS
from xmc.evaluation.metrics import ranking_metrics
from xmc.evaluation.mildest import Tried, mildest
from xmc.evaluation.per_query import per_query_metrics
from xmc.retrieval.fusion import Lists, Normalisation, weighted_fusion

__all__ = ["SHARES", "ChosenWeights", "Measure", "check_metric", "choose_weights", "measure_by"]

SHARES = (0.01, 0.02, *(round(0.05 * step, 2) for step in range(1, 20)))
"""Shares of the whole weight that a system is tried with."""

PASSES = 3


@dataclass(frozen=True)
class ChosenWeights:
    """Weights that add up to 1, and what they come to on the rows they were chosen on."""

    weights: tuple[float, ...]
    metrics: Mapping[str, float]
    """Of the fusion, in percent."""
    alone: tuple[Mapping[str, float], ...]
    """Of each system."""


def choose_weights(
    systems: Sequence[Lists],
    measure: Measure,
    metric: str,
    *,
    keep: Sequence[str] = (),
    k: int = 100,
    normalisation: Normalisation = "min_max",
) -> ChosenWeights:
    """Start from the best system alone; give others what raises ``metric`` most, if by more than chance.

    Every share of `SHARES` is tried for one system after the other, from what was best so far and in at most
    three passes: with two systems that is the whole grid. The best is taken where the best system alone is
    more than a standard error of the difference behind it (see `mildest`), and else that system alone: a few
    rows give no weight to what is ahead on them by chance. Of equal values the smaller share of what is
    added stands.

    Args:
        systems: Lists of each, for the same rows.
        measure: Their metrics, ``metric`` and ``keep`` among them.
        metric: More is better.
        keep: Metrics that must not fall below those of the best system alone.
        k: Labels of a fused list.
        normalisation: As in `weighted_fusion`.

    Raises:
        ConfigError: Without systems.
        DataError: As `weighted_fusion`.
    """
    if not systems:
        raise ConfigError("expected systems to fuse, got none")
    alone = [measure(ids[:, :k]) for ids, _ in systems]
    first = max(range(len(systems)), key=lambda place: (alone[place][metric], -place))
    floor = alone[first]
    weights, best = np.eye(len(systems))[first], floor
    lists = systems[first][0][:, :k]
    without = Tried(weights, floor, measure.rows(lists, metric), 0.0)
    for _ in range(PASSES):
        before = weights
        for place in range(len(systems)):
            others = np.where(np.arange(len(systems)) == place, 0.0, weights)
            if not others.any():
                continue
            for share in (0.0, *SHARES):
                tried = others * (1 - share) / others.sum()
                tried[place] = share
                ids = weighted_fusion(systems, tried.tolist(), k, normalisation=normalisation)[0]
                metrics = measure(ids)
                if metrics[metric] > best[metric] and all(metrics[name] >= floor[name] for name in keep):
                    weights, best, lists = tried, metrics, ids
        if weights is before or len(systems) < 3:
            break
    chosen = mildest([without, Tried(weights, best, measure.rows(lists, metric), 1.0)], measure.same)
    rounded = tuple(round(float(weight), 6) for weight in chosen.options)
    return ChosenWeights(rounded, chosen.metrics, tuple(alone))


@dataclass(frozen=True, eq=False)
class Measure:
    """Measures rankings of some rows: ``measure(ids)`` is the metrics in percent of a ranking [N, K].

    Attributes:
        truth: [N, L]; every stored value other than 0 is a positive.
        inverse_propensity: [L], for the metrics that go by it.
        names: Metrics, such as P@1 and R@100.
        same: [N], equal for rows that are one row measured several times; None where all differ.
    """

    truth: sp.csr_matrix
    inverse_propensity: NDArray[np.floating] | None
    names: tuple[str, ...]
    same: NDArray[np.int64] | None = None

    def __call__(self, ids: NDArray[np.integer]) -> dict[str, float]:
        """Each metric over all rows."""
        kinds = list(dict.fromkeys(name.partition("@")[0] for name in self.names))
        cuts = sorted({int(name.partition("@")[2]) for name in self.names})
        found = ranking_metrics(
            self.truth, ids, self.inverse_propensity, ks=cuts, recall_ks=cuts, kinds=kinds
        )
        return {name: found[name] for name in self.names}

    def rows(self, ids: NDArray[np.integer], name: str) -> NDArray[np.float64]:
        """What each row has of a metric, [N]; their mean is the metric over all."""
        kind, _, cut = name.partition("@")
        found = per_query_metrics(self.truth, ids, [int(cut)], self.inverse_propensity, kinds=[kind])
        gained = 100 * found.gained[name]
        if name not in found.ideal:
            return gained
        ideal = float(found.ideal[name].mean())  # of a ratio of sums, a row has its part of the numerator
        return gained / ideal if ideal else gained


def measure_by(
    truth: sp.csr_matrix,
    inverse_propensity: NDArray[np.floating] | None,
    names: Sequence[str],
    same: NDArray[np.int64] | None = None,
) -> Measure:
    """What measures rankings of the rows of ``truth`` [N, L] by these metrics, such as P@1 and R@100."""
    return Measure(truth, inverse_propensity, tuple(names), same)


def check_metric(option: str, name: str, depth: int) -> None:
    """Refuse what is no metric, or one of a cut-off beyond the lists.

    Raises:
        ConfigError: Naming ``option``.
    """
    kind, _, cut = name.partition("@")
    if kind not in KINDS or not cut.isdecimal() or not 1 <= int(cut) <= depth:
        raise ConfigError(
            f"{option}: expected a metric such as P@1, nDCG@5 or R@100, of at most the {depth} labels of a "
            f"list, got {name!r:.80}"
        )
