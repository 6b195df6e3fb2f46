from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xmc.distributed import World
from xmc.objectives.statistics.log_partition import LogPartition
from xmc.scoring import Tile

INF = torch.inf


def walk(scores: torch.Tensor, log_weights: torch.Tensor | None, width: int) -> Callable[[], Iterator[Tile]]:
    def tiles() -> Iterator[Tile]:
        for part in range(0, scores.shape[1], width):
            tile = scores[:, part : part + width]
            weights = None if log_weights is None else log_weights[part : part + width]
            yield Tile(tile, weights, torch.full_like(tile, torch.nan))

    return tiles


@settings(deadline=None)
@given(
    rows=st.integers(1, 4),
    labels=st.integers(1, 9),
    width=st.integers(1, 9),
    masked=st.floats(0, 1),
    weighted=st.booleans(),
    seed=st.integers(0, 99),
)
def test_tiles_of_any_width_merge_to_the_logsumexp_of_what_is_not_masked(
    rows: int, labels: int, width: int, masked: float, weighted: bool, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = 100 * torch.randn(rows, labels, generator=generator, dtype=torch.float64)
    scores[torch.rand(rows, labels, generator=generator) < masked] = -INF
    log_weights = torch.rand(labels, generator=generator, dtype=torch.float64) if weighted else None
    given_scores = scores.clone()
    reduced = LogPartition().reduce(walk(scores, log_weights, width), rows, scores, World())
    expected = torch.logsumexp(scores if log_weights is None else scores + log_weights, 1)
    torch.testing.assert_close(reduced, expected)
    torch.testing.assert_close(LogPartition().dense(scores, log_weights), expected)
    assert torch.equal(scores, given_scores)


def test_no_tiles_at_all_is_an_empty_sum() -> None:
    like = torch.zeros(())
    assert LogPartition().reduce(lambda: iter(()), 2, like, World()).tolist() == [-INF, -INF]


@pytest.mark.parametrize("value", [-1e4, 1e4])
def test_extreme_scores_do_not_overflow(value: float) -> None:
    scores = torch.full((1, 4), value)
    reduced = LogPartition().reduce(walk(scores, None, 2), 1, scores, World())
    torch.testing.assert_close(reduced, torch.tensor([value]) + torch.tensor(4.0).log())


def test_tile_gradient_is_that_of_autograd_and_zero_at_masked_scores_and_empty_rows() -> None:
    scores = torch.tensor([[1.0, -INF, 2.0], [-INF, -INF, -INF], [0.0, 5.0, -3.0]], dtype=torch.float64)
    log_weights = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    gradient = torch.tensor([2.0, 3.0, -1.0], dtype=torch.float64)
    leaf = scores.clone().requires_grad_()
    value = LogPartition().dense(leaf, log_weights)
    torch.where(torch.isfinite(value), value * gradient, 0.0).sum().backward()
    assert leaf.grad is not None
    tile = Tile(scores, log_weights, torch.full_like(scores, torch.nan))
    found = LogPartition().tile_gradient(tile, value.detach(), gradient)
    torch.testing.assert_close(found, leaf.grad)
    assert found[1].tolist() == [0.0, 0.0, 0.0]
    assert found[0, 1] == 0
    assert found.data_ptr() == tile.scratch.data_ptr()


def test_what_is_left_in_place_gives_the_gradient_of_every_tile() -> None:
    # The second row has its first scores, low ones, in the last tile; the third has none.
    scores = torch.tensor(
        [[1.0, 5.0, -INF, 700.0], [-INF, -INF, -INF, -900.0], [-INF, -INF, -INF, -INF]], dtype=torch.float64
    )
    for log_weights in (None, torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)):
        statistic, gradient = LogPartition(), torch.tensor([2.0, 3.0, 4.0], dtype=torch.float64)
        value = statistic.reduce(walk(scores, log_weights, 2), 3, scores, World())
        expected = [statistic.tile_gradient(tile, value, gradient) for tile in walk(scores, log_weights, 2)()]
        tiles = list(walk(scores.clone(), log_weights, 2)())
        reduced, shifts = statistic.reduce_in_place(lambda tiles=tiles: iter(tiles), 3, scores, World())
        torch.testing.assert_close(reduced, value, rtol=0, atol=0)
        for tile, shift, wanted in zip(tiles, shifts, expected, strict=True):
            found = statistic.gradient_in_place(tile, shift, reduced, gradient)
            torch.testing.assert_close(found, wanted)
            assert found.data_ptr() == tile.scores.data_ptr()
