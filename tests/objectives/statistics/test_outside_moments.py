"""Spherical losses with labels outside the pool known by their moments, against a step with all labels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import Tensor

from tests.distributed.ranks import Ranks
from tests.objectives.functions import FUNCTIONS
from xmc.distributed import World, all_reduce_sum, current_world
from xmc.errors import ConfigError
from xmc.objectives import (
    decoupled_softmax,
    mean_squared_error,
    spherical_softmax,
    spherical_z_loss,
    taylor_softmax,
)
from xmc.objectives.statistics.label_moments import label_moments
from xmc.scoring import ExtraNegatives, LabelShard

B, L, D = 5, 23, 4
LOSSES = [spherical_z_loss, taylor_softmax, spherical_softmax, mean_squared_error]
ALL = [partial(loss, decoupled=decoupled, scale=1.5) for loss in LOSSES for decoupled in (False, True)]
each_loss = pytest.mark.parametrize("loss", ALL, ids=lambda p: f"{p.func.__name__}-{p.keywords['decoupled']}")


def inputs() -> tuple[Tensor, Tensor, np.ndarray]:
    """Queries, labels, and the positives as a mask [B, L], among the first 8 labels; one row has none."""
    random = np.random.default_rng(0)
    mask = np.zeros((B, L), dtype=bool)
    mask[:, :8] = random.random((B, 8)) < 0.35
    mask[2] = False
    return torch.from_numpy(random.normal(size=(B, D))), torch.from_numpy(random.normal(size=(L, D))), mask


def step(
    loss: Callable[..., Tensor],
    pool: np.ndarray,
    log_weights: Tensor | None = None,
    world: World | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Loss, gradient of the queries and of the pool's labels [n, D], the rest given as moments."""
    queries, labels, mask = inputs()
    world = world or World()
    start, stop = world.shard(len(pool))
    rest = np.setdiff1d(np.arange(L), pool)
    extra = ExtraNegatives(moments=label_moments(labels[rest], None, None))
    leaves = queries.requires_grad_(), labels[pool[start:stop]].requires_grad_()
    value = loss(
        *leaves,
        sp.csr_matrix(mask[:, pool]),
        log_weights=None if log_weights is None else log_weights[start:stop],
        extra=extra,
        shard=LabelShard(start, len(pool), world),
    )
    grad_queries, grad_labels = torch.autograd.grad(value, leaves)
    whole = torch.zeros(len(pool), D, dtype=torch.float64)
    whole[start:stop] = grad_labels
    return value.detach(), all_reduce_sum(grad_queries, world), all_reduce_sum(whole, world)


def with_all_labels(loss: Callable[..., Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    queries, labels, mask = inputs()
    leaves = queries.requires_grad_(), labels.requires_grad_()
    value = loss(*leaves, sp.csr_matrix(mask))
    return (value.detach(), *torch.autograd.grad(value, leaves))


@each_loss
@pytest.mark.parametrize("size", [8, 15, 22])
def test_a_pool_and_the_moments_of_the_rest_equal_all_labels(loss: Callable[..., Tensor], size: int) -> None:
    pool = np.arange(size)
    value, grad_queries, grad_labels = step(loss, pool)
    expected, query_gradient, label_gradient = with_all_labels(loss)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(grad_queries, query_gradient)
    torch.testing.assert_close(grad_labels, label_gradient[pool])


@pytest.mark.parametrize(
    "loss",
    # Two in the default suite, the others among the slow ones.
    [
        pytest.param(loss, marks=[] if number in (0, 3) else pytest.mark.slow)
        for number, loss in enumerate(ALL)
    ],
    ids=lambda p: f"{p.func.__name__}-{p.keywords['decoupled']}",
)
def test_weighed_gradients_of_drawn_labels_are_those_of_all_on_average(loss: Callable[..., Tensor]) -> None:
    """Positives are always in the pool; of the 15 others every pool of 2 is drawn once, 105 of them."""
    from itertools import combinations

    expected = with_all_labels(loss)[2]
    total = torch.zeros(L, D, dtype=torch.float64)
    log_weights = torch.cat([torch.zeros(8), torch.full((2,), float(np.log(15 / 2)))])
    draws = list(combinations(range(8, L), 2))
    for drawn in draws:
        pool = np.array([*range(8), *drawn])
        total[pool] += step(loss, pool, log_weights.double())[2]
    torch.testing.assert_close(total / len(draws), expected)


@each_loss
def test_a_positive_that_weighs_more_elsewhere_keeps_its_own_gradient(
    loss: Callable[..., Tensor],
) -> None:
    """The weight w of a label multiplies its gradient in the rows it is no positive of, and nothing else."""
    pool, factor = np.arange(L), 3.0
    plain = step(loss, pool)[2]
    log_weights = torch.zeros(L, dtype=torch.float64)
    log_weights[0] = float(np.log(factor))
    weighed = step(loss, pool, log_weights)[2]
    torch.testing.assert_close(weighed[1:], plain[1:])
    queries, labels, mask = inputs()
    rows = np.flatnonzero(~mask[:, 0])
    apart = torch.zeros(D, dtype=torch.float64)
    for row in rows:
        leaf = labels.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(queries[[row]], leaf, sp.csr_matrix(mask[[row]])), leaf)
        apart += gradient[0] / B
    torch.testing.assert_close(weighed[0] - plain[0], (factor - 1) * apart)


def on_a_rank(number: int) -> tuple[Tensor, Tensor, Tensor]:
    log_weights = torch.linspace(0, 1, 11, dtype=torch.float64)
    return step(ALL[number], np.arange(11), log_weights, current_world())


@pytest.mark.parametrize("number", range(len(ALL)))
def test_ranks_agree_with_one_process(ranks: Ranks, number: int) -> None:
    log_weights = torch.linspace(0, 1, 11, dtype=torch.float64)
    expected = step(ALL[number], np.arange(11), log_weights)
    for answer in ranks.run(on_a_rank, number, size=3):
        for found, wanted in zip(answer, expected, strict=True):
            torch.testing.assert_close(found, wanted)


def test_a_pool_of_positives_alone_has_the_rest_as_negatives() -> None:
    queries, labels, _ = inputs()
    pool, positives = labels[:2], [[0, 1]] * B
    extra = ExtraNegatives(moments=label_moments(labels[2:], None, None))
    found = spherical_z_loss(queries, pool, positives, extra=extra, decoupled=True)
    torch.testing.assert_close(found, spherical_z_loss(queries, labels, positives, decoupled=True))
    assert found > 0


def test_what_moments_cannot_say_is_refused() -> None:
    queries, labels, mask = inputs()
    moments = label_moments(labels, None, None)
    given = (queries, labels, sp.csr_matrix(mask))
    with pytest.raises(ConfigError, match="moments alone"):
        spherical_z_loss(*given, extra=ExtraNegatives(certain=sp.csr_matrix(mask)))
    with pytest.raises(ConfigError, match="neither offsets nor"):
        spherical_z_loss(*given, extra=ExtraNegatives(moments=moments), offsets=labels[:, 0])
    with pytest.raises(ConfigError, match="neither offsets nor"):
        spherical_z_loss(*given, extra=ExtraNegatives(moments=moments), implementation="dense")
    with pytest.raises(ConfigError, match="only a spherical loss"):
        decoupled_softmax(*given, extra=ExtraNegatives(moments=moments))
    assert all(loss in FUNCTIONS.values() for loss in LOSSES)
