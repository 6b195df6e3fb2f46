from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from xmc.distributed import World
from xmc.objectives.statistics import row_histogram
from xmc.objectives.statistics.row_histogram import NUM_BINS, RowHistogram
from xmc.scoring import Tile


def histogram(scores: torch.Tensor, low: float, high: float) -> RowHistogram:
    rows = len(scores)
    made = RowHistogram(torch.full((rows,), low), torch.full((rows,), high))
    for part in scores.split(50, 1):
        made.add(Tile(part, None, torch.empty_like(part)))
    made.merge(World())
    return made


def test_every_score_is_in_the_bin_that_holds_it() -> None:
    scores = 3 * torch.randn(4, 333, generator=torch.Generator().manual_seed(0))
    left, right, weights = histogram(scores, -4.0, 4.0).bins()
    assert weights.sum(1).tolist() == [333.0] * 4
    for row in range(4):
        ordered = scores[row].double().sort().values
        cut = weights[row].cumsum(0).long()
        assert (ordered[cut[cut < 333]] >= right[row][cut < 333] - 1e-5).all()
        assert (ordered[cut[cut > 0] - 1] <= right[row][cut > 0] + 1e-5).all()
    assert torch.equal(left[:, 0].float(), scores.amin(1)) and torch.equal(
        right[:, -1].float(), scores.amax(1)
    )


def test_equal_scores_have_bins_without_width() -> None:
    left, right, weights = histogram(torch.full((2, 70), 5.0), 5.0, 5.0).bins()
    used = weights > 0
    assert (left[used] == 5.0).all() and (right[used] == 5.0).all()


def test_labels_that_stand_for_others_count_for_them_but_positives_once() -> None:
    scores = torch.tensor([[0.1, 0.9], [0.1, 0.9]])
    made = RowHistogram(torch.zeros(2), torch.ones(2))
    log_weights = torch.tensor([3.0, 5.0]).log()
    made.add(
        Tile(scores, log_weights, torch.empty_like(scores), None, (torch.tensor([0]), torch.tensor([1])))
    )
    weights = made.bins()[2]
    assert weights.shape == (2, NUM_BINS)
    torch.testing.assert_close(weights.sum(1).float(), torch.tensor([4.0, 8.0]))


class Made(TorchDispatchMode):
    """The bytes of each tensor that is made, views left out."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        known = {x.untyped_storage().data_ptr() for x in tree_flatten(args)[0] if isinstance(x, torch.Tensor)}
        out = (kwargs or {}).get("out")
        for made in tree_flatten(found)[0]:
            if made is not out and made.untyped_storage().data_ptr() not in known:
                self.bytes.append(made.untyped_storage().nbytes())
        return found


@pytest.mark.parametrize("by_atomics", [False, True])
@pytest.mark.parametrize(("rows", "labels"), [(64, 4_000), (33, 5_001), (3, 90_000), (1, 200_000)])
def test_a_weighted_tile_is_counted_in_bounded_blocks(
    rows: int, labels: int, by_atomics: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights of all pairs are as large as the tile, and nothing else is, whichever way a device adds."""
    monkeypatch.setattr(row_histogram, "_adds_by_atomics", lambda weights: by_atomics)
    draw = torch.Generator().manual_seed(1)
    scores = torch.randn(rows, labels, generator=draw)
    log_weights = torch.rand(labels, generator=draw)
    positives = torch.arange(rows), torch.randint(labels, (rows,), generator=draw)
    tile = Tile(scores, log_weights, torch.empty_like(scores), None, positives)
    low, high = torch.full((rows,), -4.0), torch.full((rows,), 4.0)
    made = RowHistogram(low, high)
    with Made() as temporary:
        made.add(tile)
    large = sum(size for size in temporary.bytes if size > scores.nbytes / 4)
    assert large <= scores.nbytes * (1 + 1 / rows), "weights of labels and of pairs alone are large"

    weights = log_weights.exp().double().repeat(rows, 1)
    weights[positives] = 1.0
    bins = ((scores - low[:, None]) / made.width[:, None]).clamp(0, NUM_BINS - 1).long()
    exact = torch.zeros(rows, NUM_BINS, dtype=torch.float64).scatter_add_(1, bins, weights)
    torch.testing.assert_close(made.bins()[2], exact, rtol=1e-6, atol=0)
