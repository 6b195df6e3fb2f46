"""Two matrix products instead of four where labels carry no gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from xmc.objectives import binary_cross_entropy, decoupled_softmax, softmax, supervised_contrastive
from xmc.scoring import tiled


class Products:
    """Counts how often scores are computed, tile by tile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        original = tiled.scaled_product

        def counting(*arguments: Any) -> Tensor:
            self.count += 1
            return original(*arguments)

        monkeypatch.setattr(tiled, "scaled_product", counting)


@pytest.mark.parametrize(
    "objective",
    [softmax, decoupled_softmax, supervised_contrastive, binary_cross_entropy],
    ids=lambda f: f.__name__,
)
def test_scores_are_computed_once_with_frozen_labels_and_twice_without(
    objective: Callable[..., Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    products = Products(monkeypatch)
    queries, labels = torch.randn(4, 3, requires_grad=True), torch.randn(1000, 3)
    counts = []
    for frozen in (True, False):
        products.count = 0
        given = labels.clone().requires_grad_(not frozen)
        objective(queries, given, [[0], [1, 2], [], [999]], memory_bytes=1).backward()
        counts.append(products.count)
    assert counts == [8, 16], "1,000 labels are eight tiles of at least 128"


def test_learned_offsets_keep_the_full_backward_pass() -> None:
    queries, labels = torch.randn(4, 3, requires_grad=True), torch.randn(50, 3)
    offsets = torch.zeros(50, requires_grad=True)
    decoupled_softmax(queries, labels, [[0], [1], [2], [3]], offsets=offsets).backward()
    assert offsets.grad is not None and (offsets.grad != 0).any()


def test_a_learned_scale_has_its_gradient_with_frozen_embeddings() -> None:
    scale = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    queries, labels = torch.randn(4, 3, dtype=torch.float64), torch.randn(50, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda s: softmax(queries, labels, [[0], [1], [], [2, 3]], scale=s), [scale]
    )
