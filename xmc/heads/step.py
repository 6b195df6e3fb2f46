"""One exact step of stochastic gradient descent on all rows of a label table, in time independent of L.

The gradient of the mean loss by the scores of row i is ``base_i + c_i O_i + Y_i``: one number for all labels,
a multiple of the scores O = H W^T, and a sparse part at the positives. So that of W is
``1 (H^T base)^T + W H^T diag(c) H + Y^T H``, and a step is

    U <- U (1 - lr A),  A = H^T diag(c) H;  shift <- (1 - lr A) shift - lr H^T base;  V <- V - lr Y^T H U^-1.

Source: Vincent, de Brebisson and Bouthillier, NeurIPS 2015, arXiv 1412.7091, for one query and U alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from xmc.errors import ConfigError
from xmc.heads.errors import IllConditionedError
from xmc.heads.slopes import BatchSlopes, Listed, batch_slopes
from xmc.heads.state import FactoredState, blocks
from xmc.heads.update import Batch, SmallUpdate, folding_update, narrow_update, wide_update
from xmc.objectives.statistics.moments import SphericalValue
from xmc.scoring import as_positives
from xmc.scoring.arithmetic import deterministic_index_add
from xmc.scoring.pairs import add_pair_products, pair_products
from xmc.scoring.positives import PositivesLike

__all__ = ["FactoredStep", "condition_limit", "factored_step"]

# As a share of the table's numbers: see condition_limit.
LARGEST_ERROR = 1e-3


@dataclass(frozen=True)
class FactoredStep:
    """What a step gives.

    Attributes:
        state: After the step; its factor is the one that came in, changed in place.
        loss: Mean over rows before the step, a float64 scalar.
        gradient: [B, D] float64, of that loss by the queries.
    """

    state: FactoredState
    loss: Tensor
    gradient: Tensor


def condition_limit(dtype: torch.dtype) -> float:
    """The condition of U at which rounding of the factor becomes an error of 0.1 % in the table."""
    return LARGEST_ERROR / torch.finfo(dtype).eps


@torch.no_grad()
def factored_step(
    state: FactoredState,
    queries: Tensor,
    positives: PositivesLike,
    loss: SphericalValue,
    lr: float,
    decay: float = 0.0,
    masked: PositivesLike | None = None,
    *,
    fold: bool = False,
    limit: float | None = None,
) -> FactoredStep:
    """``W <- (1 - lr decay) W - lr d loss / d W`` for all L rows, in O(B D^2 + P D) and min(B, D)^2 (B + D).

    The same as ``torch.optim.SGD(lr, weight_decay=decay)`` on the mean over rows of ``loss``, with memory of
    O(D^2 + (B + P) D) beside the state and no tensor of B x L.

    Args:
        state: What :func:`factor` made; its factor is changed in place, the rest is not.
        queries: [B, D], any scale multiplied in.
        positives: P pairs, in any form that :func:`xmc.scoring.as_positives` reads.
        loss: Row losses from scores and moments, the value of an objective that takes moments.
        lr: Learning rate.
        decay: Weight decay.
        masked: Pairs, none of them positive, that are neither positive nor negative.
        fold: Multiply the whole factor by U in this step and start with U = 1 after it: L D^2, and exact
            also where 1 - lr A cannot be inverted.
        limit: Largest condition of U (:attr:`FactoredState.condition`) after the step; that of
            :func:`condition_limit` when None.

    Raises:
        ConfigError: When shapes, ids or rates do not fit.
        IllConditionedError: When U would be beyond ``limit``, or not finite; the state is as before then, so
            that the step can be taken with ``fold``.
    """
    _check(state, queries, lr, decay)
    own = as_positives(positives, len(queries), state.num_labels, queries.device)
    listed = Listed.of(own, masked)
    batch, slopes = _forward(state, queries.detach().double(), listed, loss)
    # keep W - lr dW = keep (W - lr / keep dW): the update below is one without decay, at the rate lr / keep,
    # and scaling by keep is left for the end.
    keep = 1.0 - lr * decay
    rate = lr / keep
    # A of rank B: up to B = D the inverse of U follows through a [B, B] system, beyond it anew in D^3.
    make = folding_update if fold else narrow_update if len(queries) <= state.dimension else wide_update
    update = make(state, batch, rate)
    # Nothing of the state has been written yet, so that a refused step can be taken again in another way.
    _guard(update, limit or condition_limit(state.factor.dtype))
    moved = _apply(state, batch, update, rate, fold)
    return FactoredStep(_scaled(moved, keep), slopes.loss, batch.gradient)


def _forward(
    state: FactoredState, queries: Tensor, listed: Listed, loss: SphericalValue
) -> tuple[Batch, BatchSlopes]:
    """Scores, loss and what both kinds of update need."""
    # A masked pair has a slope of its own like a positive: it takes its label out of the row's moments.
    pairs = listed.pairs
    # Pairs are in the order of their labels, so that the few rows of V that matter are found without a sort.
    labels, columns = torch.unique_consecutive(pairs.labels, return_inverse=True)
    rows = state.factor.index_select(0, labels).double()  # [n, D] of V
    # q.w = q.(v U + shift) = (U q).v + q.shift: U is taken to the B queries, not to the L rows of V.
    mixed = queries @ state.mix.T  # [B, D]
    shifts = queries @ state.shift  # [B]
    scores = pair_products(mixed, pairs.rows, rows, columns) + shifts[pairs.rows]  # [P]
    # A row's scores over all labels have the mean q.mean and the sum of squared deviations q^T scatter q.
    spread = queries @ state.scatter  # [B, D]
    means = queries @ state.mean  # [B]
    slopes = batch_slopes(scores, means, (spread * queries).sum(1), listed, loss)
    # Row i of the gradient by the scores: base_i + c_i o_il + Y_il, with base_i = grad_mean_i / L - c_i m_i.
    curvature = 2 * slopes.grad_scatter  # c [B]
    sums = deterministic_index_add(torch.zeros_like(means), pairs.rows, slopes.grad_pairs)
    # Y X = Y (V U + 1 (shift - mean)^T): Y takes V to [B, D] first, and only then U is multiplied on.
    sparse = add_pair_products(torch.zeros_like(queries), pairs.rows, rows, columns, slopes.grad_pairs)
    sparse = torch.addmm(torch.outer(sums, state.shift - state.mean), sparse, state.mix)
    # Y^T H, and Y (Y^T H) from it, without Y Y^T [B, B].
    grad_labels = add_pair_products(torch.zeros_like(rows), columns, queries, pairs.rows, slopes.grad_pairs)
    again = add_pair_products(torch.zeros_like(queries), pairs.rows, grad_labels, columns, slopes.grad_pairs)
    batch = Batch(
        queries=queries,
        mixed=mixed,
        curved=curvature[:, None] * queries,
        base=slopes.grad_mean / state.num_labels - curvature * means,
        pull=slopes.grad_mean + sums,
        sums=sums,
        centred=curvature[:, None] * spread + sparse,
        sparse=sparse,
        sparse_twice=again,
        shifts=curvature * shifts,
        mean=state.mean,
        pairs=pairs,
        labels=labels,
        columns=columns,
        grad_pairs=slopes.grad_pairs,
        grad_labels=grad_labels,
    )
    return batch, slopes


def _apply(state: FactoredState, batch: Batch, update: SmallUpdate, rate: float, fold: bool) -> FactoredState:
    """The state after the step, before weight decay; changes rows of the factor."""
    # shift <- (1 - rate A) shift - rate H^T base, where A shift = H^T (c * (H shift)).
    shift = state.shift - rate * (batch.shifts + batch.base) @ batch.queries
    # The mean row of the gradient dO^T H is its sum over labels, H^T (dO 1), over L.
    mean = state.mean - rate / state.num_labels * batch.pull @ batch.queries
    if fold:
        # V takes U and the shift in; with U = 1 after it, what Y adds needs no inverse.
        _fold(state.factor, update.mix, shift)
        rows, mix, inverse, shift = batch.grad_labels, update.inverse, update.inverse, torch.zeros_like(shift)
    else:
        mix, inverse = update.mix, update.inverse
        # The new U is yet to be multiplied on, so Y^T H enters V as Y^T (H U^-1): the product is then Y^T H.
        rows = torch.zeros_like(batch.grad_labels)
        add_pair_products(rows, batch.columns, update.solved, batch.pairs.rows, batch.grad_pairs)
    deterministic_index_add(state.factor, batch.labels, rows.mul_(-rate).to(state.factor.dtype))
    return FactoredState(state.factor, mix, inverse, shift, mean, update.scatter)


def _fold(table: Tensor, mix: Tensor, shift: Tensor) -> None:
    mix, shift = mix.to(table.dtype), shift.to(table.dtype)
    for part in blocks(table):
        table[part] = torch.addmm(shift, table[part], mix)


def _scaled(state: FactoredState, keep: float) -> FactoredState:
    """The table times ``keep``: the part of weight decay in a step whose rate was divided by it before."""
    if keep == 1.0:
        return state
    return FactoredState(
        state.factor,
        state.mix * keep,
        state.inverse / keep,
        state.shift * keep,
        state.mean * keep,
        state.scatter * keep**2,
    )


def _guard(update: SmallUpdate, limit: float) -> None:
    size = len(update.mix)
    norms = torch.linalg.vector_norm(update.mix) * torch.linalg.vector_norm(update.inverse) / size
    # Frobenius norms: a bound within D^2, where singular values would take many times a product of D^3.
    condition = float(norms)
    # Written so that NaN is refused too.
    if not (condition <= limit and bool(torch.isfinite(update.scatter.diagonal()).all())):
        raise IllConditionedError(
            f"expected the mix U of the factored head to have a condition of at most {limit:.1e} after the "
            f"step, got {condition:.1e}: stabilise the head (StabilityPolicy does), or lower its learning "
            "rate"
        )


def _check(state: FactoredState, queries: Tensor, lr: float, decay: float) -> None:
    if queries.ndim != 2 or queries.shape[1] != state.dimension:
        raise ConfigError(f"expected queries [B, {state.dimension}] for this head, got {list(queries.shape)}")
    if not (lr >= 0 and decay >= 0 and lr * decay < 1):
        raise ConfigError(
            f"expected lr and decay of 0 or more with lr x decay below 1, got lr={lr} and decay={decay}"
        )
