"""Embeddings that are not finite are one typed error, on every rank, for every objective."""

from __future__ import annotations

import pytest
import torch

from tests.distributed.ranks import Ranks
from tests.objectives.functions import FUNCTIONS
from xmc.distributed import current_world
from xmc.errors import NonFiniteError
from xmc.objectives import Term, WeightedTerms, build_objective, plain_objective
from xmc.scoring import LabelShard, ScoreInputs

BROKEN = [float("nan"), float("inf"), float("-inf")]
POSITIVES = [[0], [1, 2], [3], []]


def inputs(side: str, value: float) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    parts = {
        "queries": torch.randn(4, 8, generator=generator),
        "labels": torch.randn(50, 8, generator=generator),
    }
    parts[side][1, 2] = value
    return parts["queries"].requires_grad_(), parts["labels"].requires_grad_()


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("side", ["queries", "labels"])
@pytest.mark.parametrize("value", BROKEN)
def test_it_is_named(name: str, side: str, value: float) -> None:
    queries, labels = inputs(side, value)
    with pytest.raises(NonFiniteError, match=f"{name}: expected .*finite.*lower the learning rate"):
        FUNCTIONS[name](queries, labels, POSITIVES)


def test_the_message_counts_the_cause() -> None:
    with pytest.raises(NonFiniteError, match="0 of 4 queries and 1 of 50 labels are not finite"):
        FUNCTIONS["softmax"](*inputs("labels", float("nan")), POSITIVES)


def test_sums_and_plain_losses_too() -> None:
    given = ScoreInputs(*inputs("queries", float("nan")), POSITIVES)
    plain = plain_objective("mine", lambda queries, labels, positives: (queries @ labels.T).sum())
    for loss in (plain, WeightedTerms((Term(build_objective("softmax")), Term(plain)))):
        with pytest.raises(NonFiniteError):
            loss(given)


def on_a_rank(name: str) -> str:
    """Only the last rank's labels are broken."""
    world = current_world()
    queries, labels = inputs("queries", 0.5)
    start, stop = world.shard(50)
    own = labels.detach()[start:stop].clone()
    if world.rank == world.size - 1:
        own[0, 0] = torch.nan
    given = ScoreInputs(queries, own.requires_grad_(), POSITIVES, shard=LabelShard(start, 50, world))
    try:
        build_objective(name)(given)
    except NonFiniteError as error:
        return str(error)
    return "finite"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_rank_has_it(ranks: Ranks, name: str) -> None:
    answers = ranks.run(on_a_rank, name, size=3)
    assert all(name in answer for answer in answers), answers
