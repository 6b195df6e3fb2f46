"""A tensor that keeps its value and changes its gradient."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

__all__ = ["scaled_gradient"]


def scaled_gradient(tensor: Tensor, factors: Tensor | float) -> Tensor:
    """``tensor`` itself, whose gradient is multiplied by ``factors`` (a number, or one that broadcasts)."""
    return _ScaledGradient.apply(tensor, factors)  # type: ignore[no-any-return, no-untyped-call]


class _ScaledGradient(Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, factors: Tensor | float) -> Tensor:
        ctx.factors = factors.detach() if isinstance(factors, Tensor) else factors
        return tensor.view_as(tensor)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        gradient, factors = gradients[0], ctx.factors
        return gradient * (factors.to(gradient.dtype) if isinstance(factors, Tensor) else factors), None
