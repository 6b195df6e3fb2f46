"""The oracle of the factored head: the whole table, plain autograd on all scores, torch's SGD."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from tests.objectives.functions import FUNCTIONS
from xmc.objectives import Objective, build_objective
from xmc.objectives.statistics.moments import SphericalValue

__all__ = ["LOSSES", "DenseHead", "draw_batch", "draw_table", "value_of"]

LOSSES: list[tuple[str, dict[str, Any], float]] = [
    ("spherical_z_loss", {"a": 1.0, "b": 5.0}, 0.5),
    ("taylor_softmax", {}, 0.5),
    ("spherical_softmax", {"eps": 0.5}, 0.5),
    ("mean_squared_error", {}, 0.05),
]
"""Every member of the family, with options and a learning rate that keeps it stable."""


def value_of(name: str, **options: Any) -> SphericalValue:
    """The row losses of an objective from scores and moments."""
    objective = build_objective(name, options)
    assert isinstance(objective, Objective)
    return objective.value


class DenseHead:
    """``step`` gives loss and gradient of the queries; ``table`` is the table."""

    def __init__(self, table: Tensor, loss: str, options: dict[str, Any], decay: float = 0.0) -> None:
        self.table = table.clone().requires_grad_()
        self.loss: Callable[..., Tensor] = FUNCTIONS[loss]
        self.options = options
        self.optimizer = torch.optim.SGD([self.table], lr=1.0, weight_decay=decay)

    def step(self, queries: Tensor, positives: Any, lr: float, masked: Any = None) -> tuple[Tensor, Tensor]:
        leaf = queries.clone().requires_grad_()
        options = {"scale": 1.0, "implementation": "dense", "masked": masked, **self.options}
        loss = self.loss(leaf, self.table, positives, **options)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.param_groups[0]["lr"] = lr
        self.optimizer.step()
        return loss.detach(), leaf.grad


def draw_table(num_labels: int, dimension: int, seed: int = 0) -> Tensor:
    """[L, D] float64 with a mean row that is not zero."""
    generator = torch.Generator().manual_seed(seed)
    table = torch.randn(num_labels, dimension, generator=generator, dtype=torch.float64)
    return (table + 0.5 * torch.randn(dimension, generator=generator, dtype=torch.float64)) / dimension**0.5


@cache
def draw_batch(
    num_rows: int, num_labels: int, dimension: int, seed: int, weighted: bool = False
) -> tuple[Tensor, sp.csr_matrix]:
    """Queries of length 1, and one to five Zipfian positives per row: rows share the frequent ones."""
    random = np.random.default_rng(seed)
    queries = torch.from_numpy(random.normal(size=(num_rows, dimension)) + 0.5)
    queries = torch.nn.functional.normalize(queries, dim=1)
    chances = 1 / np.arange(1, num_labels + 1)
    chances /= chances.sum()
    lists = [
        random.choice(num_labels, random.integers(1, 6), p=chances, replace=False) for _ in range(num_rows)
    ]
    rows = np.repeat(np.arange(num_rows), [len(ids) for ids in lists])
    values = random.uniform(0.5, 2.0, len(rows)) if weighted else np.ones(len(rows))
    return queries, sp.csr_matrix((values, (rows, np.concatenate(lists))), (num_rows, num_labels))
