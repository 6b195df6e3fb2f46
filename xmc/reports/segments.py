"""Who is helped: metrics by label frequency, by unseen labels, by number of positives and by query length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from xmc.data import Dataset
from xmc.reports.group_metrics import Sums, label_group_sums, query_group_sums
from xmc.reports.groups import (
    Groups,
    frequency_deciles,
    head_torso_tail,
    num_words,
    query_length_groups,
    query_positives_groups,
    seen_and_unseen,
)
from xmc.reports.measures import pick
from xmc.reports.resampling import Intervals, bootstrap
from xmc.reports.systems import Split, System

__all__ = ["Interval", "SegmentRow", "SegmentTable", "intervals", "segment_tables"]

_SHOWN = ("P@1", "P@5", "nDCG@5", "PSP@5", "R@100")


@dataclass(frozen=True)
class Interval:
    """A number and its 95 % bootstrap interval, in percent; None where it is not defined."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class SegmentRow:
    """One group under one system."""

    group: str
    bounds: str
    size: int
    """Labels or queries in the group."""
    positives: int
    """Positives of the split in the group."""
    system: str
    metrics: dict[str, Interval]
    change: dict[str, Interval] = field(default_factory=dict)
    """Less the first system, paired; empty for the first."""


@dataclass(frozen=True)
class SegmentTable:
    """Every group of one division under every system."""

    name: str
    """A short key: "frequency", "deciles", "seen", "positives", "length"."""
    title: str
    of: str
    """"labels" or "queries"."""
    metrics: tuple[str, ...]
    rows: list[SegmentRow]


def segment_tables(
    dataset: Dataset,
    split: Split,
    systems: Sequence[System],
    measured: Mapping[str, Sums],
    *,
    ks: Sequence[int] = (1, 5),
    bounds: tuple[int, int] = (5, 50),
    seed: int = 0,
) -> list[SegmentTable]:
    """All divisions.

    Args:
        dataset: Gives truth, training frequencies and texts.
        split: "train" or "test".
        systems: Rankings of the split; the others are set against the first.
        measured: By the system's name, what `measure` gives of each.
        ks: Cut-offs of the label groups' metrics.
        bounds: The most training points of a tail and of a torso label.
        seed: Of the resamples.

    Raises:
        DataError: When a ranking is malformed.
    """
    train = dataset.relevance("train")
    points = np.bincount(train.indices[train.data != 0], minlength=dataset.num_labels)
    truth = dataset.relevance(split)
    by_label = {
        "frequency": ("Head, torso and tail", head_torso_tail(points, bounds)),
        "deciles": ("By training points", frequency_deciles(points)),
        "seen": ("By labels seen in training", seen_and_unseen(points)),
    }
    by_query = {
        "positives": ("By number of positives", query_positives_groups(truth)),
        "length": ("By length of the query", query_length_groups(num_words(dataset.texts(split)))),
    }
    tables = []
    for name, (title, groups) in by_label.items():
        positives = np.bincount(groups.of[truth.indices[truth.data != 0]], minlength=len(groups.names))
        sums = {s.name: [label_group_sums(s.hits, s.ids, groups, k) for k in ks] for s in systems}
        metrics = tuple(f"{kind}@{k}" for k in ks for kind in ("P", "R", "slots"))
        merged = {system: _side_by_side(parts) for system, parts in sums.items()}
        tables.append(_table(name, title, "labels", groups, positives, metrics, merged, seed))
    # Lists of another length may lack a metric, and every system has a value in each row.
    shared = [name for name in _SHOWN if all(name in measured[system.name].names for system in systems)]
    shown = {system.name: pick(measured[system.name], shared) for system in systems}
    counts = np.diff(truth.indptr)
    for name, (title, groups) in by_query.items():
        positives = np.bincount(groups.of, weights=counts, minlength=len(groups.names)).astype(np.int64)
        split_up = {system: query_group_sums(sums, groups) for system, sums in shown.items()}
        tables.append(_table(name, title, "queries", groups, positives, tuple(shared), split_up, seed))
    return tables


def intervals(found: Intervals) -> list[Interval]:
    """The M ratios in percent, one by one."""
    columns = zip(found.value.tolist(), found.low.tolist(), found.high.tolist(), strict=True)
    return [Interval(*(None if np.isnan(x) else 100.0 * x for x in column)) for column in columns]


def _side_by_side(parts: Sequence[Sums]) -> Sums:
    """Columns of label groups, G of each metric, put in the order of query groups: M of each group."""
    gained = np.hstack([part.gained for part in parts])
    whole = np.hstack([part.whole for part in parts])
    metrics = 3 * len(parts)
    groups = gained.shape[1] // metrics
    order = np.arange(gained.shape[1]).reshape(metrics, groups).T.ravel()
    return Sums(tuple(str(column) for column in order), gained[:, order], whole[:, order])


def _table(
    name: str,
    title: str,
    of: str,
    groups: Groups,
    positives: NDArray[np.int64],
    metrics: tuple[str, ...],
    sums: dict[str, Sums],
    seed: int,
) -> SegmentTable:
    values = {system: intervals(bootstrap(s.gained, s.whole, seed=seed)) for system, s in sums.items()}
    first = next(iter(sums.values()))
    changes = {
        system: intervals(bootstrap(s.gained - first.gained, s.whole, seed=seed))
        for system, s in list(sums.items())[1:]
    }
    rows = []
    for g, group in enumerate(groups.names):
        cells = slice(g * len(metrics), (g + 1) * len(metrics))
        for system in sums:
            change = changes[system][cells] if system in changes else []
            rows.append(
                SegmentRow(
                    group,
                    groups.bounds[g],
                    int(groups.sizes[g]),
                    int(positives[g]),
                    system,
                    dict(zip(metrics, values[system][cells], strict=True)),
                    dict(zip(metrics, change, strict=False)),
                )
            )
    return SegmentTable(name, title, of, metrics, rows)
