"""Labels that are scored without a gradient, beside those that have one."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from xmc.scoring.reduction import LabelShard

__all__ = ["FrozenLabels"]


@dataclass(frozen=True)
class FrozenLabels:
    """This rank's frozen labels: negatives of every row, through the path of two products.

    Attributes:
        embeddings: [f, D] without a gradient, of any floating type; a tile at a time is converted to the
            queries' type.
        log_weights: [f] float32, minus the log of each label's inclusion probability, -inf for labels that
            are left out; None when all are in.
        offsets: [f] without a gradient, added to the scores, or None.
        shard: Which of the frozen labels of all ranks these are.
    """

    embeddings: Tensor
    log_weights: Tensor | None
    offsets: Tensor | None
    shard: LabelShard
