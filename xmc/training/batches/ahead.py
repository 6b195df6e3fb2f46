"""A batch drawn before it is asked for, where nothing that the step before changes decides it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from xmc.training.batches.batch import Batch
from xmc.training.batches.source import BatchSource

__all__ = ["DrawnAhead", "foreseeable"]

_FREE = {"name", "draws", "planned", "extend", "brought", "targets", "weights", "close"}
"""What a source may do without looking at a model, being told of a batch, or keeping anything."""

_BOUND = [name for name in vars(BatchSource) if not name.startswith("_") and name not in _FREE]


class DrawnAhead(NamedTuple):
    """A batch that waits for its step.

    Attributes:
        batch: The batch.
        place: Epoch and position of the sampler before its queries were drawn, which a checkpoint keeps.
    """

    batch: Batch
    place: tuple[int, int]


def foreseeable(sources: Sequence[BatchSource]) -> bool:
    """Whether batches are decided by the seed and their index alone.

    A source that is told of the moment or of what became of a batch, or that has a state, may decide by it:
    a memory of labels, mined labels, clusters by vectors, and one of the user's own that does any of this.
    """
    return not any(
        getattr(type(s), name) is not getattr(BatchSource, name) for s in sources for name in _BOUND
    )
