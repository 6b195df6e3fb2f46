"""Margins beside those of pytorch-metric-learning, where a query has one label."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from xmc.objectives import MarginConfig, build_objective, with_margin
from xmc.scoring import ScoreInputs

SCALE = 16.0


@pytest.fixture
def losses() -> Any:
    from pytorch_metric_learning import losses

    return losses


def drawn(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, labels and each query's label."""
    draw = torch.Generator().manual_seed(seed)
    queries, labels = (torch.randn(n, 8, generator=draw, dtype=torch.float64) for n in (20, 13))
    return queries.requires_grad_(), labels.requires_grad_(), torch.randint(13, (20,), generator=draw)


def theirs(losses: Any, kind: str, size: float, num_labels: int, dimension: int) -> Any:
    if kind == "none":
        return losses.NormalizedSoftmaxLoss(num_labels, dimension, temperature=1 / SCALE)
    if kind == "cosface":
        return losses.CosFaceLoss(num_labels, dimension, margin=size, scale=SCALE)
    return losses.ArcFaceLoss(num_labels, dimension, margin=math.degrees(size), scale=SCALE)


@pytest.mark.parametrize("objective", ["softmax", "decoupled_softmax"])
@pytest.mark.parametrize("kind", ["none", "cosface", "arcface"])
@pytest.mark.parametrize(("size", "tolerance"), [(0.3, 1e-10), (0.5, 1e-9)])
def test_value_and_gradients_are_theirs(
    kind: str, objective: str, size: float, tolerance: float, losses: Any
) -> None:
    """0.5 is 28.6 degrees, the margin of ArcFace's paper."""
    queries, labels, targets = drawn(4)
    other = theirs(losses, kind, size, 13, 8).double()
    # Theirs has a column a label. The same numbers, not the same tensor: it owns its weights.
    other.W.data = labels.detach().T.clone()

    def ours() -> Tensor:
        loss = with_margin(build_objective(objective), MarginConfig(kind, size), seed=0)  # type: ignore[arg-type]
        positives = [[int(target)] for target in targets]
        return loss(ScoreInputs(F.normalize(queries, dim=1), F.normalize(labels, dim=1), positives, SCALE))

    own, expected = ours(), other(queries, targets)
    torch.testing.assert_close(own, expected, rtol=1e-10, atol=1e-10)
    by_queries, by_labels = torch.autograd.grad(own, [queries, labels])
    theirs_by_queries, theirs_by_columns = torch.autograd.grad(expected, [queries, other.W])
    torch.testing.assert_close(by_queries, theirs_by_queries, rtol=1e-9, atol=tolerance)
    torch.testing.assert_close(by_labels, theirs_by_columns.T, rtol=1e-9, atol=tolerance)


@pytest.mark.parametrize("objective", ["softmax", "decoupled_softmax"])
@pytest.mark.parametrize("multiple", [1, 2, 3, 4])
def test_l_softmax_of_unit_vectors_is_theirs(multiple: int, objective: str, losses: Any) -> None:
    """Theirs keeps the lengths of vectors, which are 1 here; it has no plain cosine in the mixture."""
    queries, labels, targets = drawn(5)
    units = F.normalize(queries, dim=1), F.normalize(labels, dim=1)
    other = losses.LargeMarginSoftmaxLoss(13, 8, margin=multiple, scale=SCALE).double()
    other.W.data = units[1].detach().T.clone()

    config = MarginConfig("l_softmax", multiple=multiple, plain_start=0.0, plain_least=0.0)
    loss = with_margin(build_objective(objective), config, seed=0)
    own = loss(ScoreInputs(*units, [[int(target)] for target in targets], SCALE))
    expected = other(units[0], targets)
    torch.testing.assert_close(own, expected, rtol=1e-10, atol=1e-10)
    by_queries, by_labels = torch.autograd.grad(own, [queries, labels], retain_graph=True)
    theirs_by_queries, theirs_by_columns = torch.autograd.grad(expected, [queries, other.W])
    torch.testing.assert_close(by_queries, theirs_by_queries, rtol=1e-8, atol=1e-9)
    # Of a label of any length: what is left of the gradient of its unit vector across it.
    (by_units,) = torch.autograd.grad(units[1], labels, theirs_by_columns.T)
    torch.testing.assert_close(by_labels, by_units, rtol=1e-8, atol=1e-9)
