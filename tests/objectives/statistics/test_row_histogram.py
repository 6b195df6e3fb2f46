from __future__ import annotations

import torch

from xmc.distributed import World
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
