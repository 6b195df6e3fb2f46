"""Labels held out of training, on a report: how each system finds them, among all labels and alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xmc.data import Dataset, inverse_propensity
from xmc.evaluation import NovelLabels, novel_metrics
from xmc.reports.numbers import number
from xmc.reports.rows import Row
from xmc.reports.systems import System

__all__ = ["NOVEL_METRICS", "novel_labels", "novel_rows"]

NOVEL_METRICS = ("P@1", "P@5", "R@10", "R@100")
_RECALL_KS = (10, 100)


def novel_labels(systems: Sequence[System], dataset: Dataset) -> dict[str, NovelLabels]:
    """By the system's name; empty for a data set without labels held out of training.

    A model's are those of its evaluation. Of predictions the unseen labels are not ranked alone, and recall
    goes as far as their lists.
    """
    if not len(dataset.unseen_labels):
        return {}
    weights = None
    if dataset.num_train:
        constants = dataset.propensity
        weights = inverse_propensity(dataset.relevance("train"), constants.a, constants.b)
    found = {}
    for system in systems:
        novel = None if system.evaluation is None else system.evaluation.novel
        if novel is None:
            recall_ks = [k for k in _RECALL_KS if k <= system.ids.shape[1]] or [system.ids.shape[1]]
            novel = novel_metrics(
                system.truth, system.ids, dataset.unseen_labels, weights, recall_ks=recall_ks
            )
        found[system.name] = novel
    return found


def novel_rows(found: Mapping[str, NovelLabels]) -> list[Row]:
    """`NOVEL_METRICS` of each way of ranking by each system; "–" for what was not measured."""
    lines: dict[str, dict[str, Mapping[str, float]]] = {}
    for name, novel in found.items():
        for title, metrics in novel.rows():
            lines.setdefault(title, {})[name] = metrics
    return [
        Row(
            title if len(found) == 1 else f"{title}: {name}",
            [number(metrics.get(metric)) for metric in NOVEL_METRICS],
        )
        for title, systems in lines.items()
        for name, metrics in systems.items()
    ]
