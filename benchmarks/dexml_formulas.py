"""DEXML's two losses by their formulas, in plain torch: all scores in memory, gradients by autograd.

Source: Gupta et al., "Dual-Encoders for Extreme Multi-label Classification", ICLR 2024 (arXiv 2310.10636),
sections 4 and 5, with what the authors' program does where the paper leaves it open: a score of -100 takes
the place of one that is left out, a threshold is found by 32 halvings of a bracket of its own, and the last
label of a process is never a positive, but scored as a negative.

`decoupled` and `soft_top_k` build objectives from options (docs/extending.md, "Your own objective"), as
`xmc train RECIPE --objective.name benchmarks.dexml_formulas:decoupled` takes them.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from xmc.errors import ConfigError
from xmc.objectives import plain_objective
from xmc.objectives.plain import PlainObjective

__all__ = ["LEFT_OUT", "PairDraw", "decoupled", "decoupled_rows", "soft_top_k", "soft_top_k_rows"]

LEFT_OUT = -100.0
"""What stands for a score that is left out; right while every other score is far above it."""
LastLabel = Literal["published", "mended"]


class PairDraw:
    """Which positives of each row a step keeps, at most ``count``, drawn uniformly; None keeps all.

    The authors' draw goes with relevance, which is 1 throughout here.
    """

    def __init__(self, count: int | None, seed: int) -> None:
        if count is not None and count < 1:
            raise ConfigError(f"expected at least 1 positive of a row, or null for all, got {count}")
        self.count, self.random = count, torch.Generator().manual_seed(seed)

    def __call__(self, positives: Tensor) -> tuple[Tensor, Tensor]:
        """Rows and labels of the kept pairs of a mask [B, L], each [P]."""
        rows, labels = positives.nonzero(as_tuple=True)
        if self.count is None:
            return rows, labels
        # In a random order within each row, of which the first few are kept.
        order = torch.argsort(rows + torch.rand(len(rows), generator=self.random, dtype=torch.float64))
        counts = torch.bincount(rows, minlength=len(positives))
        place = torch.arange(len(rows)) - (counts.cumsum(0) - counts)[rows]
        kept = order[place < self.count]
        return rows[kept], labels[kept]


def _without_last(positives: Tensor, last_label: LastLabel) -> Tensor:
    """The mask [B, L]; as published, without the last label, whose score then stays among the negatives."""
    if last_label == "mended":
        return positives
    if last_label != "published":
        raise ConfigError(f"expected last_label published or mended, got {last_label!r}")
    positives = positives.clone()
    positives[:, -1] = False
    return positives


def _row_means(losses: Tensor, rows: Tensor, num_rows: int) -> Tensor:
    """Means over the pairs of each row: [P] to [B], 0 for a row without any."""
    counts = torch.bincount(rows, minlength=num_rows).clamp_min(1)
    return losses.new_zeros(num_rows).index_add(0, rows, losses) / counts


def decoupled_rows(scores: Tensor, positives: Tensor, draw: PairDraw) -> Tensor:
    """Decoupled softmax: the mean over kept positives c of ``log(e^{s_c} + sum_{j not in P} e^{s_j}) - s_c``.

    Args:
        scores: [B, L].
        positives: Mask [B, L]; one that is not drawn is no negative either.
        draw: Which of them count.

    Returns:
        [B].
    """
    rows, labels = draw(positives)
    negatives = scores.masked_fill(positives, LEFT_OUT).logsumexp(1)
    own = scores[rows, labels]
    return _row_means(torch.logaddexp(negatives[rows], own) - own, rows, len(scores))


class _Threshold(torch.autograd.Function):
    """t [B] with ``sum_j sigmoid(alpha (s_j + t)) = k``; ``dt/ds_j = -v_j / sum v``, ``v = p (1 - p)``.

    The search is not differentiated through; the derivative is that of the implicit function.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, k: float, alpha: float, halvings: int) -> Tensor:
        low, high = -scores.amax(1) - 10 / alpha, -scores.amin(1) + 10 / alpha
        for _ in range(halvings):
            middle = (low + high) / 2
            less = torch.sigmoid(alpha * (scores + middle[:, None])).sum(1) < k
            low, high = torch.where(less, middle, low), torch.where(less, high, middle)
        threshold = (low + high) / 2
        ctx.save_for_backward(scores, threshold)
        ctx.alpha = alpha
        return threshold

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        scores, threshold = ctx.saved_tensors
        p = torch.sigmoid(ctx.alpha * (scores + threshold[:, None]))
        v = p * (1 - p)
        return -v * (gradient / v.sum(1))[:, None], None, None, None


def soft_top_k_rows(
    scores: Tensor, positives: Tensor, draw: PairDraw, k: float, alpha: float, halvings: int
) -> Tensor:
    """Soft top-k of scores [B, L]: the mean over kept positives of ``-log sigmoid(alpha (s_c + t))``: [B].

    Args:
        scores: [B, L].
        positives: Mask [B, L]; one that is not drawn takes no part in the threshold.
        draw: Which of them count.
        k: What the indicators add up to.
        alpha: Their steepness.
        halvings: Of the bracket.
    """
    rows, labels = draw(positives)
    own = scores[rows, labels]
    if draw.count is not None:
        dropped = positives.clone()
        dropped[rows, labels] = False
        scores = scores.masked_fill(dropped, LEFT_OUT)
    threshold = _Threshold.apply(scores, k, alpha, halvings)
    return _row_means(F.softplus(-alpha * (own + threshold[rows])), rows, len(scores))


def decoupled(per_row: int | None = 1, last_label: LastLabel = "published", seed: int = 0) -> PlainObjective:
    """Decoupled softmax as an objective.

    Args:
        per_row: Positives of a row that a step keeps, drawn anew each time; None for all.
        last_label: Whether the last label is never a positive (published) or is like others (mended).
        seed: Of the draw.
    """
    draw = PairDraw(per_row, seed)

    def dexml_decoupled(queries: Tensor, labels: Tensor, positives: Tensor, scale: float) -> Tensor:
        return decoupled_rows(scale * queries @ labels.T, _without_last(positives, last_label), draw)

    return plain_objective("dexml_decoupled", dexml_decoupled)


def soft_top_k(
    k: int = 5,
    alpha: float = 2.0,
    sampled: bool = True,
    last_label: LastLabel = "published",
    halvings: int = 32,
    seed: int = 0,
) -> PlainObjective:
    """Soft top-k as an objective.

    Args:
        k: What a row's indicators add up to.
        alpha: Their steepness.
        sampled: Whether a row with more than k positives keeps k of them, drawn anew for each step.
        last_label: As for :func:`decoupled`.
        halvings: Of the threshold's bracket.
        seed: Of the draw.
    """
    draw = PairDraw(k if sampled else None, seed)

    def dexml_soft_top_k(queries: Tensor, labels: Tensor, positives: Tensor, scale: float) -> Tensor:
        scores, mask = scale * queries @ labels.T, _without_last(positives, last_label)
        return soft_top_k_rows(scores, mask, draw, float(k), alpha, halvings)

    return plain_objective("dexml_soft_top_k", dexml_soft_top_k)
