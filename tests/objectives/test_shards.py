"""Values and gradients over ranks equal those of one process, for shards of any size."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from typing import Any

import pytest
import scipy.sparse as sp
import torch

from tests.distributed.ranks import Ranks
from tests.objectives.oracle import Batch, loss_and_gradients, random_batch
from xmc.distributed import all_gather_rows, all_reduce_sum, current_world, shard_bounds
from xmc.objectives import decoupled_softmax
from xmc.scoring import LabelShard

WAYS = [(1, False), (1 << 20, False), (1, True)]  # recomputed tiles, kept tiles, labels without a gradient
Case = tuple[str, Batch, list[int]]
Result = tuple[torch.Tensor, dict[str, torch.Tensor]]


def sharded(batch: Batch, bounds: list[int], memory_bytes: int, frozen: bool) -> Result:
    """The loss, and this rank's parts of the gradients; the scale's is summed over ranks.

    Labels and offsets carry no gradient when ``frozen``.
    """
    world = current_world()
    start, stop = bounds[world.rank], bounds[world.rank + 1]
    first, last = world.shard(len(batch.queries))
    queries = batch.queries[first:last].clone().requires_grad_()
    labels = batch.labels[start:stop].clone().requires_grad_(not frozen)
    scale = batch.scale.clone().requires_grad_()
    offsets = None if batch.offsets is None else batch.offsets[start:stop].clone().requires_grad_(not frozen)
    loss = decoupled_softmax(
        all_gather_rows(queries, len(batch.queries), world),
        labels,
        sp.csr_matrix(batch.relevance),
        scale=scale,
        offsets=offsets,
        log_weights=None if batch.log_weights is None else batch.log_weights[start:stop],
        shard=LabelShard(start, len(batch.labels), world),
        memory_bytes=memory_bytes,
    )
    loss.backward()
    named: dict[str, Any] = {"queries": queries, "labels": labels, "scale": scale, "offsets": offsets}
    gradients = {name: leaf.grad for name, leaf in named.items() if leaf is not None and leaf.requires_grad}
    all_reduce_sum(gradients["scale"], world)
    return loss.detach(), gradients


def sharded_cases(cases: list[Case]) -> list[Result]:
    return [sharded(batch, bounds, *way) for _, batch, bounds in cases for way in WAYS]


def even(num_labels: int, size: int) -> list[int]:
    return [
        0,
        *accumulate(stop - start for start, stop in (shard_bounds(num_labels, r, size) for r in range(size))),
    ]


def cases_for(size: int) -> list[Case]:
    odd = random_batch(7, 301, 5, weighted=True)
    plain = random_batch(7, 301, 5, offsets=False, log_weights=False, scale=20.0)
    plain.queries /= plain.queries.norm(dim=1, keepdim=True)
    plain.labels /= plain.labels.norm(dim=1, keepdim=True)
    front = random_batch(7, 301, 5)
    front.relevance[:, 4:] = 0
    twins = random_batch(7, 12, 5, offsets=False)
    twins.labels[6:] = twins.labels[:6]
    none = random_batch(5, 9, 3)
    none.relevance[:] = 0
    lone = random_batch(1, 10, 3)
    raw = random_batch(3, 20, 2, scale=1.0, offsets=False)
    raw.labels *= 200
    tail = [301] * size  # a world of one takes everything whatever the bounds
    return [
        ("shards that do not divide", odd, even(301, size)),
        ("normalised, scale 20", plain, even(301, size)),
        ("all positives on the first rank", front, even(301, size)),
        ("a first rank with one label, the next with the rest", odd, [0, 1, *tail][: size + 1]),
        ("everything on the first rank", plain, [0, *tail]),
        ("everything on the last rank", odd, [*[0] * size, 301]),
        ("duplicate labels on different ranks", twins, even(12, size)),
        ("no positives at all", none, even(9, size)),
        ("fewer queries than ranks", lone, even(10, size)),
        ("raw scores of hundreds", raw, even(20, size)),
    ]


@pytest.mark.parametrize(
    "size", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow), 4]
)
def test_ranks_agree_with_one_process(ranks: Ranks, size: int) -> None:
    cases = cases_for(size)
    if size == 1:
        cases = [(name, batch, [0, len(batch.labels)]) for name, batch, _ in cases]
    narrow = [(name, batch.to(torch.float32), bounds) for name, batch, bounds in cases]
    answers = ranks.run(sharded_cases, narrow, size=size)
    wide = ranks.run(sharded_cases, cases, size=size)
    for number, (name, batch, _) in enumerate(cases):
        expected = loss_and_gradients(batch, implementation="dense")
        for index in range(len(WAYS) * number, len(WAYS) * (number + 1)):
            check(name, [answer[index] for answer in answers], expected, 1e-5)
            check(name, [answer[index] for answer in wide], expected, 1e-9)


def check(name: str, results: list[Result], expected: Result, tolerance: float) -> None:
    loss, gradients = expected
    for result in results:
        torch.testing.assert_close(
            result[0].double(), loss, rtol=tolerance, atol=tolerance, msg=explain(name, "loss")
        )
    for leaf in results[0][1]:
        gradient, parts = gradients[leaf], [result[1][leaf] for result in results]
        whole = parts[0] if leaf == "scale" else torch.cat(parts)
        largest = max(1.0, float(gradient.abs().max()) if gradient.numel() else 0.0)
        torch.testing.assert_close(
            whole.double(), gradient, rtol=tolerance, atol=tolerance * largest, msg=explain(name, leaf)
        )


def explain(case: str, what: str) -> Any:
    return lambda text: f"{case}, {what}: {text}"


def test_the_oracle_itself_is_the_naive_loop() -> None:
    batch = replace(cases_for(2)[0][1])
    torch.testing.assert_close(
        loss_and_gradients(batch, implementation="dense"),
        loss_and_gradients(batch, naive=True),
        rtol=1e-8,
        atol=1e-8,
    )
