"""Certain pairs and frozen labels against the whole score matrix, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import Tensor

from tests.distributed.ranks import Ranks
from xmc.distributed import all_reduce_sum, current_world, shard_bounds
from xmc.errors import ConfigError
from xmc.objectives import (
    binary_cross_entropy,
    decoupled_softmax,
    soft_top_k,
    softmax,
    supervised_contrastive,
)
from xmc.scoring import ExtraNegatives, FrozenLabels, LabelShard

B, POOL, REST, D = 6, 11, 9, 4
SOFTMAXES = [softmax, decoupled_softmax, supervised_contrastive]
ids = {"ids": lambda f: f.__name__}


class Problem:
    """Queries, POOL labels with a gradient, REST frozen ones, offsets, weights, positives, certain pairs."""

    def __init__(self, seed: int = 0) -> None:
        random = np.random.default_rng(seed)

        def normal(*shape: int) -> Tensor:
            return torch.from_numpy(random.normal(size=shape))

        self.queries, self.labels = normal(B, D), normal(POOL + REST, D)
        self.offsets, self.log_weights = normal(POOL + REST), normal(POOL).abs()
        chosen = random.random((B, POOL)) < 0.25
        chosen[1] = False
        certain = (random.random((B, POOL)) < 0.3) & ~chosen
        certain[2] = False
        self.positives, self.certain = sp.csr_matrix(chosen), sp.csr_matrix(certain)
        self.scale = torch.tensor(1.3, dtype=torch.float64)

    def leaves(self) -> dict[str, Tensor]:
        named = {"queries": self.queries, "labels": self.labels, "offsets": self.offsets, "scale": self.scale}
        return {name: value.clone().requires_grad_() for name, value in named.items()}

    def all_positives(self) -> sp.csr_matrix:
        return sp.hstack([self.positives, sp.csr_matrix((B, REST), dtype=bool)]).tocsr()


def pairwise(objective: Any, leaves: dict[str, Tensor], weights: Tensor, positives: sp.csr_matrix) -> Tensor:
    """The loss with a log weight for each row and label: a row is scored against all labels on its own."""
    losses = []
    for row in range(B):
        losses.append(
            objective(
                leaves["queries"][row : row + 1],
                leaves["labels"][: weights.shape[1]],
                positives[row],
                scale=leaves["scale"],
                offsets=leaves["offsets"][: weights.shape[1]],
                log_weights=weights[row],
                implementation="dense",
            )
        )
    return torch.stack(losses).mean()


def gradients(loss: Tensor, leaves: dict[str, Tensor]) -> dict[str, Tensor]:
    found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    return {
        name: torch.zeros_like(leaves[name]) if g is None else g
        for name, g in zip(leaves, found, strict=True)
    }


@pytest.mark.parametrize("implementation", ["dense", "tiled"])
@pytest.mark.parametrize("objective", [*SOFTMAXES, soft_top_k, binary_cross_entropy], **ids)
def test_certain_pairs_have_weight_one_in_their_row_alone(objective: Any, implementation: str) -> None:
    problem = Problem()
    options = {"bias": 0.0} if objective is binary_cross_entropy else {}
    weights = problem.log_weights.expand(B, POOL).clone()
    weights[torch.from_numpy(problem.certain.toarray())] = 0
    leaves, oracle = problem.leaves(), problem.leaves()

    def with_bias(*arguments: Any, **given: Any) -> Tensor:
        return objective(*arguments, **given, **options)

    expected = pairwise(with_bias, oracle, weights, problem.positives)
    loss = objective(
        leaves["queries"],
        leaves["labels"][:POOL],
        problem.positives,
        scale=leaves["scale"],
        offsets=leaves["offsets"][:POOL],
        log_weights=problem.log_weights,
        implementation=implementation,
        extra=ExtraNegatives(certain=problem.certain),
        **options,
    )
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-9)
    found, wanted = gradients(loss, leaves), gradients(expected, oracle)
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-7, atol=1e-9)


def with_memory(problem: Problem, leaves: dict[str, Tensor], objective: Any, **options: Any) -> Tensor:
    """The loss of the pool with all other labels frozen, in their own type and without the pool's."""
    weights = torch.zeros(POOL + REST, dtype=torch.float64)
    weights[:POOL] = -torch.inf
    whole = LabelShard.whole(POOL + REST)
    frozen = FrozenLabels(problem.labels, weights, problem.offsets, whole)
    return objective(
        leaves["queries"],
        leaves["labels"][:POOL],
        problem.positives,
        scale=leaves["scale"],
        offsets=leaves["offsets"][:POOL],
        extra=ExtraNegatives(frozen=frozen, certain=options.pop("certain", None)),
        **options,
    )


@pytest.mark.parametrize("implementation", ["dense", "tiled"])
@pytest.mark.parametrize("objective", SOFTMAXES, **ids)
def test_a_fresh_memory_equals_all_labels(objective: Any, implementation: str) -> None:
    """The loss and the gradients of queries and scale; the pool's labels get theirs, the rest none."""
    problem = Problem()
    leaves, oracle = problem.leaves(), problem.leaves()
    expected = pairwise(objective, oracle, torch.zeros(B, POOL + REST), problem.all_positives())
    loss = with_memory(problem, leaves, objective, implementation=implementation)
    torch.testing.assert_close(loss, expected)
    found, wanted = gradients(loss, leaves), gradients(expected, oracle)
    for name in ("queries", "scale"):
        torch.testing.assert_close(found[name], wanted[name])
    for name in ("labels", "offsets"):
        torch.testing.assert_close(found[name][:POOL], wanted[name][:POOL])
        assert not found[name][POOL:].any()


def test_weights_scale_the_gradient_of_negatives_and_nothing_else() -> None:
    problem = Problem()
    plain, weighed = problem.leaves(), problem.leaves()
    without = with_memory(problem, plain, decoupled_softmax)
    with_weights = with_memory(problem, weighed, decoupled_softmax, log_weights=problem.log_weights)
    torch.testing.assert_close(without, with_weights)
    first, second = gradients(without, plain), gradients(with_weights, weighed)
    torch.testing.assert_close(first["queries"], second["queries"])
    never_positive = np.flatnonzero(problem.positives.toarray().sum(0) == 0)
    assert len(never_positive)
    factors = problem.log_weights.exp()
    for label in never_positive:
        torch.testing.assert_close(second["labels"][label], first["labels"][label] * factors[label])
        torch.testing.assert_close(second["offsets"][label], first["offsets"][label] * factors[label])


@pytest.mark.slow
def test_weighted_label_gradients_estimate_those_of_all_labels_without_bias() -> None:
    """Over random pools of which each label's probability is known, the positives always in."""
    problem, random = Problem(3), np.random.default_rng(0)
    everyone = problem.all_positives()
    oracle = problem.leaves()
    expected = gradients(pairwise(decoupled_softmax, oracle, torch.zeros(B, POOL + REST), everyone), oracle)[
        "labels"
    ]
    positive = everyone.toarray().any(0)
    chances = np.where(positive, 1.0, random.uniform(0.3, 0.9, POOL + REST))
    trials = []
    for _ in range(1500):
        pool = np.flatnonzero(random.random(POOL + REST) < chances)
        weights = torch.zeros(POOL + REST, dtype=torch.float64)
        weights[pool] = -torch.inf
        frozen = FrozenLabels(problem.labels, weights, problem.offsets, LabelShard.whole(POOL + REST))
        labels = problem.labels.clone().requires_grad_()
        loss = decoupled_softmax(
            problem.queries,
            labels[pool],
            everyone[:, pool],
            scale=problem.scale,
            offsets=problem.offsets[pool],
            log_weights=torch.from_numpy(-np.log(chances[pool])),
            extra=ExtraNegatives(frozen=frozen),
        )
        trials.append(torch.autograd.grad(loss, labels)[0])
    found = torch.stack(trials)
    errors = found.std(0) / len(trials) ** 0.5
    assert ((found.mean(0) - expected).abs() < 4.5 * errors + 1e-12).all()
    assert (errors < 0.2 * expected.abs().max()).all()


def test_half_precision_memory_is_near_and_without_a_gradient() -> None:
    problem = Problem()
    queries = problem.queries.float().requires_grad_()
    weights = torch.zeros(POOL + REST)
    weights[:POOL] = -torch.inf
    losses = []
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        frozen = FrozenLabels(problem.labels.to(dtype), weights, None, LabelShard.whole(POOL + REST))
        labels = problem.labels[:POOL].float().requires_grad_()
        loss = decoupled_softmax(
            queries, labels, problem.positives, extra=ExtraNegatives(frozen=frozen), scale=2.0
        )
        loss.backward()
        assert labels.grad is not None
        losses.append(float(loss.detach()))
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert losses[2] == pytest.approx(losses[0], rel=1e-2)


def test_what_cannot_be_merged_is_an_error() -> None:
    problem = Problem()
    for objective, text in ((soft_top_k, "softmax-like"), (binary_cross_entropy, "softmax family")):
        with pytest.raises(ConfigError, match=text):
            with_memory(problem, problem.leaves(), objective)
    with pytest.raises(ConfigError, match="a pair is both"):
        with_memory(problem, problem.leaves(), softmax, certain=problem.positives)


def on_a_rank(problem: Problem) -> tuple[float, Tensor, Tensor]:
    """Loss, the queries' gradient summed over ranks, and this rank's part of the pool's gradient."""
    world = current_world()
    start, stop = world.shard(POOL)
    first, last = shard_bounds(POOL + REST, world.rank, world.size)
    weights = torch.zeros(POOL + REST, dtype=torch.float64)
    weights[:POOL] = -torch.inf
    frozen = FrozenLabels(
        problem.labels[first:last],
        weights[first:last],
        problem.offsets[first:last],
        LabelShard(first, POOL + REST, world),
    )
    queries = problem.queries.clone().requires_grad_()
    labels = problem.labels[start:stop].clone().requires_grad_()
    loss = decoupled_softmax(
        queries,
        labels,
        problem.positives,
        scale=problem.scale,
        offsets=problem.offsets[start:stop],
        log_weights=problem.log_weights[start:stop],
        shard=LabelShard(start, POOL, world),
        extra=ExtraNegatives(problem.certain, frozen),
        memory_bytes=1,
    )
    loss.backward()
    assert queries.grad is not None and labels.grad is not None
    return float(loss.detach()), all_reduce_sum(queries.grad, world), labels.grad


def test_ranks_agree_with_one_process(ranks: Ranks) -> None:
    problem = Problem(5)
    loss, grad_queries, grad_labels = on_a_rank(problem)
    for size in (2, 3):
        answers = ranks.run(on_a_rank, problem, size=size)
        for answer in answers:
            assert answer[0] == pytest.approx(loss, rel=1e-12)
            torch.testing.assert_close(answer[1], grad_queries)
        torch.testing.assert_close(torch.cat([answer[2] for answer in answers]), grad_labels)
