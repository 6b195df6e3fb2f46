"""NormFace, CosFace and ArcFace beside those of pytorch-metric-learning, where a query has one label."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from xmc.objectives import MarginConfig, build_objective, with_margin
from xmc.scoring import ScoreInputs

pytestmark = pytest.mark.slow

SCALE, SIZE = 16.0, 0.3


def theirs(losses: Any, kind: str, num_labels: int, dimension: int) -> Any:
    if kind == "none":
        return losses.NormalizedSoftmaxLoss(num_labels, dimension, temperature=1 / SCALE)
    if kind == "cosface":
        return losses.CosFaceLoss(num_labels, dimension, margin=SIZE, scale=SCALE)
    return losses.ArcFaceLoss(num_labels, dimension, margin=math.degrees(SIZE), scale=SCALE)


@pytest.mark.parametrize("objective", ["softmax", "decoupled_softmax"])
@pytest.mark.parametrize("kind", ["none", "cosface", "arcface"])
def test_value_and_gradients_are_theirs(kind: str, objective: str) -> None:
    losses = pytest.importorskip(
        "pytorch_metric_learning.losses", reason="pytorch-metric-learning is of the extra slow"
    )
    draw = torch.Generator().manual_seed(4)
    queries = torch.randn(20, 8, generator=draw, dtype=torch.float64).requires_grad_()
    labels = torch.randn(13, 8, generator=draw, dtype=torch.float64).requires_grad_()
    targets = torch.randint(13, (20,), generator=draw)
    other = theirs(losses, kind, 13, 8).double()
    # Theirs has a column a label. The same numbers, not the same tensor: it owns its weights.
    other.W.data = labels.detach().T.clone()

    def ours() -> Tensor:
        loss = with_margin(build_objective(objective), MarginConfig(kind, SIZE), seed=0)  # type: ignore[arg-type]
        positives = [[int(target)] for target in targets]
        return loss(ScoreInputs(F.normalize(queries, dim=1), F.normalize(labels, dim=1), positives, SCALE))

    own, expected = ours(), other(queries, targets)
    torch.testing.assert_close(own, expected, rtol=1e-10, atol=1e-10)
    by_queries, by_labels = torch.autograd.grad(own, [queries, labels])
    theirs_by_queries, theirs_by_columns = torch.autograd.grad(expected, [queries, other.W])
    torch.testing.assert_close(by_queries, theirs_by_queries, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(by_labels, theirs_by_columns.T, rtol=1e-9, atol=1e-10)
