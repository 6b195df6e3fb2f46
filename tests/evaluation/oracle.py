"""The metrics row by row and prediction by prediction, as their definitions read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

__all__ = ["coverage", "of_row", "reach"]


def of_row(positives: set[int], ranked: Sequence[int], weights: Any, k: int) -> dict[str, float]:
    """P, nDCG, R, MRR and MAP of one list, and numerators and denominators of PSP and PSnDCG."""
    top = [label for label in ranked[:k] if label >= 0]
    hits = [label in positives for label in top]
    cut = min(k, len(positives))
    gain = sum(1 / math.log2(rank + 2) for rank, hit in enumerate(hits) if hit)
    ideal = sum(1 / math.log2(rank + 2) for rank in range(cut)) or 1.0
    best = sorted((weights[label] for label in positives), reverse=True)[:k]
    precisions = [sum(hits[: rank + 1]) / (rank + 1) for rank, hit in enumerate(hits) if hit]
    return {
        "P": sum(hits) / k,
        "nDCG": gain / ideal,
        "R": sum(hits) / len(positives) if positives else 0.0,
        "MRR": 1 / (hits.index(True) + 1) if any(hits) else 0.0,
        "MAP": sum(precisions) / cut if positives else 0.0,
        "PSP": sum(weights[label] for label, hit in zip(top, hits, strict=True) if hit) / k,
        "PSP ideal": sum(best) / k,
        "PSnDCG": sum(
            weights[label] / math.log2(rank + 2)
            for rank, (label, hit) in enumerate(zip(top, hits, strict=True))
            if hit
        )
        / ideal,
        "PSnDCG ideal": sum(weight / math.log2(rank + 2) for rank, weight in enumerate(best)) / ideal,
    }


def coverage(positives: Sequence[set[int]], lists: Sequence[Sequence[int]], k: int) -> float:
    """Distinct labels hit among the first k over distinct labels that are positive."""
    hit = {
        label for own, ranked in zip(positives, lists, strict=True) for label in ranked[:k] if label in own
    }
    every = set().union(*positives)
    return len(hit) / len(every) if every else 0.0


def reach(lists: Sequence[Sequence[int]], num_labels: int, k: int) -> float:
    """Distinct labels among the first k over all."""
    return len({label for ranked in lists for label in ranked[:k] if label >= 0}) / num_labels
