from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from xmc.scoring.arithmetic import accumulation_type, add_product, scaled_product, slope_product

HALVES = [torch.bfloat16, torch.float16]


@pytest.mark.parametrize("dtype", [*HALVES, torch.float32, torch.float64])
def test_products_of_slopes_and_vectors(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    slopes = torch.randn(3, 500, generator=generator, dtype=torch.float64).to(accumulation_type(dtype))
    vectors = torch.randn(500, 2, generator=generator, dtype=torch.float64).to(dtype)
    expected = slopes.double() @ vectors.double()
    found = slope_product(slopes, vectors)
    assert found.dtype == slopes.dtype
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-4)
    total = torch.ones_like(found)
    assert add_product(total, slopes, vectors) is total
    torch.testing.assert_close(total.double(), 1 + expected, rtol=1e-5, atol=1e-4)


def test_slopes_of_halves_are_added_up_in_float32() -> None:
    slopes, vectors = torch.ones(1, 600, dtype=torch.bfloat16), torch.ones(600, 1, dtype=torch.bfloat16)
    assert slope_product(slopes, vectors).item() == 600.0  # bfloat16 stops at 256


@pytest.mark.parametrize("dtype", HALVES)
def test_on_a_gpu_halves_meet_as_torch_takes_them(dtype: torch.dtype) -> None:
    """Without a GPU only the calls' types and shapes can be checked, which is what goes wrong first."""
    with FakeTensorMode():
        vectors = torch.empty(7, 4, dtype=dtype, device="cuda")
        for slope_type in (torch.float32, torch.bfloat16):
            slopes = torch.empty(3, 7, dtype=slope_type, device="cuda")
            assert slope_product(slopes, vectors).dtype == torch.float32
            total = torch.empty(3, 4, device="cuda")
            assert add_product(total, slopes, vectors).shape == (3, 4)
        queries, out = torch.empty(3, 4, dtype=dtype, device="cuda"), torch.empty(3, 7, device="cuda")
        offsets = torch.empty(7, device="cuda")
        assert scaled_product(queries, vectors.T, 2.0, offsets, out).dtype == torch.float32
