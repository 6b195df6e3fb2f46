"""A virtual negative against a label that really is at that product of every query, over ranks, and alone."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import Tensor

from tests.distributed.ranks import Ranks
from xmc.distributed import all_gather_rows, all_reduce_sum, current_world
from xmc.errors import ConfigError
from xmc.objectives import CATALOGUE, build_objective, with_margin, with_virtual_negative
from xmc.objectives.margins.config import MarginConfig
from xmc.scoring import ExtraNegatives, LabelShard, ScoreInputs

TAKES = ("softmax", "decoupled_softmax", "supervised_contrastive")
PRODUCT = 0.6


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def batch() -> ScoreInputs:
    """9 rows and 20 weighted labels with offsets, masked pairs and a certain negative."""
    positives = sp.random(9, 20, 0.15, format="lil", random_state=0, data_rvs=np.ones)
    positives[:, 0] = 1.0
    masked, certain = sp.lil_matrix((9, 20)), sp.lil_matrix((9, 20))
    for matrix, places in ((masked, [(0, 3), (4, 7)]), (certain, [(1, 11), (8, 12)])):
        for row, label in places:
            positives[row, label], matrix[row, label] = 0.0, 1.0
    return ScoreInputs(
        drawn(9, 5, seed=0),
        drawn(20, 5, seed=1),
        positives.tocsr(),
        torch.tensor(3.0, dtype=torch.float64),
        offsets=drawn(20, seed=2),
        log_weights=drawn(20, seed=3).abs(),
        masked=masked.tocsr(),
        extra=ExtraNegatives(certain=certain.tocsr()),
    )


def with_one_label_more(inputs: ScoreInputs) -> ScoreInputs:
    """A last label that is at the product of every query, without an offset and of weight 1."""
    queries, labels = inputs.queries, inputs.labels
    more = torch.zeros(1, 6, dtype=torch.float64)
    more[0, 5] = PRODUCT
    assert inputs.offsets is not None and inputs.log_weights is not None and inputs.extra is not None
    none = sp.csr_matrix((len(queries), 1))
    return replace(
        inputs,
        queries=torch.cat([queries, queries.new_ones(len(queries), 1)], 1),
        labels=torch.cat([torch.cat([labels, labels.new_zeros(len(labels), 1)], 1), more]),
        positives=sp.hstack([inputs.positives, none], format="csr"),
        offsets=torch.cat([inputs.offsets, inputs.offsets.new_zeros(1)]),
        log_weights=torch.cat([inputs.log_weights, inputs.log_weights.new_zeros(1)]),
        masked=sp.hstack([inputs.masked, none], format="csr"),
        extra=ExtraNegatives(certain=sp.hstack([inputs.extra.certain, none], format="csr")),
    )


@pytest.mark.parametrize("margin", [MarginConfig(), MarginConfig("cosface", 0.2)], ids=["plain", "cosface"])
@pytest.mark.parametrize("name", TAKES)
def test_it_is_a_label_at_that_product_of_every_query(name: str, margin: MarginConfig) -> None:
    inputs = batch()
    leaves = [inputs.queries, inputs.labels, inputs.offsets, inputs.scale]
    for leaf in leaves:
        assert isinstance(leaf, Tensor)
        leaf.requires_grad_()
    plain = with_margin(build_objective(name), margin, seed=0)
    expected = plain(with_one_label_more(inputs), "none")
    found = with_virtual_negative(plain, PRODUCT)(inputs, "none")
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    assert (found > plain(inputs, "none")).all()
    weights = torch.linspace(1, 2, 9).double()
    gradients = (torch.autograd.grad((loss * weights).sum(), leaves) for loss in (found, expected))  # type: ignore[arg-type]
    for own, other in zip(*gradients, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-10, atol=1e-12)


def test_a_row_without_negatives_has_this_one() -> None:
    queries, labels = drawn(1, 4, seed=0), drawn(2, 4, seed=1)
    found = with_virtual_negative(build_objective("decoupled_softmax"), PRODUCT)(
        ScoreInputs(queries, labels, [[0, 1]], 3.0)
    )
    scores = (3 * queries @ labels.T)[0]
    assert float(found) == pytest.approx(
        sum(math.log1p(math.exp(3 * PRODUCT - float(s))) for s in scores) / 2, rel=1e-6
    )


def of_all_ranks(name: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The loss, and the gradients of this rank's queries and labels and of the scale."""
    world = current_world()
    first, last = world.shard(7)
    start, stop = world.shard(40)
    queries = drawn(7, 5, seed=0)[first:last].requires_grad_()
    labels = drawn(40, 5, seed=1)[start:stop].requires_grad_()
    scale = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    loss = with_virtual_negative(build_objective(name), PRODUCT)(
        ScoreInputs(
            all_gather_rows(queries, 7, world),
            labels,
            sp.random(7, 40, 0.1, format="csr", random_state=2, data_rvs=np.ones),
            scale,
            shard=LabelShard(start, 40, world),
        )
    )
    loss.backward()
    assert queries.grad is not None and labels.grad is not None and scale.grad is not None
    all_reduce_sum(scale.grad, world)
    return loss.detach(), queries.grad, labels.grad, scale.grad


@pytest.mark.parametrize("name", TAKES)
def test_ranks_agree_with_one_process(ranks: Ranks, name: str) -> None:
    value, queries, labels, scale = of_all_ranks(name)
    found = ranks.run(of_all_ranks, name, size=3)
    for loss, _, _, of_scale in found:
        torch.testing.assert_close(loss, value, rtol=1e-12, atol=0)
        torch.testing.assert_close(of_scale, scale, rtol=1e-9, atol=0)
    torch.testing.assert_close(torch.cat([one[1] for one in found]), queries, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(torch.cat([one[2] for one in found]), labels, rtol=1e-9, atol=1e-12)


def test_none_changes_nothing_and_what_cannot_be_is_refused() -> None:
    plain = build_objective("softmax")
    assert with_virtual_negative(plain, None) is plain
    for name in sorted(set(CATALOGUE) - set(TAKES)):
        with pytest.raises(ConfigError, match=f"takes_virtual_negative among its facts.*got {name}"):
            with_virtual_negative(build_objective(name), 0.5)
    with pytest.raises(ConfigError, match="expected a finite number, got nan"):
        with_virtual_negative(plain, math.nan)
    with pytest.raises(ConfigError, match="one of its own"):
        with_virtual_negative(with_virtual_negative(plain, 0.5), 0.5)
