from __future__ import annotations

import math

import pytest
import torch

from xmc.retrieval.likely_floor import _rank, likely_floor, sample_stride


@pytest.mark.parametrize(("k", "stride"), [(1, 64), (100, 64), (100, 245), (1000, 64), (7, 1000)])
def test_so_many_of_the_best_are_hardly_in_a_sample(k, stride):
    mean, rank = k / stride, _rank(k, stride)

    def at_least(count):
        return 1 - sum(math.exp(-mean) * mean**n / math.factorial(n) for n in range(count))

    assert at_least(rank) <= 1e-4 < at_least(rank - 1)


def test_a_sample_is_little_beside_the_labels():
    for num_labels in (10_000, 100_000, 3_000_000):
        stride = sample_stride(num_labels, 100)
        assert stride is not None
        sampled = -(-num_labels // stride)
        assert sampled <= min(num_labels / 32 + 1, 4_096) and sampled >= _rank(100, stride)


@pytest.mark.parametrize(("num_labels", "k"), [(0, 1), (100, 1), (700, 100), (30_000, 20_000)])
def test_no_sample_where_most_labels_would_be_above_its_floor(num_labels, k):
    assert sample_stride(num_labels, k) is None


def test_floors_are_below_the_best_and_above_most():
    """Of random scores: hardly ever too high, and some r s labels are above them."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(1500, 30_000, generator=generator)
    stride = sample_stride(30_000, 30)
    assert stride is not None
    above = (scores > likely_floor(scores[:, ::stride], 30, stride)[:, None]).sum(1)
    assert (above < 30).sum() <= 2
    assert abs(above.float().mean() / (_rank(30, stride) * stride) - 1) < 0.1


def test_no_floor_where_the_sample_has_too_few():
    scores = torch.full((2, 40), -torch.inf)
    scores[0, :30] = torch.arange(30.0)
    scores[1, 0] = torch.nan
    assert likely_floor(scores, 64, 64).tolist() == [29.0 - (_rank(64, 64) - 1), -torch.inf]
