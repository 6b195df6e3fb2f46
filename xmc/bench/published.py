"""The objectives as the DEXML paper and code state them, on the whole score matrix, for comparison only.

Gupta et al., "Dual-Encoders for Extreme Multi-label Classification", ICLR 2024: positives are masked by the
number -100, and the threshold of soft top-k is found by 32 bisections.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from xmc.scoring import Positives

__all__ = ["PUBLISHED"]

MASKED = -100.0
BISECTIONS = 32


def _scores(queries: Tensor, labels: Tensor, scale: float) -> Tensor:
    return scale * (queries @ labels.T)


def softmax(queries: Tensor, labels: Tensor, positives: Positives, scale: float = 20.0) -> Tensor:
    """Softmax over all labels, summed over positives: a scalar."""
    scores = _scores(queries, labels, scale)
    partition = torch.logsumexp(scores, 1)[positives.rows]
    return (partition - scores[positives.rows, positives.labels]).sum() / len(queries)


def decoupled_softmax(queries: Tensor, labels: Tensor, positives: Positives, scale: float = 20.0) -> Tensor:
    """Decoupled softmax with positives masked by -100: a scalar."""
    scores = _scores(queries, labels, scale)
    own = scores[positives.rows, positives.labels]
    # As published: -100 is not -inf, and where scores are lower than that it counts.
    negatives = scores.index_put((positives.rows, positives.labels), scores.new_tensor(MASKED))
    partition = torch.logsumexp(negatives, 1)[positives.rows]
    return positives.row_mean(torch.logaddexp(partition, own) - own).mean()


def binary_cross_entropy(
    queries: Tensor, labels: Tensor, positives: Positives, scale: float = 20.0
) -> Tensor:
    """One-versus-all, mean over B x L: a scalar."""
    scores = _scores(queries, labels, scale)
    own = scores[positives.rows, positives.labels]
    return (F.softplus(scores).sum() - own.sum()) / scores.numel()


class _LogSoftTopK(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, k: int, alpha: float) -> Tensor:
        # As published: from about 22,000 k labels on L sigmoid(-10) is above k, and so may be this end's sum.
        low = -scores.amax(1) - 10 / alpha
        high = -scores.amin(1) + 10 / alpha
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            few = torch.sigmoid(alpha * (scores + middle[:, None])).sum(1) < k
            low, high = torch.where(few, middle, low), torch.where(few, high, middle)
        shifted = alpha * (scores + ((low + high) / 2)[:, None])
        ctx.save_for_backward(shifted)
        ctx.alpha = alpha
        return F.logsigmoid(shifted)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (shifted,) = ctx.saved_tensors
        inside = torch.sigmoid(shifted)
        direct = gradients[0] * ctx.alpha * (1 - inside)
        # d log p_i / d x_j = alpha (1 - p_i)(delta_ij - v_j / sum v), with v = alpha p (1 - p).
        slope = ctx.alpha * inside * (1 - inside)
        return direct - slope * (direct.sum(1) / slope.sum(1))[:, None], None, None


def soft_top_k(queries: Tensor, labels: Tensor, positives: Positives, scale: float = 20.0) -> Tensor:
    """Soft top-5 with alpha 2: a scalar."""
    log_inside: Tensor = _LogSoftTopK.apply(_scores(queries, labels, scale), 5, 2.0)  # type: ignore
    return positives.row_mean(-log_inside[positives.rows, positives.labels]).mean()


PUBLISHED: dict[str, Callable[..., Tensor]] = {
    "softmax": softmax,
    "decoupled_softmax": decoupled_softmax,
    "binary_cross_entropy": binary_cross_entropy,
    "soft_top_k": soft_top_k,
}
"""By the name of our objective."""
