"""Cosines of positives [P] as a loss is to see them: pure functions, smooth enough to train at the ends.

All are continuous, rise with the cosine and are nowhere above it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["angular", "annealed", "cosine_less", "large_margin"]

# Of 1 - cos^2, below which the sine is taken for constant: its slope is infinite at 0.
_LEAST = 1e-7


def cosine_less(cosines: Tensor, size: float | Tensor) -> Tensor:
    """``cos - m`` (CosFace; Wang et al. 2018, arXiv:1801.09414, equation 4).

    Args:
        cosines: [P].
        size: m, a number or [P].
    """
    return cosines - size


def angular(cosines: Tensor, size: float | Tensor) -> Tensor:
    """``cos(theta + m)`` (ArcFace; Deng et al. 2019, arXiv:1801.07698, equation 3), without an arc cosine.

    Where ``theta + m`` is beyond pi the cosine would rise again; there it is ``cos - 1 + cos m``, which meets
    it at -1 and falls on.

    Args:
        cosines: [P] in [-1, 1].
        size: m in radians, from 0 to pi / 2, a number or [P].
    """
    if not isinstance(size, Tensor):
        size = cosines.new_full((), size)  # filled where it is: a copy of one number would be waited for
    cosine, sine = torch.cos(size), torch.sin(size)
    turned = cosines * cosine - (1 - cosines.square()).clamp_min(_LEAST).sqrt() * sine
    # The clamp above is right to 3e-4 at the ends, and exact where there is no margin.
    return torch.where(cosines > -cosine, turned, cosines - 1 + cosine)


def large_margin(cosines: Tensor, multiple: int) -> Tensor:
    """``(-1)^k cos(m theta) - 2k`` for theta in [k pi / m, (k + 1) pi / m] (L-Softmax).

    Liu et al. 2016, arXiv:1612.02295, equation 6. ``cos(m theta)`` is the m-th Chebyshev polynomial of the
    cosine, so that its slope is one, too: ``(-1)^k m U_(m-1)(cos)``, at most ``m^2``.

    Args:
        cosines: [P] in [-1, 1].
        multiple: m, an integer of at least 1; 1 is the plain cosine.
    """
    before, power = torch.ones_like(cosines), cosines
    for _ in range(multiple - 1):
        before, power = power, 2 * cosines * power - before
    # At theta = pi the quotient is m, and k is m - 1 on its closed interval.
    angle = torch.acos(cosines.detach().clamp(-1, 1))
    k = torch.floor(angle * (multiple / math.pi)).clamp(max=multiple - 1)
    return torch.where(k % 2 == 0, power, -power) - 2 * k


def annealed(cosines: Tensor, moved: Tensor, weight: float) -> Tensor:
    """``(weight cos + moved) / (1 + weight)``: the plain cosine, which is easier to learn, in the mixture."""
    return (weight * cosines + moved) / (1 + weight)
