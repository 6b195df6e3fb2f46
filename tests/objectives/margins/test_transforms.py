from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from xmc.objectives.margins.transforms import angular, annealed, cosine_less, large_margin

ANGLES = torch.linspace(0, math.pi, 20_001, dtype=torch.float64)
COSINES = torch.cos(ANGLES)
TRANSFORMS = {
    "cosface": lambda c: cosine_less(c, 0.35),
    "arcface": lambda c: angular(c, 0.5),
    "arcface of a right angle": lambda c: angular(c, math.pi / 2),
    **{f"l_softmax of {m}": lambda c, m=m: large_margin(c, m) for m in (1, 2, 3, 4)},
    "annealed": lambda c: annealed(c, large_margin(c, 4), 5.0),
}
EVERY = pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)


@EVERY
def test_it_is_continuous_rises_with_the_cosine_and_is_never_above_it(transform) -> None:
    moved = transform(COSINES)
    steps = moved.diff()  # the angle grows, and the cosine falls
    # Arcface's sine is not taken below 3e-4: there it may rise by a rounding of that.
    assert (steps <= 2e-7).all() and steps.min() > -5e-3
    assert (moved <= COSINES + 1e-12).all()
    assert moved[0] - moved[-1] >= 2 - 1e-3


@EVERY
def test_slopes_are_those_of_differences_and_finite_at_the_ends(transform) -> None:
    # Between the knots of the pieces, of which no transform here has one at these angles.
    angles = torch.tensor([0.3, 0.9, 1.3, 1.9, 2.2, 2.7, 3.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(transform, torch.cos(angles).requires_grad_())
    for dtype in (torch.float32, torch.float64):
        ends = torch.tensor([1.0, -1.0, 0.0], dtype=dtype, requires_grad=True)
        (slope,) = torch.autograd.grad(transform(ends).sum(), ends)
        assert torch.isfinite(slope).all() and (slope >= -1e-6).all() and slope.max() <= 16


def test_arcface_adds_to_the_angle_until_pi() -> None:
    for size in (0.1, 0.5, 1.2):
        within = size + 1e-3 < math.pi
        assert within
        kept = (ANGLES > 1e-3) & (ANGLES < math.pi - size)
        torch.testing.assert_close(
            angular(COSINES, size)[kept], torch.cos(ANGLES[kept] + size), rtol=0, atol=1e-9
        )
        assert float(angular(torch.tensor(-1.0, dtype=torch.float64), size)) == pytest.approx(
            math.cos(size) - 2
        )


@pytest.mark.parametrize("multiple", [1, 2, 3, 4, 5])
def test_l_softmax_is_its_definition(multiple: int) -> None:
    expected = np.empty(len(ANGLES))
    for i, angle in enumerate(ANGLES.tolist()):
        k = min(int(angle * multiple / math.pi), multiple - 1)
        expected[i] = (-1) ** k * math.cos(multiple * angle) - 2 * k
    found = large_margin(COSINES, multiple).numpy()
    # At a knot rounding decides the piece; both say the same there.
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert found[0] == 1 and found[-1] == pytest.approx(1 - 2 * multiple)


def test_l_softmax_of_three_and_four_are_the_closed_forms_of_the_authors() -> None:
    c = torch.linspace(-0.999, 0.997, 601, dtype=torch.float64)
    one = torch.sign(c.abs() - 0.5)
    three = one * (4 * c**3 - 3 * c) + torch.sign(c) * (1 + one) - 2
    torch.testing.assert_close(large_margin(c, 3), three, rtol=0, atol=1e-12)
    two = torch.sign(c) * torch.sign(2 * c**2 - 1)
    four = two * (8 * c**4 - 8 * c**2 + 1) + 2 * torch.sign(c) + two - 3
    torch.testing.assert_close(large_margin(c, 4), four, rtol=0, atol=1e-12)
    torch.testing.assert_close(large_margin(c, 2), 2 * torch.sign(c) * c**2 - 1, rtol=0, atol=1e-12)


def test_l_softmax_has_the_slope_of_the_chebyshev_polynomial() -> None:
    cosines = torch.cos(torch.tensor([0.2, 1.0, 1.7, 2.5], dtype=torch.float64)).requires_grad_()
    for multiple in (2, 3, 4):
        (slope,) = torch.autograd.grad(large_margin(cosines, multiple).sum(), cosines)
        angles = torch.acos(cosines.detach())
        k = torch.floor(angles * multiple / math.pi)
        expected = (-1) ** k * multiple * torch.sin(multiple * angles) / torch.sin(angles)
        torch.testing.assert_close(slope, expected)
        end = torch.ones(1, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.grad(large_margin(end, multiple).sum(), end)[0].item() == multiple**2


def test_annealing_mixes() -> None:
    c = torch.tensor([0.5], dtype=torch.float64)
    assert float(annealed(c, torch.tensor([-0.5]), 3.0)) == pytest.approx((3 * 0.5 - 0.5) / 4)
