from __future__ import annotations

import pytest
import torch

from xmc.scoring.dense import dense_scores


def test_scores_are_scaled_products_plus_offsets() -> None:
    queries, labels = (
        torch.tensor([[1.0, 2.0], [0.0, -1.0]]),
        torch.tensor([[3.0, 1.0], [0.5, 0.0], [1.0, 1.0]]),
    )
    scale, offsets = torch.tensor(2.0), torch.tensor([0.0, 10.0, -1.0])
    assert dense_scores(queries, labels, scale, None).tolist() == [[10.0, 1.0, 6.0], [-2.0, 0.0, -2.0]]
    assert dense_scores(queries, labels, scale, offsets).tolist() == [[10.0, 11.0, 5.0], [-2.0, 10.0, -3.0]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_are_scored_in_float32(dtype: torch.dtype) -> None:
    queries, labels = torch.full((1, 3), 300.0, dtype=dtype), torch.full((1, 3), 300.0, dtype=dtype)
    scores = dense_scores(queries, labels, torch.tensor(1.0), torch.ones(1, dtype=dtype))
    assert scores.dtype == torch.float32
    assert scores.item() == 3 * float(queries[0, 0]) ** 2 + 1  # beyond the largest float16
