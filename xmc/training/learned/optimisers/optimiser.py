"""What every optimiser does, whether its gradients are dense or of a few rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor, nn

from xmc.distributed import World

__all__ = ["Optimiser"]


class Optimiser(Protocol):
    """Changes the parameters it holds, by their gradients and at its own peak rates.

    A step is: gradients are forgotten; the backward passes of some batches leave new ones; those of all ranks
    are brought together; the parameters change. Every rank holds the same parameters and the same state.
    """

    @property
    def dense(self) -> Sequence[nn.Parameter]:
        """Parameters whose whole ``.grad`` is to be summed over ranks, all optimisers' in one all-reduce.

        Empty for an optimiser of rows, which brings its own together in :meth:`gather`.
        """
        ...

    def zero_grad(self) -> None:
        """Forget the gradients of the step before."""
        ...

    def gather(self, world: World) -> None:
        """Bring together the ranks' gradients of what is not :attr:`dense`. Every rank calls it."""
        ...

    def clipped_square(self) -> Tensor | None:
        """Sum of squares, a scalar, of the gathered gradients that are clipped; None where there is none."""
        ...

    def shrink(self, scale: float) -> None:
        """Take ``scale`` times the gradients that are clipped instead."""
        ...

    def step(self, factor: float) -> None:
        """Change the parameters, at ``factor`` of the peak rates."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """What it keeps of earlier steps, for a checkpoint."""
        ...

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Go on from :meth:`tensors`.

        Raises:
            KeyError, ValueError, RuntimeError: When they are of other parameters.
        """
        ...
