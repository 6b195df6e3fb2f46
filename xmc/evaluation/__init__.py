"""Measuring rankings: metrics, predictions on disk, and the evaluation of a model on a data set.

The names are imported on first use: to write predictions takes neither torch nor scipy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmc.lazy import lazy_exports

if TYPE_CHECKING:
    from xmc.evaluation.evaluating import evaluate, rank_labels
    from xmc.evaluation.kinds import KINDS
    from xmc.evaluation.metrics import (
        coverage_at,
        map_at,
        mrr_at,
        ndcg_at,
        precision_at,
        psndcg_at,
        psp_at,
        ranking_metrics,
        recall_at,
    )
    from xmc.evaluation.novel import NovelLabels, novel_metrics
    from xmc.evaluation.per_query import PerQuery, per_query_metrics
    from xmc.evaluation.predictions import load_predictions, save_predictions, write_predictions
    from xmc.evaluation.published import PublishedResult, published_results
    from xmc.evaluation.result import Evaluation, comparison_table
    from xmc.evaluation.score import load_lists, load_ranking, score_predictions

__all__ = [
    "KINDS",
    "Evaluation",
    "NovelLabels",
    "PerQuery",
    "PublishedResult",
    "comparison_table",
    "coverage_at",
    "evaluate",
    "load_predictions",
    "load_lists",
    "load_ranking",
    "map_at",
    "mrr_at",
    "ndcg_at",
    "novel_metrics",
    "per_query_metrics",
    "precision_at",
    "psndcg_at",
    "psp_at",
    "published_results",
    "rank_labels",
    "ranking_metrics",
    "recall_at",
    "save_predictions",
    "score_predictions",
    "write_predictions",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        **dict.fromkeys(("evaluate", "rank_labels"), "xmc.evaluation.evaluating"),
        "KINDS": "xmc.evaluation.kinds",
        **dict.fromkeys(
            (
                "coverage_at",
                "map_at",
                "mrr_at",
                "ndcg_at",
                "precision_at",
                "psndcg_at",
                "psp_at",
                "ranking_metrics",
                "recall_at",
            ),
            "xmc.evaluation.metrics",
        ),
        **dict.fromkeys(("NovelLabels", "novel_metrics"), "xmc.evaluation.novel"),
        **dict.fromkeys(("PerQuery", "per_query_metrics"), "xmc.evaluation.per_query"),
        **dict.fromkeys(
            ("load_predictions", "save_predictions", "write_predictions"), "xmc.evaluation.predictions"
        ),
        **dict.fromkeys(("PublishedResult", "published_results"), "xmc.evaluation.published"),
        **dict.fromkeys(("Evaluation", "comparison_table"), "xmc.evaluation.result"),
        **dict.fromkeys(("load_lists", "load_ranking", "score_predictions"), "xmc.evaluation.score"),
    },
)
