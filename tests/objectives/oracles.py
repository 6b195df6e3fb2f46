"""Every objective once more as a plain loop over rows and labels, in Python floats, apart from xmc."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["CASES", "Case", "Row", "soft_threshold"]


@dataclass(frozen=True)
class Row:
    """One query: its scores [L], its positives, their relevance and how many labels each label stands for."""

    scores: list[float]
    positives: list[int]
    relevance: dict[int, float]
    factors: list[float]
    bias: float

    def negatives(self) -> list[int]:
        return [j for j in range(len(self.scores)) if j not in self.positives]

    def mean(self, losses: dict[int, float]) -> float:
        if not losses:
            return 0.0
        return sum(self.relevance[c] * losses[c] for c in losses) / sum(self.relevance[c] for c in losses)


def log_sum_exp(values: list[float]) -> float:
    highest = max(values, default=-math.inf)
    if highest == -math.inf:
        return -math.inf
    return highest + math.log(sum(math.exp(v - highest) for v in values))


def softplus(value: float) -> float:
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))


def log_all(row: Row) -> float:
    weighed = [row.scores[j] + math.log(row.factors[j]) for j in row.negatives()]
    return log_sum_exp(weighed + [row.scores[c] for c in row.positives])


def softmax_mean(row: Row) -> float:
    return row.mean({c: log_all(row) - row.scores[c] for c in row.positives})


def softmax_sum(row: Row) -> float:
    return sum(row.relevance[c] * (log_all(row) - row.scores[c]) for c in row.positives)


def contrastive_in(row: Row) -> float:
    if not row.positives:
        return 0.0
    inside = log_sum_exp([math.log(row.relevance[c]) + row.scores[c] for c in row.positives])
    return log_all(row) - inside + math.log(sum(row.relevance[c] for c in row.positives))


def decoupled_softmax(row: Row) -> float:
    others = [row.scores[j] + math.log(row.factors[j]) for j in row.negatives()]
    return row.mean({c: log_sum_exp([*others, row.scores[c]]) - row.scores[c] for c in row.positives})


def cross_entropy(row: Row, bias: float) -> float:
    positive = sum(row.relevance[c] * softplus(-row.scores[c] - bias) for c in row.positives)
    return positive + sum(row.factors[j] * softplus(row.scores[j] + bias) for j in row.negatives())


def soft_threshold(scores: list[float], factors: list[float], k: float, alpha: float) -> float:
    total = sum(factors)
    if k >= total:
        return math.inf
    level = (math.log(k) - math.log(total - k)) / alpha
    low, high = level - max(scores), level - min(scores)
    for _ in range(200):
        middle = (low + high) / 2
        z = [alpha * (x + middle) for x in scores]
        small = sum(w / (1 + math.exp(-v)) for v, w in zip(z, factors, strict=True) if -700 < v < 0)
        missing = sum(w / (1 + math.exp(v)) for v, w in zip(z, factors, strict=True) if 0 <= v < 700)
        count = sum(w for v, w in zip(z, factors, strict=True) if v >= 0)
        low, high = (low, middle) if (count - k) + (small - missing) > 0 else (middle, high)
    return (low + high) / 2


def soft_top_k(row: Row, k: float | None, alpha: float) -> float:
    factors = [1.0 if j in row.positives else row.factors[j] for j in range(len(row.scores))]
    threshold = soft_threshold(row.scores, factors, k or max(1.0, len(row.positives)), alpha)
    return row.mean({c: softplus(-alpha * (row.scores[c] + threshold)) for c in row.positives})


def competitors(row: Row, own: int, decoupled: bool) -> list[tuple[float, float]]:
    """(score, weight) of what positive ``own`` is held against, itself included."""
    positives = [own] if decoupled else row.positives
    return [(row.scores[j], row.factors[j]) for j in row.negatives()] + [
        (row.scores[c], 1.0) for c in positives
    ]


def z_loss(score: float, others: list[tuple[float, float]], a: float, b: float) -> float:
    total = sum(w for _, w in others)
    mean = sum(w * x for x, w in others) / total
    variance = sum(w * (x - mean) ** 2 for x, w in others) / total
    return softplus(a * (b - (score - mean) / math.sqrt(max(variance, 1e-12)))) / a


def taylor(score: float, others: list[tuple[float, float]]) -> float:
    def f(x: float) -> float:
        return 1 + x + x * x / 2

    return -math.log(f(score) / sum(w * f(x) for x, w in others))


def log_spherical(score: float, others: list[tuple[float, float]], eps: float) -> float:
    return -math.log((score**2 + eps) / sum(w * (x * x + eps) for x, w in others))


def spherical(pair: Callable[..., float], decoupled: bool, **options: float) -> Callable[[Row], float]:
    def row_loss(row: Row) -> float:
        if decoupled and not row.negatives():
            return 0.0
        return row.mean(
            {c: pair(row.scores[c], competitors(row, c, decoupled), **options) for c in row.positives}
        )

    return row_loss


def squared_error(row: Row, decoupled: bool) -> float:
    rest = sum(row.factors[j] * row.scores[j] ** 2 for j in row.negatives())
    errors = {c: (row.scores[c] - 1) ** 2 for c in row.positives}
    if decoupled:
        return row.mean({c: e + rest for c, e in errors.items()})
    return rest + sum(row.relevance[c] * e for c, e in errors.items())


@dataclass(frozen=True)
class Case:
    """An objective by its name in the catalogue, its options, and the loss of a row."""

    name: str
    options: dict[str, Any]
    row_loss: Callable[[Row], float]

    def __str__(self) -> str:
        return "-".join([self.name, *(f"{k}={v}" for k, v in self.options.items())])


def _both(name: str, pair: Callable[..., float], **options: float) -> list[Case]:
    return [
        Case(name, {**options, "decoupled": decoupled}, spherical(pair, decoupled, **options))
        for decoupled in (False, True)
    ]


CASES = [
    Case("softmax", {"over_positives": "mean"}, softmax_mean),
    Case("softmax", {"over_positives": "sum"}, softmax_sum),
    Case("decoupled_softmax", {}, decoupled_softmax),
    Case("supervised_contrastive", {"mean": "out"}, softmax_mean),
    Case("supervised_contrastive", {"mean": "in"}, contrastive_in),
    Case("binary_cross_entropy", {"bias": 0.0}, lambda row: cross_entropy(row, 0.0)),
    Case("binary_cross_entropy", {"bias": -1.5}, lambda row: cross_entropy(row, -1.5)),
    Case("binary_cross_entropy", {}, lambda row: cross_entropy(row, row.bias)),
    Case("soft_top_k", {"k": 1.5}, lambda row: soft_top_k(row, 1.5, 2.0)),
    Case("soft_top_k", {"k": "positives", "alpha": 0.7}, lambda row: soft_top_k(row, None, 0.7)),
    *_both("spherical_z_loss", z_loss, a=1.5, b=2.0),
    *_both("taylor_softmax", taylor),
    *_both("spherical_softmax", log_spherical, eps=0.5),
    Case("mean_squared_error", {"decoupled": False}, lambda row: squared_error(row, False)),
    Case("mean_squared_error", {"decoupled": True}, lambda row: squared_error(row, True)),
]
