"""Which optimiser changes the token vectors of static towers, and what they are kept in."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from xmc.encoders import DualEncoder
from xmc.encoders.static_modules import row_leaf
from xmc.training.learned.config import OptimisationConfig
from xmc.training.learned.optimisers.lazy_adam import LazyAdam
from xmc.training.learned.optimisers.row_adagrad import RowAdagrad
from xmc.training.learned.optimisers.row_optimiser import RowOptimiser, RowRMSProp, RowRule, SparseGradient
from xmc.training.learned.optimisers.stochastic_rounding import StochasticRounding

__all__ = ["TOKEN_TABLES", "token_optimisers"]

TOKEN_TABLES = ("query_tokens", "label_tokens")
"""Names of the optimisers of the towers' tables; tied towers have the first alone."""


def token_optimisers(encoder: DualEncoder, config: OptimisationConfig, seed: int) -> dict[str, RowOptimiser]:
    """Optimisers of the tables of token vectors that are trained by rows, by name.

    The towers are told to give such tables gradients of rows; with "adamw", or without such tables, none is.
    """
    found: dict[str, RowOptimiser] = {}
    seen: list[tuple[nn.Parameter, Tensor]] = []
    for number, (name, tower) in enumerate(
        zip(TOKEN_TABLES, (encoder.query_tower, encoder.label_tower), strict=True)
    ):
        table, tower.row_leaf = tower.token_table, None
        if config.token_optimiser == "adamw" or table is None or not table.requires_grad:
            continue
        leaves = [leaf for one, leaf in seen if one is table]
        if leaves:  # the second tower of a tied model adds to the gradient of the first
            tower.row_leaf = leaves[0]
            continue
        rounding = None
        if config.table_dtype == "bfloat16":
            tower.keep_table_in(torch.bfloat16)
            rounding = StochasticRounding(seed, number)
        tower.row_leaf = leaf = row_leaf(table)
        seen.append((table, leaf))
        rule, rate = _token_rule(config, table.detach())
        decay = config.encoder_rate * config.weight_decay
        source = SparseGradient(leaf, table)
        found[name] = RowOptimiser(source, rule, rate, clipped=True, decay=decay, rounding=rounding)
    return found


def _token_rule(config: OptimisationConfig, table: Tensor) -> tuple[RowRule, float]:
    """A rule, and its rate: of a row's length for Adagrad, of one component for the others."""
    if config.token_optimiser == "row_adagrad":
        return RowAdagrad(table), config.encoder_rate * math.sqrt(table.shape[1])
    rules: dict[str, Callable[[Tensor], RowRule]] = {"row_rmsprop": RowRMSProp, "lazy_adam": LazyAdam}
    return rules[config.token_optimiser](table), config.encoder_rate
