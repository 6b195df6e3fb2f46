from __future__ import annotations

import weakref
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from xmc.bench.known_towers import DISTILBERT
from xmc.bench.step_cost import StepShape, TowerShape, mining_cost, step_cost
from xmc.bench.step_time import Rates, step_seconds
from xmc.distributed import World
from xmc.errors import ConfigError
from xmc.objectives import decoupled_softmax
from xmc.scoring import ExtraNegatives, FrozenLabels, LabelShard

TITLES = StepShape(DISTILBERT, batch=48_000, pool=1_305_265, positives=1_065_600, labels=1_305_265)


def test_label_encoding_of_the_reference_is_fourteen_petaflop() -> None:
    flops = step_cost(TITLES).flops
    labels = flops["encode labels"] + flops["replay labels"]
    published = 1_305_265 * 32 * 2 * 42.5e6 * 4
    assert published == pytest.approx(14.2e15, rel=0.01)
    assert labels == pytest.approx(published, rel=0.01)  # attention is the rest


@pytest.mark.parametrize("ranks", [2, 3, 64])
def test_rank_0_has_the_largest_share_and_all_ranks_the_whole(ranks: int) -> None:
    one, many = step_cost(TITLES).flops, step_cost(replace(TITLES, ranks=ranks)).flops
    for name, whole in one.items():
        assert whole <= ranks * many[name] <= whole * 1.001


def test_one_rank_has_nobody_to_talk_to() -> None:
    assert step_cost(TITLES).collectives == () and step_cost(TITLES).sent_bytes == 0
    assert mining_cost(TITLES, 2_248_619, 50).collectives == ()


def test_what_a_ring_sends() -> None:
    cost = step_cost(replace(TITLES, ranks=4))
    sent = {call.name: call.sent(4) for call in cost.collectives}
    assert sent["queries"] == 3 * 12_000 * 768 * 4
    assert sent["gradient of the queries"] == 0.75 * 48_000 * 768 * 4
    assert sent["gradient of the parameters"] == 1.5 * 66_362_880 * 4
    assert cost.sent_bytes == sum(sent.values())


def test_mining_divides_the_rows_and_not_the_labels() -> None:
    one, many = (mining_cost(replace(TITLES, ranks=ranks), 2_248_619, 50) for ranks in (1, 64))
    assert one.flops["search"] == 2 * 2_248_619 * 1_305_265 * 768
    assert many.flops["search"] == pytest.approx(one.flops["search"] / 64, rel=1e-3)
    assert many.flops["encode labels"] == one.flops["encode labels"]
    assert many.recorded_bytes == 2 * 4 * 50 * 35_135


def test_a_bag_of_tokens_is_bounded_by_memory() -> None:
    bag = TowerShape(30_522 * 256, 256)
    cost = step_cost(replace(TITLES, tower=bag))
    seconds = step_seconds(cost, Rates())
    assert cost.flops["encode labels"] == 1_305_265 * 32 * 256
    assert seconds["encode"] == pytest.approx(cost.traffic["tokens"] / Rates().memory)
    assert step_seconds(step_cost(TITLES), Rates())["encode"] > 100 * seconds["encode"]


def test_seconds_are_operations_over_rates() -> None:
    cost = step_cost(replace(TITLES, ranks=8, memory=1_305_265, refresh=65_536))
    seconds = step_seconds(cost, Rates(encoding=1e15, scoring=1e15, memory=1e30, network=1e12))
    assert seconds["encode"] + seconds["score"] == pytest.approx(sum(cost.flops.values()) / 1e15)
    assert seconds["collectives"] == pytest.approx(cost.sent_bytes / 1e12)


@pytest.mark.parametrize(
    "wrong", [{"engine": "sparse"}, {"ranks": 0}, {"pool": 0}, {"memory": 10, "labels": 5}]
)
def test_shapes_that_cannot_be_are_errors(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        replace(TITLES, **wrong)


class Watched(TorchDispatchMode):
    """Adds up the multiplications of matrix products, and follows the bytes of the tensors that are alive."""

    def __init__(self) -> None:
        super().__init__()
        self.products = self.bytes = self.peak = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.addmm_):
            left, right = args[-2:]
            self.products += left.shape[0] * left.shape[1] * right.shape[1]
        result = function(*args, **(kwargs or {}))
        given = {a.untyped_storage()._cdata for a in args if isinstance(a, Tensor)}
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, Tensor):
                self._add(tensor.untyped_storage(), given)
        return result

    def _add(self, storage: torch.UntypedStorage, given: set[int]) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in given or key in self.known:
            return
        self.known.add(key)
        self.bytes += size
        self.peak = max(self.peak, self.bytes)
        weakref.finalize(storage, self._remove, key, size)

    def _remove(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.bytes -= size


def score(shape: StepShape) -> Watched:
    """One rank's scoring at this shape, forward and backward, with gradients to all but the memory."""
    generator = torch.Generator().manual_seed(0)
    dimension = shape.tower.dimension
    queries = torch.randn(shape.batch, dimension, generator=generator).requires_grad_()
    labels = torch.randn(shape.pool, dimension, generator=generator).requires_grad_()
    each = shape.positives // shape.batch
    positives = [[(7 * row + i) % shape.pool for i in range(each)] for row in range(shape.batch)]
    extra = None
    if shape.memory:
        kept = torch.randn(shape.memory, dimension, generator=generator)
        extra = ExtraNegatives(frozen=FrozenLabels(kept, None, None, LabelShard(0, shape.memory, World())))
    with Watched() as watched:
        loss = decoupled_softmax(
            queries, labels, positives, scale=torch.tensor(2.0, requires_grad=True),
            log_weights=torch.zeros(shape.pool), implementation=shape.engine,
            memory_bytes=shape.kept_scores, extra=extra,
        )  # fmt: skip
        loss.backward()
    return watched


BAG = TowerShape(parameters=0, dimension=64)
SMALL = StepShape(
    BAG, batch=192, pool=6_000, positives=384, labels=6_000, engine="tiled", kept_scores=1 << 20
)


@pytest.mark.parametrize(
    "changes",
    [{}, {"kept_scores": 1 << 30}, {"engine": "dense"}, {"memory": 5_000}],
    ids=["tiled", "kept", "dense", "memory"],
)
def test_products_and_peak_memory_of_scoring(changes: dict[str, Any]) -> None:
    shape = replace(SMALL, **changes)
    cost, watched = step_cost(shape), score(shape)
    scoring = cost.flops["score pool"] + cost.flops.get("score memory", 0)
    assert 2 * watched.products == scoring
    inputs = 4 * 64 * (shape.batch + shape.pool)
    parts = ("queries", "labels", "scores", "pairs")
    predicted = sum(cost.memory[name] for name in parts) - inputs
    assert watched.peak > 0.9 * predicted
    if shape.engine != "dense":  # plain autograd holds more than the two score matrices that are counted
        assert watched.peak < 1.03 * predicted
