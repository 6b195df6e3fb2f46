"""The two sides of a model, queries and labels: whether they share weights, and making them do so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from xmc.encoders.module_kinds import is_static

__all__ = ["share_equal_tables", "shares_weights"]


def shares_weights(query: Sequence[nn.Module], label: Sequence[nn.Module]) -> bool:
    """Whether the two sides have the same parameters, and so learn as one."""
    # By identity of parameters: equal numbers in two tensors would part at the first step.
    mine, yours = ({id(p) for module in side for p in module.parameters()} for side in (query, label))
    return mine == yours


def share_equal_tables(query: Any, label: Any) -> None:
    """Tie two static modules that were saved as one table twice, where the tables are still equal."""
    if is_static(query) and is_static(label) and query is not label:
        # If something has changed one of them since, they are two models.
        if torch.equal(query.embedding.weight, label.embedding.weight):
            label.embedding = query.embedding
