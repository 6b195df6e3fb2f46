"""A margin on the positives' scores is one field of an objective, on one rank or on shards."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.distributed.ranks import Ranks
from tests.objectives.batches import Batch, make_batch
from xmc.distributed import current_world, sum_gradients
from xmc.objectives import Objective, PositiveScores, build_objective
from xmc.scoring import LabelShard, ScoreInputs

M = 0.3


def additive(own: PositiveScores) -> Tensor:
    """CosFace: the cosine less m."""
    return own.scores - own.scale * M


def angular(own: PositiveScores) -> Tensor:
    """ArcFace: m more of an angle; needs the cosine itself, without scale and offset."""
    cosines, offsets = own.products().clamp(-0.999, 0.999), own.offsets()
    moved = own.scale * torch.cos(torch.acos(cosines) + M)
    return moved if offsets is None else moved + offsets


MARGINS = {"additive": additive, "angular": angular}
NAMES = ["softmax", "decoupled_softmax", "supervised_contrastive"]


def batch() -> Batch:
    made = make_batch(5, 13, 4, weighted=False)
    normalised = (torch.nn.functional.normalize(part, dim=1) for part in (made.queries, made.labels))
    queries, labels = normalised
    return Batch(
        queries,
        labels,
        made.positives,
        torch.tensor(3.0, dtype=torch.float64),
        made.offsets,
        made.log_weights,
    )


def with_margin(name: str, margin: str) -> Objective[Tensor]:
    objective = build_objective(name)
    assert isinstance(objective, Objective)
    return replace(objective, margin=MARGINS[margin])


def by_hand(name: str, margin: str, given: Batch) -> Tensor:
    """The rows of softmax or decoupled softmax, whose positives have other scores than their labels."""
    cosines = given.queries @ given.labels.T
    if margin == "additive":
        moved = given.scale * (cosines - M) + given.offsets
    else:
        moved = given.scale * torch.cos(torch.acos(cosines.clamp(-0.999, 0.999)) + M) + given.offsets
    scores = given.scale * cosines + given.offsets + given.log_weights
    rows = []
    for i in range(len(cosines)):
        own = given.positives[i].indices
        others = [j for j in range(cosines.shape[1]) if j not in own]
        losses = []
        for c in own:
            kept = [moved[i, c]] if name == "decoupled_softmax" else [moved[i, d] for d in own]
            losses.append(torch.logsumexp(torch.stack([*kept, *scores[i, others]]), 0) - moved[i, c])
        rows.append(torch.stack(losses).mean() if losses else torch.zeros((), dtype=torch.float64))
    return torch.stack(rows)


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("implementation", ["dense", "tiled"])
def test_it_changes_the_positives_scores_alone(name: str, margin: str, implementation: str) -> None:
    given = batch()
    leaves = [t.clone().requires_grad_() for t in (given.queries, given.labels, given.scale, given.offsets)]
    queries, labels, scale, offsets = leaves
    inputs = ScoreInputs(
        queries, labels, given.positives, scale, offsets, given.log_weights, implementation=implementation
    )
    rows = with_margin(name, margin)(inputs, "none")
    expected = by_hand(
        name, margin, Batch(queries, labels, given.positives, scale, offsets, given.log_weights)
    )
    torch.testing.assert_close(rows, expected)
    found, wanted = (torch.autograd.grad(part.sum(), leaves, retain_graph=True) for part in (rows, expected))
    for ours, plain in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, plain)


def on_shards(margin: str) -> tuple[Tensor, list[Tensor]]:
    world, given = current_world(), batch()
    start, stop = (0, 2, 13)[world.rank : world.rank + 2]
    labels = given.labels[start:stop].clone().requires_grad_()
    offsets = given.offsets[start:stop].clone().requires_grad_()
    scale = torch.nn.Parameter(given.scale.clone())
    shard = LabelShard(start, 13, world)
    inputs = ScoreInputs(
        given.queries, labels, given.positives, scale, offsets, given.log_weights[start:stop], shard=shard
    )
    loss = with_margin("decoupled_softmax", margin)(inputs)
    loss.backward()
    sum_gradients([scale], world)
    return loss.detach(), [labels.grad, offsets.grad, scale.grad]


@pytest.mark.parametrize("margin", MARGINS)
def test_shards_give_what_one_process_gives(ranks: Ranks, margin: str) -> None:
    given = batch()
    leaves = [t.clone().requires_grad_() for t in (given.labels, given.offsets, given.scale)]
    labels, offsets, scale = leaves
    inputs = ScoreInputs(given.queries, labels, given.positives, scale, offsets, given.log_weights)
    loss = with_margin("decoupled_softmax", margin)(inputs)
    expected = torch.autograd.grad(loss, leaves)
    answers = ranks.run(on_shards, margin, size=2)
    for found, parts in answers:
        torch.testing.assert_close(found, loss.detach())
        torch.testing.assert_close(parts[2], expected[2])
    for number in range(2):
        whole = torch.cat([parts[number] for _, parts in answers])
        torch.testing.assert_close(whole, expected[number])
