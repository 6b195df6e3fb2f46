from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.scoring.statistics import SumOfSquares, TwoPassLogSumExp
from xmc.distributed import World
from xmc.errors import ConfigError
from xmc.objectives.statistics.log_partition import LogPartition
from xmc.scoring import LabelShard, RowStatistic, ScoreInputs, Tile, as_positives, reduce_scores, tiled
from xmc.scoring.statistic import Walk

B, L, D = 4, 300, 3
POSITIVES = as_positives([[0, 299], [], [127, 128, 129], [5]], B, L)


def inputs() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    scale = torch.tensor(1.7, dtype=torch.float64, requires_grad=True)
    return {"queries": normal(B, D), "labels": normal(L, D), "scale": scale, "offsets": normal(L)}


def results(statistic: RowStatistic, **options: Any) -> list[torch.Tensor]:
    """Positives' scores, the statistic, and the gradients of a mixture of both by every input."""
    tensors = inputs()
    scores, value = reduce_scores(ScoreInputs(positives=POSITIVES, **tensors, **options), statistic)
    mixture = (scores * torch.arange(1.0, 7.0)).sum() + (value * torch.tensor([1.0, -2.0, 3.0, 0.5])).sum()
    return [scores, value, *torch.autograd.grad(mixture, list(tensors.values()))]


@pytest.mark.parametrize("statistic", [SumOfSquares(), TwoPassLogSumExp()], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("memory_bytes", [1, 1 << 20])
def test_tiles_equal_dense_for_any_statistic(statistic: RowStatistic, memory_bytes: int) -> None:
    expected = results(statistic, implementation="dense")
    for implementation in ("tiled", "auto"):
        found = results(statistic, implementation=implementation, memory_bytes=memory_bytes)
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("cache_bytes", [1, 8 << 20], ids=["three tiles", "one tile"])
@pytest.mark.parametrize("memory_bytes", [1, 1 << 20], ids=["made again", "kept"])
@pytest.mark.parametrize("left_out", [None, 7, 128], ids=["all in", "a negative out", "a positive out"])
def test_weights_within_the_product_and_exponentials_in_place_change_nothing(
    cache_bytes: int, memory_bytes: int, left_out: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiled, "CACHE_BYTES", cache_bytes)
    log_weights = torch.linspace(0.0, 9.0, L, dtype=torch.float64)
    if left_out is not None:
        log_weights[left_out] = -torch.inf
    options = {"log_weights": log_weights, "memory_bytes": memory_bytes}
    expected = results(LogPartition(), implementation="dense", **options)
    torch.testing.assert_close(results(LogPartition(), implementation="tiled", **options), expected)


@pytest.mark.parametrize("weight", [-100.0, -1e9, torch.finfo(torch.float32).min, -torch.inf, 1e4])
def test_a_positives_score_is_what_it_is_beside_any_weight(weight: float) -> None:
    queries, labels = torch.tensor([[1.0]]), torch.tensor([[0.123456789], [0.5]])
    log_weights = torch.tensor([weight, 0.0])
    scored = ScoreInputs(queries, labels, [[0]], 20.0, log_weights=log_weights, implementation="tiled")
    scores, value = reduce_scores(scored, LogPartition())
    torch.testing.assert_close(scores, 20 * labels[:1, 0], rtol=1e-6, atol=0)
    torch.testing.assert_close(value, torch.tensor([10.0]))


def test_weights_that_are_no_number_leave_scores_alone() -> None:
    scored = ScoreInputs(
        torch.ones(1, 1), torch.ones(2, 1), [[0]], 2.0, log_weights=torch.tensor([torch.nan, 0.0])
    )
    assert reduce_scores(scored, LogPartition())[0].tolist() == [2.0]


class DoubledSlope(LogPartition):
    def tile_gradient(self, tile: Tile, statistic: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        return super().tile_gradient(tile, statistic, gradient).mul_(2)


class Halved(LogPartition):
    def reduce(self, *arguments: Any) -> torch.Tensor:
        return super().reduce(*arguments) / 2


class CountsPositives(LogPartition):
    """Positives are in it, and their weight there is 1, whatever it is for other rows."""

    masks_positives = False

    def __init__(self) -> None:
        self.seen: list[torch.Tensor | None] = []

    def reduce(self, walk: Walk, *arguments: Any) -> torch.Tensor:
        self.seen += [tile.log_weights for tile in walk()]
        return super().reduce(walk, *arguments)


def test_what_a_subclass_changes_holds_whether_scores_are_kept_or_not() -> None:
    plain = results(LogPartition(), implementation="tiled")
    for memory_bytes in (1, 1 << 20):
        doubled = results(DoubledSlope(), implementation="tiled", memory_bytes=memory_bytes)
        torch.testing.assert_close(doubled[1], plain[1])
        assert not torch.allclose(doubled[3], plain[3])
        halved = results(Halved(), implementation="tiled", memory_bytes=memory_bytes)
        torch.testing.assert_close(halved[1], plain[1] / 2)


def test_weights_of_a_statistic_that_counts_positives_are_given_apart() -> None:
    statistic, log_weights = CountsPositives(), torch.ones(L, dtype=torch.float64)
    results(statistic, implementation="tiled", log_weights=log_weights)
    (found,) = statistic.seen
    assert found is not None and torch.equal(found, log_weights)


def test_gradients_can_be_asked_for_twice() -> None:
    tensors = inputs()
    scored = ScoreInputs(positives=POSITIVES, log_weights=torch.ones(L, dtype=torch.float64), **tensors)
    scores, value = reduce_scores(scored, LogPartition())
    once, again = (
        torch.autograd.grad(scores.sum() + value.sum(), list(tensors.values()), retain_graph=True)
        for _ in range(2)
    )
    torch.testing.assert_close(again, once, rtol=0, atol=0)


@pytest.mark.parametrize("implementation", ["auto", "dense", "tiled"])
def test_positives_scores_are_in_the_order_of_the_pairs(implementation: str) -> None:
    tensors = inputs()
    scores, _ = reduce_scores(
        ScoreInputs(positives=POSITIVES, implementation=implementation, memory_bytes=1, **tensors),
        SumOfSquares(),
    )
    for score, row, label in zip(scores, POSITIVES.rows, POSITIVES.labels, strict=True):
        by_hand = (
            tensors["scale"] * (tensors["queries"][row] @ tensors["labels"][label])
            + tensors["offsets"][label]
        )
        torch.testing.assert_close(score, by_hand)


@pytest.mark.parametrize("implementation", ["auto", "dense", "tiled"])
def test_products_of_rounded_embeddings(implementation: str) -> None:
    tensors = {name: tensor.detach().float().requires_grad_() for name, tensor in inputs().items()}
    rounded = dict(tensors)
    for name in ("queries", "labels"):
        rounded[name] = tensors[name].bfloat16()
    found, expected = (
        reduce_scores(
            ScoreInputs(positives=POSITIVES, implementation=implementation, memory_bytes=1, **given),
            TwoPassLogSumExp(),
        )
        for given in (tensors | {"products": torch.bfloat16}, rounded)
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert not torch.equal(found[0], results(TwoPassLogSumExp(), implementation="dense")[0].float())
    gradient = torch.autograd.grad(found[1].sum(), tensors["labels"])[0]
    assert gradient.dtype == torch.float32


def call(**changes: Any) -> None:
    options: dict[str, Any] = {
        "queries": torch.zeros(B, D),
        "labels": torch.zeros(L, D),
        "positives": POSITIVES,
    }
    reduce_scores(ScoreInputs(**(options | changes)), SumOfSquares())


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"queries": torch.zeros(B, D + 1)}, r"one dimension D, got \[4, 4\] and \[300, 3\]"),
        ({"queries": torch.zeros(D)}, r"expected queries \[B, D\] and labels \[l, D\].*got \[3\]"),
        ({"queries": torch.zeros(B + 1, D)}, r"expected positives of shape \[B=5, L=300\].*got \[4, 300\]"),
        ({"labels": torch.zeros(L - 1, D)}, r"of shape \[B=4, L=299\].*got \[4, 300\]"),
        ({"offsets": torch.zeros(L + 1)}, r"offsets of shape \[300\], one per label, got \[301\]"),
        ({"log_weights": torch.zeros(L, 1)}, r"weights of shape \[300\], one per label, got \[300, 1\]"),
        ({"log_weights": torch.zeros(L, requires_grad=True)}, "without a gradient.*learn offsets"),
        ({"scale": torch.ones(L)}, r"one scale for all scores, got a tensor of shape \[300\]"),
        ({"implementation": "fast"}, "to be one of auto, dense, tiled, triton, got 'fast'"),
        ({"shard": LabelShard(1, L, World(0, 2))}, "got 300 labels from 1 on in a world of 2"),
        ({"shard": LabelShard(-1, L, World(0, 2))}, "within the 300 labels.*got 300 labels from -1 on"),
        ({"labels": torch.zeros(L - 1, D), "shard": LabelShard(0, L, World())}, "on one rank, got 299"),
        ({"shard": LabelShard(0, L, World(0, 2)), "implementation": "dense"}, "use 'tiled' or 'auto'"),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit_are_errors_that_say_what_came(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        call(**changes)


def test_a_scale_may_be_a_number_or_hold_one_element() -> None:
    tensors = inputs() | {"scale": 1.7}
    expected, _ = reduce_scores(ScoreInputs(positives=POSITIVES, **tensors), SumOfSquares())
    for shape in ((), (1,), (1, 1)):
        scale = torch.full(shape, 1.7, dtype=torch.float64, requires_grad=True)
        scores, _ = reduce_scores(
            ScoreInputs(positives=POSITIVES, **tensors | {"scale": scale}), SumOfSquares()
        )
        torch.testing.assert_close(scores, expected)
        (gradient,) = torch.autograd.grad(scores.sum(), scale)
        assert gradient.shape == shape
