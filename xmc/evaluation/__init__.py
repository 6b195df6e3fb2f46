"""Measuring rankings: metrics, predictions on disk, and the evaluation of a model on a data set."""

from __future__ import annotations

from xmc.evaluation.evaluate import evaluate, rank_labels
from xmc.evaluation.metrics import mrr_at, ndcg_at, precision_at, psp_at, ranking_metrics, recall_at
from xmc.evaluation.predictions import load_predictions, save_predictions
from xmc.evaluation.result import Evaluation, comparison_table

__all__ = [
    "Evaluation",
    "comparison_table",
    "evaluate",
    "load_predictions",
    "mrr_at",
    "ndcg_at",
    "precision_at",
    "psp_at",
    "rank_labels",
    "ranking_metrics",
    "recall_at",
    "save_predictions",
]
