"""Masked pairs and rows with weights of their own, against a loop over each row's own labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import Tensor

from tests.distributed.ranks import Ranks
from tests.objectives.batches import Batch, make_batch, oracle_rows
from tests.objectives.functions import FUNCTIONS
from tests.objectives.oracles import CASES, Case
from tests.objectives.test_catalogue import leaves
from tests.objectives.test_extra_negatives import POOL, SOFTMAXES, B, Problem, gradients, pairwise
from tests.scoring.fused.interpreted import needs_interpreter, tiny_tiles
from xmc.distributed import all_gather_rows, current_world, sum_gradients
from xmc.errors import ConfigError
from xmc.objectives import decoupled_softmax, plain_objective
from xmc.objectives.statistics.label_moments import label_moments
from xmc.scoring import ExtraNegatives, FrozenLabels, LabelShard, RowsApart, ScoreInputs

EVERY = pytest.mark.parametrize("case", CASES, ids=str)
STATISTICS = [CASES[number] for number in (2, 6, 9)]  # decoupled softmax, cross-entropy, soft top-k
SPHERICAL = [case for case in CASES if "decoupled" in case.options]
ONE_TILE_A_PASS = 1


@dataclass(frozen=True)
class Filtered:
    """A batch, some of its negatives masked, and rows apart with other log weights; either may be absent."""

    batch: Batch
    masked: np.ndarray | None
    apart: RowsApart | None

    def options(self, start: int = 0, stop: int | None = None) -> dict[str, Any]:
        """Of an objective, for the labels from ``start`` to ``stop``."""
        apart = self.apart
        if apart is not None:
            apart = RowsApart(apart.rows, apart.log_weights[start:stop])
        return {"masked": None if self.masked is None else sp.csr_matrix(self.masked), "apart": apart}

    def oracle(self, case: Case) -> Tensor:
        """Row losses [B]: each row by itself, with the labels that it is not to see deleted."""
        losses = []
        # The prior of cross-entropy is the batch's, whatever a row is scored against.
        share = self.batch.positives.nnz / len(self.batch.queries)
        for row in range(len(self.batch.queries)):
            kept = np.ones(len(self.batch.labels), bool) if self.masked is None else ~self.masked[row]
            whole = self.batch.log_weights
            weights = whole
            if self.apart is not None and self.apart.rows[row]:
                weights = self.apart.log_weights
            alone = Batch(
                self.batch.queries[row : row + 1],
                self.batch.labels[kept],
                self.batch.positives[row][:, kept],
                self.batch.scale,
                None if self.batch.offsets is None else self.batch.offsets[kept],
                None if weights is None else weights[kept],
            )
            stood_for = float(len(self.batch.labels) if whole is None else whole.exp().sum())
            losses.append(oracle_rows(_with_prior(case, share / stood_for), alone))
        return torch.cat(losses)


def _with_prior(case: Case, share: float) -> Case:
    """Cross-entropy whose bias is the prior log odds of the whole batch."""
    if case.name != "binary_cross_entropy" or "bias" in case.options:
        return case
    bias = float(np.log(share / (1 - share)))
    fixed = next(other for other in CASES if other.options == {"bias": 0.0})
    return Case(case.name, {}, lambda row: _shifted(fixed, row, bias))


def _shifted(case: Case, row: Any, bias: float) -> float:
    return case.row_loss(replace(row, scores=[score + bias for score in row.scores]))


def filtered(num_rows: int, num_labels: int, seed: int, *, sampled: bool = True) -> Filtered:
    """About a third of the negatives masked, for one row all of them."""
    batch, random = make_batch(num_rows, num_labels, seed=seed, sampled=sampled), np.random.default_rng(seed)
    negative = batch.positives.toarray() == 0
    masked = negative & (random.random(negative.shape) < 0.3)
    masked[1] = negative[1]
    if not sampled:
        return Filtered(batch, masked, None)
    rows = torch.from_numpy(random.random(num_rows) < 0.5)
    rows[0], rows[-1] = True, False
    weights = torch.from_numpy(random.random(num_labels))
    return Filtered(batch, masked, RowsApart(rows, weights))


def compute(case: Case, batch: Batch, **options: Any) -> Tensor:
    return FUNCTIONS[case.name](
        batch.queries,
        batch.labels,
        batch.positives,
        scale=batch.scale,
        offsets=batch.offsets,
        log_weights=batch.log_weights,
        **case.options,
        **options,
    )


def value_and_gradients(case: Case, given: Filtered, **options: Any) -> list[Tensor]:
    made, wanted = leaves(given.batch)
    loss = compute(case, made, **given.options(), **options)
    return [loss.detach(), *torch.autograd.grad(loss, wanted)]


def assert_close(found: list[Tensor], expected: list[Tensor], tolerance: float) -> None:
    for number, (part, whole) in enumerate(zip(found, expected, strict=True)):
        error = (part.double() - whole).abs().max()
        assert error <= tolerance * whole.abs().max().clamp_min(1e-3), f"result {number}: {error}"


@EVERY
@pytest.mark.parametrize("implementation", ["dense", "tiled"])
@pytest.mark.parametrize("sampled", [False, True], ids=["all labels", "sampled"])
def test_row_losses_are_those_of_the_labels_left(case: Case, implementation: str, sampled: bool) -> None:
    for seed in range(3):
        given = filtered(5, 9, seed, sampled=sampled)
        rows = compute(case, given.batch, **given.options(), implementation=implementation, reduction="none")
        torch.testing.assert_close(rows, given.oracle(case), rtol=1e-6, atol=1e-8)


@EVERY
def test_gradients_over_tiles_are_those_of_plain_autograd(case: Case) -> None:
    given = filtered(6, 301, 1)
    exact = value_and_gradients(case, given, implementation="dense")
    tiled = value_and_gradients(case, given, implementation="tiled", memory_bytes=ONE_TILE_A_PASS)
    assert_close(tiled, exact, 1e-7)


@pytest.fixture(scope="module")
def tiny() -> Iterator[None]:
    with tiny_tiles():
        yield


@needs_interpreter
@pytest.mark.filterwarnings("ignore::RuntimeWarning:triton.*")
@pytest.mark.parametrize("sampled", [False, True], ids=["all labels", "sampled"])
@pytest.mark.parametrize("case", STATISTICS, ids=str)
def test_the_kernels(case: Case, sampled: bool, tiny: None) -> None:
    given = filtered(18, 70, 2, sampled=sampled)
    exact = value_and_gradients(case, given, implementation="dense")
    single = Filtered(given.batch.to(torch.float32), given.masked, _single(given.apart))
    assert_close(value_and_gradients(case, single, implementation="triton"), exact, 1e-5)


def _single(apart: RowsApart | None) -> RowsApart | None:
    return None if apart is None else RowsApart(apart.rows, apart.log_weights.float())


BOUNDS = {2: (0, 4, 13), 3: (0, 9, 9, 13)}


def on_shards() -> list[tuple[Tensor, list[Tensor]]]:
    """For every case the loss, and the gradients of this rank's queries, the scale, labels and offsets."""
    world, given, answers = current_world(), filtered(5, 13, 6), []
    start, stop = BOUNDS[world.size][world.rank : world.rank + 2]
    first, last = world.shard(5)
    for case in CASES:
        queries = given.batch.queries[first:last].clone().requires_grad_()
        labels = given.batch.labels[start:stop].clone().requires_grad_()
        offsets = given.batch.offsets[start:stop].clone().requires_grad_()
        scale = torch.nn.Parameter(given.batch.scale.clone())
        loss = FUNCTIONS[case.name](
            all_gather_rows(queries, 5, world),
            labels,
            given.batch.positives,
            scale=scale,
            offsets=offsets,
            log_weights=given.batch.log_weights[start:stop],
            shard=LabelShard(start, 13, world),
            **given.options(start, stop),
            **case.options,
        )
        loss.backward()
        sum_gradients([scale], world)
        answers.append((loss.detach(), [queries.grad, scale.grad, labels.grad, offsets.grad]))
    return answers


@pytest.mark.parametrize("size", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_shards_give_what_one_process_gives(ranks: Ranks, size: int) -> None:
    answers = ranks.run(on_shards, size=size)
    for number, case in enumerate(CASES):
        exact = value_and_gradients(case, filtered(5, 13, 6), implementation="dense")
        parts = [answer[number][1] for answer in answers]
        queries, labels, offsets = (torch.cat([part[i] for part in parts]) for i in (0, 2, 3))
        assert_close([answers[0][number][0], queries, parts[0][1], labels, offsets], exact, 1e-8)


@pytest.mark.parametrize("implementation", ["dense", "tiled"])
@pytest.mark.parametrize("objective", SOFTMAXES, ids=lambda f: f.__name__)
def test_frozen_labels_beside_a_pool_with_masked_pairs(objective: Any, implementation: str) -> None:
    """The pool has all masked labels of its rows; certain pairs are told apart from them."""
    problem = Problem(3)
    free = ~(problem.positives.toarray() | problem.certain.toarray())
    masked = free & (np.random.default_rng(1).random(free.shape) < 0.5)
    weights = torch.zeros(B, problem.labels.shape[0], dtype=torch.float64)
    weights[:, :POOL][torch.from_numpy(masked)] = -torch.inf
    outside = torch.zeros(len(problem.labels), dtype=torch.float64)
    outside[:POOL] = -torch.inf
    frozen = FrozenLabels(problem.labels, outside, problem.offsets, LabelShard.whole(len(problem.labels)))
    leaves, oracle = problem.leaves(), problem.leaves()
    expected = pairwise(objective, oracle, weights, problem.all_positives())
    loss = objective(
        leaves["queries"],
        leaves["labels"][:POOL],
        problem.positives,
        scale=leaves["scale"],
        offsets=leaves["offsets"][:POOL],
        masked=sp.csr_matrix(masked),
        extra=ExtraNegatives(certain=problem.certain, frozen=frozen),
        implementation=implementation,
    )
    torch.testing.assert_close(loss, expected)
    found, wanted = gradients(loss, leaves), gradients(expected, oracle)
    for name in ("queries", "scale"):
        torch.testing.assert_close(found[name], wanted[name])


@pytest.mark.parametrize("case", SPHERICAL, ids=str)
def test_moments_of_labels_outside_a_pool_with_masked_pairs(case: Case) -> None:
    whole, pool = filtered(5, 20, 4, sampled=False), 11
    assert whole.masked is not None
    within = np.arange(20) < pool
    relevance, masked = whole.batch.positives.toarray() * within, whole.masked & within
    batch = replace(whole.batch, positives=sp.csr_matrix(relevance))
    exact = value_and_gradients(case, Filtered(batch, masked, None), implementation="dense")
    inside = replace(batch, labels=batch.labels[:pool], positives=sp.csr_matrix(relevance[:, :pool]))
    extra = ExtraNegatives(moments=label_moments(batch.labels[pool:], None, None))
    found = value_and_gradients(case, Filtered(inside, masked[:, :pool], None), extra=extra)
    assert_close(found[:3], exact[:3], 1e-9)
    assert_close([found[3]], [exact[3][:pool]], 1e-9)


def test_certain_negatives_in_rows_apart() -> None:
    """A pair of weight 1 stays one, whichever part its row is scored in."""
    given, random = filtered(6, 12, 5), np.random.default_rng(0)
    assert given.apart is not None and given.masked is not None
    free = (given.batch.positives.toarray() == 0) & ~given.masked
    certain = free & (random.random(free.shape) < 0.5)
    options = given.options() | {"reduction": "none"}
    rows = decoupled_softmax(
        given.batch.queries, given.batch.labels, given.batch.positives, scale=given.batch.scale,
        offsets=given.batch.offsets, log_weights=given.batch.log_weights,
        extra=ExtraNegatives(certain=sp.csr_matrix(certain)), **options,
    )  # fmt: skip
    weights = torch.where(given.apart.rows[:, None], given.apart.log_weights, given.batch.log_weights)
    weights[torch.from_numpy(certain)] = 0
    for row, weight in enumerate(weights):
        alone = decoupled_softmax(
            given.batch.queries[row : row + 1], given.batch.labels, given.batch.positives[row],
            scale=given.batch.scale, offsets=given.batch.offsets, log_weights=weight,
            masked=sp.csr_matrix(given.masked[row : row + 1]), implementation="dense",
        )  # fmt: skip
        torch.testing.assert_close(rows[row], alone)


def test_a_plain_function_is_given_masked_pairs_and_weights_by_row() -> None:
    given = filtered(5, 9, 0)
    seen: dict[str, Tensor] = {}

    def loss(queries: Tensor, labels: Tensor, positives: Tensor, log_weights: Any, masked: Any) -> Tensor:
        seen.update(log_weights=log_weights, masked=masked)
        return (queries @ labels.T)[positives].sum()

    batch, options = given.batch, given.options()
    inputs = ScoreInputs(
        batch.queries, batch.labels, batch.positives, log_weights=batch.log_weights, **options
    )
    plain_objective("own", loss)(inputs)
    assert given.apart is not None and given.masked is not None and batch.log_weights is not None
    np.testing.assert_array_equal(seen["masked"], given.masked)
    for row, apart in enumerate(given.apart.rows):
        wanted = given.apart.log_weights if apart else batch.log_weights
        torch.testing.assert_close(seen["log_weights"][row], wanted)

    def blind(queries: Tensor, labels: Tensor, positives: Tensor, log_weights: Any) -> Tensor:
        return queries.sum()

    with pytest.raises(ConfigError, match=r"no argument `masked`.*filter_pairs negative"):
        plain_objective("own", blind)(inputs)


@pytest.mark.parametrize("wrong", ["positive", "shape"])
def test_masked_pairs_that_cannot_be(wrong: str) -> None:
    batch = make_batch(5, 9)
    masked = batch.positives if wrong == "positive" else sp.csr_matrix((5, 8))
    with pytest.raises(ConfigError, match="apart from the positives" if wrong == "positive" else r"\[B=5"):
        decoupled_softmax(batch.queries, batch.labels, batch.positives, masked=masked)
    nothing = sp.csr_matrix((5, 9), dtype=bool)
    free = decoupled_softmax(batch.queries, batch.labels, batch.positives)
    assert decoupled_softmax(batch.queries, batch.labels, batch.positives, masked=nothing) == free
