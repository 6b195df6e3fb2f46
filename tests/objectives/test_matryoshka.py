"""The mean over prefixes: values and gradients are those of autograd on the sum, written out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.distributed.ranks import Ranks
from tests.objectives.oracle import Batch, naive_decoupled_softmax, random_batch
from xmc.distributed import all_gather_rows, all_reduce_sum, current_world
from xmc.errors import ConfigError
from xmc.objectives.build import build_objective
from xmc.objectives.catalogue import CATALOGUE
from xmc.objectives.matryoshka import Matryoshka, prefix_of, with_dimensions
from xmc.objectives.terms import Term, WeightedTerms
from xmc.scoring import ExtraNegatives, FrozenLabels, LabelShard, ScoreInputs
from xmc.scoring.moments import LabelMoments

DIMENSIONS, WEIGHTS = (6, 3, 1), (2.0, 1.0, 1.0)


def inputs_of(batch: Batch, **options: Any) -> ScoreInputs:
    return ScoreInputs(
        batch.queries, batch.labels, sp.csr_matrix(batch.relevance), **batch.options, **options
    )


def prefix_by_hand(batch: Batch, dimension: int, normalised: bool) -> Batch:
    cut = [v[:, :dimension] for v in (batch.queries, batch.labels)]
    if normalised:
        cut = [v / v.pow(2).sum(1, keepdim=True).sqrt() for v in cut]
    return replace(batch, queries=cut[0], labels=cut[1])


def unit(batch: Batch) -> Batch:
    return replace(batch, queries=F.normalize(batch.queries, dim=1), labels=F.normalize(batch.labels, dim=1))


@pytest.mark.parametrize("normalised", [True, False], ids=["unit", "raw"])
@pytest.mark.parametrize("way", [{"memory_bytes": 1}, {}, {"implementation": "dense"}], ids=str)
def test_values_and_gradients_are_those_of_the_sum_written_out(way: dict[str, Any], normalised: bool) -> None:
    batch = random_batch(5, 9, 6, weighted=True)
    batch = (unit(batch) if normalised else batch).to(torch.float64)
    mine, plain = batch.leaves(), batch.leaves()
    loss = with_dimensions(
        build_objective("decoupled_softmax"), DIMENSIONS, WEIGHTS, normalised=(normalised, normalised)
    )(inputs_of(mine, **way))
    wanted = sum(
        weight / 4 * naive_decoupled_softmax(prefix_by_hand(plain, d, normalised and d < 6)).mean()
        for d, weight in zip(DIMENSIONS, WEIGHTS, strict=True)
    )
    assert isinstance(wanted, Tensor)
    loss.backward()
    wanted.backward()
    torch.testing.assert_close(loss, wanted, rtol=1e-10, atol=1e-12)
    assert set(mine.gradients()) == {"queries", "labels", "scale", "offsets"}
    for name, gradient in plain.gradients().items():
        torch.testing.assert_close(mine.gradients()[name], gradient, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("added", [False, True], ids=["alone", "a term"])
def test_means_of_whole_vectors_are_refused(added: bool) -> None:
    loss = build_objective("discriminative")
    if added:
        terms = [Term(build_objective("softmax")), Term(loss, 0.1)]
        loss = WeightedTerms(tuple(terms))
    with pytest.raises(ConfigError, match="dimensions: expected null with discriminative, which keeps means"):
        with_dimensions(loss, DIMENSIONS)


@pytest.mark.parametrize("name", [name for name in CATALOGUE if name != "discriminative"])
def test_any_objective_is_taken_prefix_by_prefix(name: str) -> None:
    batch = unit(random_batch(4, 40, 6, weighted=False, offsets=False)).to(torch.float64)
    batch = replace(batch, relevance=batch.relevance * (batch.relevance.cumsum(1) <= 3))
    mine, plain = batch.leaves(("queries", "labels")), batch.leaves(("queries", "labels"))
    loss = build_objective(name)
    with_dimensions(loss, DIMENSIONS)(inputs_of(mine)).backward()
    parts = [loss(inputs_of(prefix_by_hand(plain, d, d < 6))) for d in DIMENSIONS]
    (sum(parts) / 3).backward()  # type: ignore[union-attr]
    for key, gradient in plain.gradients().items():
        torch.testing.assert_close(mine.gradients()[key], gradient, rtol=1e-6, atol=1e-9)


def test_one_prefix_of_all_components_is_the_objective_itself() -> None:
    batch, loss = random_batch(5, 9, 6), build_objective("softmax")
    assert with_dimensions(loss, [6])(inputs_of(batch)) == loss(inputs_of(batch))
    assert with_dimensions(loss, None) is loss


def test_labels_of_a_memory_are_cut_and_normalised_too() -> None:
    batch, memory = random_batch(4, 7, 6, offsets=False), random_batch(4, 20, 6).labels

    def loss(dimension: int, embeddings: Tensor, of: Batch) -> tuple[Tensor, Tensor]:
        queries = of.queries.clone().requires_grad_()
        frozen = FrozenLabels(embeddings, None, None, LabelShard.whole(20))
        given = inputs_of(replace(of, queries=queries), extra=ExtraNegatives(frozen=frozen))
        value = Matryoshka(build_objective("softmax"), (dimension,), (1.0,))(given)
        return value, torch.autograd.grad(value, queries)[0]

    value, gradient = loss(2, memory, batch)
    wanted, by_hand = loss(2, F.normalize(memory[:, :2], dim=1), prefix_by_hand(batch, 2, True))
    assert value.isclose(wanted)
    lengths = batch.queries[:, :2].norm(dim=1, keepdim=True)
    directions = batch.queries[:, :2] / lengths
    tangent = by_hand - (by_hand * directions).sum(1, keepdim=True) * directions
    torch.testing.assert_close(gradient[:, :2], tangent / lengths)
    assert not gradient[:, 2:].any()


def test_moments_of_whole_vectors_are_refused() -> None:
    batch = random_batch(4, 7, 6, offsets=False, log_weights=False)
    moments = LabelMoments(torch.tensor(5.0).double(), torch.zeros(7), torch.zeros(7, 7).double())
    given = inputs_of(batch, extra=ExtraNegatives(moments=moments))
    with pytest.raises(ConfigError, match="moments of whole vectors"):
        with_dimensions(build_objective("spherical_softmax"), [6, 2])(given)
    assert not Matryoshka(build_objective("spherical_softmax"), (6,), (1.0,)).facts.takes_moments


def test_a_prefix_of_zeros_stays_finite() -> None:
    vectors = torch.tensor([[0.0, 0.0, 1.0]], requires_grad=True)
    prefix_of(vectors, 2, normalised=True).sum().backward()
    assert vectors.grad is not None and vectors.grad.isfinite().all()


def on_a_rank(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    world = current_world()
    start, stop = world.shard(len(batch.labels))
    first, last = world.shard(len(batch.queries))
    queries = batch.queries[first:last].clone().requires_grad_()
    labels = batch.labels[start:stop].clone().requires_grad_()
    assert batch.offsets is not None and batch.log_weights is not None
    given = ScoreInputs(
        all_gather_rows(queries, len(batch.queries), world),
        labels,
        sp.csr_matrix(batch.relevance),
        scale=batch.scale,
        offsets=batch.offsets[start:stop],
        log_weights=batch.log_weights[start:stop],
        shard=LabelShard(start, len(batch.labels), world),
        memory_bytes=1,
    )
    loss = with_dimensions(build_objective("decoupled_softmax"), DIMENSIONS, WEIGHTS)(given)
    loss.backward()
    assert queries.grad is not None and labels.grad is not None
    return all_reduce_sum(loss.detach(), world) / world.size, queries.grad, labels.grad


def test_two_ranks_give_what_one_gives(ranks: Ranks) -> None:
    batch = random_batch(5, 11, 6, weighted=True)
    [(loss, queries, labels)] = ranks.run(on_a_rank, batch, size=1)
    parts = ranks.run(on_a_rank, batch, size=2)
    for part in parts:
        torch.testing.assert_close(part[0], loss)
    torch.testing.assert_close(torch.cat([part[1] for part in parts]), queries)
    torch.testing.assert_close(torch.cat([part[2] for part in parts]), labels)
