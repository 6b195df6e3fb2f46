"""The discriminative loss against loops over classes, its guarantee, and what partial momentum does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import Tensor

from tests.distributed.ranks import Ranks
from tests.objectives.batches import Batch, make_batch
from xmc.distributed import all_gather_rows, current_world, shard_bounds
from xmc.errors import ConfigError, DataError, NonFiniteError
from xmc.objectives import Discriminative, Term, WeightedTerms, build_objective, discriminative
from xmc.objectives.classes.means import ClassMeans
from xmc.objectives.losses.discriminative import DiscriminativeLoss
from xmc.objectives.state import LossStates
from xmc.scoring import LabelShard, ScoreInputs

OPTIONS = {"alpha": 0.7, "beta": 1.3, "gamma": 0.05, "delta_v": 0.6, "delta_d": 0.9}


@dataclass
class Loops:
    """The formula, class by class; ``means`` and ``counts`` are kept from batch to batch."""

    alpha: float
    beta: float
    gamma: float
    delta_v: float
    delta_d: float
    momentum: float = 0.99
    ramp: bool = True

    def __post_init__(self) -> None:
        self.means: dict[int, Tensor] = {}
        self.counts: dict[int, int] = {}

    def __call__(self, queries: Tensor, labels: Tensor, relevance: np.ndarray, **more: Any) -> Tensor:
        masked, offsets, scale = more.get("masked"), more.get("offsets"), more.get("scale", 1.0)
        masked = np.zeros_like(relevance, bool) if masked is None else masked
        bias = torch.zeros(len(labels), dtype=queries.dtype) if offsets is None else offsets / scale
        relevance = relevance.astype(np.float64)
        shares = relevance / np.maximum(relevance.sum(1, keepdims=True), 1e-300)
        classes, total = np.flatnonzero(relevance.any(0)).tolist(), queries.new_zeros(())
        for c in classes:
            rows = np.flatnonzero(relevance[:, c])
            weights = torch.from_numpy(shares[rows, c] / shares[rows, c].sum()).to(queries.dtype)
            current = (weights[:, None] * queries[rows]).sum(0)
            count = self.counts.get(c, 0)
            kept = min(self.momentum, count / (count + 1)) if self.ramp else self.momentum
            held = current if not count else kept * self.means[c].detach() + (1 - kept) * current
            for weight, row in zip(weights, rows.tolist(), strict=True):
                total = (
                    total
                    + self.alpha * weight * ((queries[row] - held).norm() - self.delta_v).clamp(min=0) ** 2
                )
            rivals = [
                ((labels[j] - labels[c]) @ current + bias[j] - bias[c]) / (labels[j] - labels[c]).norm()
                for j in range(len(labels))
                if not ((relevance[rows, j] > 0) | masked[rows, j]).any()
                and not torch.equal(labels[j], labels[c])
            ]
            if rivals:
                total = total + self.beta * (self.delta_d + torch.stack(rivals).max()).clamp(min=0)
            total = total + self.gamma * held.norm()
            self.means[c], self.counts[c] = held.detach(), count + 1
        return total / max(len(classes), 1)


def drawn(num_rows: int, num_labels: int, dimension: int, seed: int = 0, weighted: bool = True) -> Batch:
    """A batch of few positives a row, so that classes have rivals; the last row has none."""
    batch = make_batch(num_rows, num_labels, dimension, seed=seed)
    random = np.random.default_rng(seed)
    chosen = (random.random((num_rows, num_labels)) < 2 / num_labels) * np.float32(1)
    chosen[-1] = 0
    if weighted:
        chosen *= random.integers(1, 5, chosen.shape) / np.float32(2)
    return replace(batch, positives=sp.csr_matrix(chosen))


def leaves(batch: Any) -> dict[str, Tensor]:
    return {
        name: getattr(batch, name).clone().requires_grad_()
        for name in ("queries", "labels", "offsets", "scale")
    }


def masked_pairs(batch: Any) -> np.ndarray:
    free = batch.positives.toarray() == 0
    return free & (np.random.default_rng(5).random(free.shape) < 0.1)


@pytest.mark.parametrize(("momentum", "ramp"), [(0.99, True), (0.6, True), (0.9, False)])
@pytest.mark.parametrize("memory_bytes", [1, 1 << 20])
def test_three_batches_are_those_of_the_loops(momentum: float, ramp: bool, memory_bytes: int) -> None:
    loss = build_objective("discriminative", {**OPTIONS, "momentum": momentum, "ramp": ramp})
    loops = Loops(**OPTIONS, momentum=momentum, ramp=ramp)
    for seed in range(3):
        batch = drawn(9, 13, 4, seed)
        masked, given = masked_pairs(batch), leaves(batch)
        ours = loss(
            ScoreInputs(
                given["queries"], given["labels"], batch.positives, given["scale"], given["offsets"],
                memory_bytes=memory_bytes, masked=sp.csr_matrix(masked),
            )
        )  # fmt: skip
        LossStates(loss).commit()
        theirs = loops(
            given["queries"], given["labels"], batch.positives.toarray(),
            masked=masked, offsets=given["offsets"], scale=given["scale"],
        )  # fmt: skip
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
        for one, other in zip(
            torch.autograd.grad(ours, [*given.values()]),
            torch.autograd.grad(theirs, [*given.values()]),
            strict=True,
        ):
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_gradients_by_finite_differences() -> None:
    batch = drawn(6, 9, 3, weighted=False)
    loss = build_objective("discriminative", OPTIONS)

    def value(queries: Tensor, labels: Tensor, offsets: Tensor, scale: Tensor) -> Tensor:
        return loss(ScoreInputs(queries, labels, batch.positives, scale, offsets), "none")

    given = leaves(batch)
    assert torch.autograd.gradcheck(value, tuple(given.values()))
    value(**given)
    LossStates(loss).commit()
    assert torch.autograd.gradcheck(value, tuple(given.values())), "with means of a batch before"


def test_where_a_query_has_one_label_it_is_the_published_one() -> None:
    """With plain means of a class, and all of a class but its own as rivals."""
    queries, labels = (torch.randn(n, 5, generator=torch.Generator().manual_seed(n)) for n in (30, 4))
    targets = torch.arange(30) % 4
    own = discriminative(queries, labels, [[int(t)] for t in targets], **OPTIONS)
    total = torch.zeros(())
    for c in range(4):
        of_class = queries[targets == c]
        mean = of_class.mean(0)
        total += (
            OPTIONS["alpha"]
            * ((of_class - mean).norm(dim=1) - OPTIONS["delta_v"]).clamp(min=0).square().mean()
        )
        distances = [
            (labels[j] - labels[c]) @ mean / (labels[c] - labels[j]).norm() for j in range(4) if j != c
        ]
        total += OPTIONS["beta"] * (OPTIONS["delta_d"] + max(distances)).clamp(min=0)
        total += OPTIONS["gamma"] * mean.norm()
    torch.testing.assert_close(own, total / 4)
    torch.testing.assert_close(Discriminative(**OPTIONS)(queries, labels, [[int(t)] for t in targets]), own)


def test_a_loss_of_nothing_keeps_every_query_off_every_boundary() -> None:
    """The triangle inequality: within delta_v of a mean that is delta_d off leaves delta_d - delta_v."""
    draw = torch.Generator().manual_seed(0)
    labels = 4 * torch.linalg.qr(torch.randn(6, 6, generator=draw, dtype=torch.float64))[0]
    targets, around = torch.arange(60) % 6, torch.randn(60, 6, generator=draw, dtype=torch.float64)
    queries = labels[targets] + 0.2 * around / around.norm(dim=1, keepdim=True)
    positives = [[int(t)] for t in targets]
    options = {"gamma": 0.0, "delta_v": 0.5, "delta_d": 2.5}
    assert discriminative(queries, labels, positives, scale=1.0, **options) == 0
    apart = labels[:, None] - labels
    distances = (apart @ queries.T) / apart.norm(dim=2).clamp(min=1e-9)[..., None]  # [c, j, i]
    own = distances[targets, :, torch.arange(60)]
    own[torch.arange(60), targets] = torch.inf
    assert own.min() >= options["delta_d"] - options["delta_v"]
    assert discriminative(queries, labels, positives, scale=1.0, **{**options, "delta_d": 3.5}) > 0


def test_the_guarantee_is_tight_and_takes_both_halves() -> None:
    """Two classes on a line, delta_d from the boundary, whose queries are delta_v from their means."""
    labels = torch.tensor([[2.0, 0.0], [-2.0, 0.0]], dtype=torch.float64)
    positives = [[0], [0], [1], [1]]
    delta_v, delta_d = 0.5, 1.5

    def loss(mean: float, spread: float, **options: float) -> tuple[float, float]:
        """And how near to the boundary a query comes."""
        along = torch.tensor([mean + spread, mean - spread, -mean - spread, -mean + spread])
        queries = torch.stack([along, torch.zeros(4)], 1).double()
        least = float((queries[:, 0] * torch.tensor([1.0, 1, -1, -1])).min())
        given = {"gamma": 0.0, "delta_v": delta_v, "delta_d": delta_d, **options}
        return float(discriminative(queries, labels, positives, scale=1.0, **given)), least

    assert loss(1.5, 0.5) == (0, delta_d - delta_v)
    # Nearer to the boundary than the guarantee: told by the spread, or by the mean, and by nothing else.
    assert loss(1.5, 0.75) == (pytest.approx(0.25**2), 0.75)
    assert loss(1.25, 0.5) == (pytest.approx(0.25), 0.75)
    assert loss(1.5, 0.75, alpha=0.0) == loss(1.25, 0.5, beta=0.0) == (0, 0.75)


def test_momentum_damps_the_gradient_of_compactness_and_not_that_of_the_margin() -> None:
    queries = torch.tensor([[1.0, 0.2], [0.8, -0.1]], dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    positives = sp.csr_matrix(np.array([[1.0, 0.0], [1.0, 0.0]]))

    def gradient(**options: float) -> Tensor:
        nothing = {"alpha": 0.0, "beta": 0.0, "gamma": 0.0, "momentum": 0.9, "ramp": False}
        loss = build_objective("discriminative", {**nothing, **options})
        assert isinstance(loss, DiscriminativeLoss)
        for _ in range(2):
            value = loss(ScoreInputs(queries, labels, positives))
            loss.commit()
        return torch.autograd.grad(value, queries)[0]

    mean = queries.detach().mean(0)
    torch.testing.assert_close(gradient(gamma=1.0), 0.1 * (mean / mean.norm() / 2).expand(2, 2))
    # Along the normal of the boundary, of length 1 for the mean, whatever the momentum.
    normal = (labels[1] - labels[0]) / 2**0.5
    torch.testing.assert_close(gradient(beta=1.0, delta_d=5.0), (normal / 2).expand(2, 2))
    # Each query is drawn to the mean; what that does to the mean itself adds up to nothing.
    apart = queries.detach() - mean
    torch.testing.assert_close(gradient(alpha=1.0, delta_v=0.0), apart, rtol=0, atol=1e-12)


def test_labels_that_come_along_and_equal_ones_are_no_rivals() -> None:
    queries = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    labels = torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    labels[3] = labels[0]
    relevance = sp.csr_matrix(np.array([[1.0, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]))
    options = {"alpha": 0.0, "gamma": 0.0, "delta_d": 9.0, "reduction": "none"}
    # Of label 0, only label 2 is a rival; of label 1, labels 2 and 3.
    means = torch.stack([torch.tensor([0.2, 0.4, 0.4], dtype=torch.float64) @ queries, queries[0]])
    first = ((labels[2] - labels[0]) @ means[0]) / (labels[2] - labels[0]).norm()
    second = max(((labels[j] - labels[1]) @ means[1]) / (labels[j] - labels[1]).norm() for j in (2, 3))
    expected = torch.stack([0.2 * (9 + first) + 9 + second, 0.4 * (9 + first), 0.4 * (9 + first)]) * 3 / 2
    torch.testing.assert_close(discriminative(queries, labels, relevance, **options), expected)
    everything = sp.csr_matrix(np.ones((3, 4)))
    assert discriminative(queries, labels, everything, **options).sum() == 0, "no rival is left"
    assert discriminative(queries, labels, sp.csr_matrix((3, 4)), **options).sum() == 0


def test_a_batch_scored_twice_counts_once_and_the_state_goes_through_a_checkpoint() -> None:
    batch = drawn(8, 11, 4)
    ids = torch.arange(11) * 3 + 2
    inputs = ScoreInputs(batch.queries, batch.labels, batch.positives, label_ids=ids)

    def made() -> tuple[WeightedTerms, LossStates]:
        further = build_objective("discriminative", {"momentum": 0.5})
        loss = WeightedTerms((Term(build_objective("softmax")), Term(further, 0.3)))
        return loss, LossStates(loss)

    once, states = made()
    first, again = once(inputs), once(inputs)
    assert first == again
    states.commit()
    later = replace(inputs, queries=batch.queries.flip(0))
    expected = once(later)
    assert expected != made()[0](later), "the means of the first batch are in it"
    states.commit()
    resumed, other = made()
    other.load(states.state_dict(), states.tensors())
    assert set(states.tensors()) == {f"1.discriminative.{name}" for name in ("ids", "means", "counts")}
    assert set(states.tensors()["1.discriminative.ids"].tolist()) <= set(ids.tolist())
    assert resumed(inputs) == once(inputs)
    assert not LossStates(build_objective("softmax"))


def test_what_is_refused() -> None:
    for options, text in (
        ({"delta_v": -1.0}, "expected delta_v to be 0 or more"),
        ({"momentum": 1.0}, "momentum: expected at least 0 and less than 1"),
        ({"delta": 1.0}, "has no option 'delta'"),
    ):
        with pytest.raises(ConfigError, match=text):
            build_objective("discriminative", options)
    with pytest.raises(NonFiniteError):
        discriminative(torch.full((1, 2), torch.nan), torch.ones(2, 2), [[0]])
    with pytest.raises(DataError, match="expected the momentum means"):
        ClassMeans().load({"ids": torch.arange(3), "means": torch.ones(2, 4), "counts": torch.ones(3)})
    means = ClassMeans()
    means.before(torch.tensor([1]), torch.ones(1, 3))
    with pytest.raises(ConfigError, match="expected embeddings of 3 components"):
        means.before(torch.tensor([1]), torch.ones(1, 4))


def two_batches(dtype: torch.dtype, ends: list[int] | None) -> list[Tensor]:
    """Losses and gradients of two batches; this rank's labels are between ``ends``, all of them for None."""
    world, loss = current_world(), build_objective("discriminative", OPTIONS)
    found = []
    for seed in range(2):
        batch = drawn(7, 30, 4, seed).to(dtype)
        start, stop = (0, 30) if ends is None else ends[world.rank : world.rank + 2]
        first, last = world.shard(7)
        queries = batch.queries[first:last].clone().requires_grad_()
        labels, offsets = (x[start:stop].clone().requires_grad_() for x in (batch.labels, batch.offsets))
        value = loss(
            ScoreInputs(
                all_gather_rows(queries, 7, world), labels, batch.positives, batch.scale, offsets,
                shard=LabelShard(start, 30, world), masked=sp.csr_matrix(masked_pairs(batch)),
            )
        )  # fmt: skip
        LossStates(loss).commit()
        found += [value.detach(), *torch.autograd.grad(value, [queries, labels, offsets])]
    return [*found, LossStates(loss).tensors()["0.discriminative.means"]]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_ranks_agree_with_one_process(ranks: Ranks, dtype: torch.dtype, tolerance: float) -> None:
    even = [0, *accumulate(stop - start for start, stop in (shard_bounds(30, r, 3) for r in range(3)))]
    expected = two_batches(dtype, None)
    for ends in (even, [0, 0, 30, 30]):
        parts = ranks.run(two_batches, dtype, ends, size=3)
        for number, whole in enumerate(expected):
            mine = [part[number] for part in parts]
            joined = mine[0] if number % 4 == 0 else torch.cat(mine)
            torch.testing.assert_close(joined, whole, rtol=tolerance, atol=tolerance)
            if number % 4 == 0:
                assert all(torch.equal(joined, other) for other in mine), "alike on every rank"
