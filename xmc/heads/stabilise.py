"""Keep the product V U well conditioned, and its moments those of the table.

Steps shrink U along the directions that queries share, and the rows of V that are positives grow by as much;
the table stays the same, but the rounding of V is multiplied by the condition of U. Both repairs below change
V and U and leave the table as it is. Source of the first: the published code of Vincent et al. 2015.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from xmc.heads.state import FactoredState, blocks, table_moments
from xmc.random_streams import Stream, torch_seed

__all__ = [
    "inverse_drift",
    "moment_drift",
    "rebalance",
    "refresh_inverse",
    "refresh_moments",
    "unfactor",
]


@torch.no_grad()
def rebalance(state: FactoredState, span: float = 2.0) -> tuple[FactoredState, int]:
    """Set singular values of U outside ``[1 / span, span]`` to 1, and the factor to what keeps the table.

    Returns:
        The state, with its factor changed in place where r > 0, and r, the singular values that were outside.
        D^3 for the decomposition and the inverse, and 2 L D r.
    """
    # U = sum_k s_k l_k r_k^T. With R = 1 + sum_k (1 / s_k - 1) l_k l_k^T over the k outside, R U has 1 in the
    # place of each such s_k, and R^-1 has s_k in the place of 1 / s_k: V R^-1 times R U is V U.
    left, values, _ = torch.linalg.svd(state.mix)
    outside = (values < 1 / span) | (values > span)
    count = int(outside.sum())
    if not count:
        return state, 0
    left, values = left[:, outside], values[outside]  # [D, r], [r]
    mix = state.mix + (left * (1 / values - 1)) @ (left.T @ state.mix)
    _multiply_along(state.factor, left, values)
    return replace(state, mix=mix, inverse=torch.linalg.inv(mix)), count


def _multiply_along(table: Tensor, directions: Tensor, factors: Tensor) -> None:
    """Multiply each row's part along r orthonormal directions [D, r] by ``factors`` [r], in place."""
    # 1 + sum_k (f_k - 1) l_k l_k^T takes two thin products per row of the table, not one of D^2.
    back = (directions * (factors - 1)).T.to(table.dtype)
    directions = directions.to(table.dtype)
    for part in blocks(table):
        table[part].addmm_(table[part] @ directions, back)


@torch.no_grad()
def unfactor(state: FactoredState) -> FactoredState:
    """Multiply the table out into the factor, in place: U = 1 and a shift of 0 after it; L D^2."""
    # Block by block in place: a second table would double the memory of a head.
    mix, shift = state.mix.to(state.factor.dtype), state.shift.to(state.factor.dtype)
    for part in blocks(state.factor):
        state.factor[part] = torch.addmm(shift, state.factor[part], mix)
    identity = torch.eye(len(mix), dtype=state.mix.dtype, device=mix.device)
    return replace(state, mix=identity, inverse=identity, shift=torch.zeros_like(state.shift))


@torch.no_grad()
def refresh_inverse(state: FactoredState) -> FactoredState:
    """The state with the inverse computed from the mix; D^3."""
    return replace(state, inverse=torch.linalg.inv(state.mix))


@torch.no_grad()
def refresh_moments(state: FactoredState) -> FactoredState:
    """The state with mean and scatter computed from all rows; L D^2."""
    mean, scatter = table_moments(state)
    return replace(state, mean=mean, scatter=scatter)


@torch.no_grad()
def moment_drift(state: FactoredState, probes: int = 4, step: int = 0) -> float:
    """How far mean and scatter are from those of the table, along random directions and as a share.

    Exact along each direction x: the scores ``W x`` of all L rows are computed, block by block, in
    O(L D probes). ``step`` decides the directions.

    Returns:
        The largest of ``|mean.x - mean of W x|`` over the deviation of ``W x`` and
        ``|x^T scatter x - scatter of W x|`` over the latter.
    """
    # A full comparison is L D^2; along random directions an error of any direction shows almost surely.
    generator = torch.Generator().manual_seed(torch_seed(0, Stream.MOMENT_PROBES, step))
    directions = torch.randn(state.dimension, probes, generator=generator, dtype=torch.float64)
    directions = directions.to(state.mix.device)
    expected = state.mean @ directions
    # W x - mean.x = V (U x) + (shift - mean).x: U meets the directions, and the table is read once.
    mixed = (state.mix @ directions).to(state.factor.dtype)  # [D, probes]
    offset = state.shift @ directions - expected
    first, second = torch.zeros_like(expected), torch.zeros_like(expected)
    for part in blocks(state.factor):
        deviations = (state.factor[part] @ mixed).double() + offset
        first += deviations.sum(0)
        second += deviations.square().sum(0)
    # Deviations were taken about the state's mean; about their own the sum of squares is less by L first^2.
    first /= state.num_labels
    second -= state.num_labels * first.square()
    found = ((state.scatter @ directions) * directions).sum(0)
    smallest = torch.finfo(torch.float64).tiny
    grad_mean = first.abs() / (second / state.num_labels).clamp_min(smallest).sqrt()
    grad_scatter = (found - second).abs() / second.clamp_min(smallest)
    return float(torch.maximum(grad_mean, grad_scatter).max())


def inverse_drift(state: FactoredState) -> float:
    """The largest number in ``|U U^-1 - 1|``; D^3."""
    # What Y adds to V goes through the inverse and comes back through U: it is off by this much.
    product = state.mix @ state.inverse
    product.diagonal().sub_(1.0)
    return float(product.abs().max())
