from __future__ import annotations

import pytest
import torch

from xmc.scoring import pairs as pairs_file
from xmc.scoring.pairs import add_pair_products, pair_products

ROWS, COLUMNS = torch.tensor([0, 2, 2, 1, 0]), torch.tensor([3, 3, 0, 1, 3])


@pytest.fixture(params=[1, 1 << 20])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs_file, "BLOCK_ELEMENTS", request.param)


@pytest.mark.usefixtures("block")
def test_products_are_those_of_the_pairs_with_gradients() -> None:
    queries = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(
        pair_products(queries, ROWS, labels, COLUMNS), (queries @ labels.T)[ROWS, COLUMNS]
    )
    assert torch.autograd.gradcheck(lambda q, e: pair_products(q, ROWS, e, COLUMNS), (queries, labels))


@pytest.mark.usefixtures("block")
def test_repeated_groups_add_up() -> None:
    source, weights = torch.randn(5, 4), torch.randn(5)
    dense = torch.zeros(3, 5).index_put((ROWS, COLUMNS), weights, accumulate=True)
    torch.testing.assert_close(
        add_pair_products(torch.zeros(3, 4), ROWS, source, COLUMNS, weights), dense @ source
    )


def test_gradients_of_half_precision_are_added_up_in_float32() -> None:
    queries = torch.ones(1, 2, dtype=torch.bfloat16, requires_grad=True)
    labels = torch.full((600, 2), 1.0, dtype=torch.bfloat16)
    products = pair_products(queries, torch.zeros(600, dtype=torch.int64), labels, torch.arange(600))
    products.sum().backward()
    assert queries.grad.dtype == torch.bfloat16 and (queries.grad == 600).all()


def test_no_pairs_are_no_products() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    queries = torch.ones(1, 2, requires_grad=True)
    products = pair_products(queries, none, torch.ones(3, 2), none)
    products.sum().backward()
    assert products.shape == (0,) and (queries.grad == 0).all()
