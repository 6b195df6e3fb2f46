"""What an implementation of scoring is given, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor

from xmc.scoring.inputs import ScoreInputs
from xmc.scoring.statistic import RowStatistic

__all__ = ["Engine", "Gradients", "Needed", "Problem"]


@dataclass(frozen=True, eq=False)
class Problem:
    """The scores to reduce, inside autograd: its tensors are those that autograd hands over.

    Attributes:
        queries: [B, D].
        labels: [l, D].
        scale: A scalar.
        offsets: [l] or None.
        log_weights: [l] or None.
        inputs: What scoring was given; positives, shard and memory are read from it.
        statistic: What to compute of each row.
    """

    queries: Tensor
    labels: Tensor
    scale: Tensor
    offsets: Tensor | None
    log_weights: Tensor | None
    inputs: ScoreInputs
    statistic: RowStatistic


class Needed(NamedTuple):
    """Which inputs carry a gradient."""

    queries: bool
    labels: bool
    scale: bool
    offsets: bool


class Gradients(NamedTuple):
    """Gradients of a step over this rank's labels.

    Attributes:
        products: [B, D] by the queries before the scale, in float32 at least; zeros where not needed.
        labels: [l, D] in the labels' type, or None where not needed.
        offsets: [l], or None where not needed.
    """

    products: Tensor
    labels: Tensor | None
    offsets: Tensor | None


class Engine(Protocol):
    """One way to compute the scores of a problem and their gradients."""

    def reduce(self) -> tuple[Tensor, Tensor]:
        """The positives' scores [P], 0 for other ranks' labels, and the statistic over all ranks' labels."""
        ...

    def gradients(self, value: Tensor, grad_positives: Tensor, grad_value: Tensor) -> Gradients:
        """From the statistic and the gradients by the positives' scores [P] and by the statistic."""
        ...
