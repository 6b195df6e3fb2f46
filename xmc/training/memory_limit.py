"""Micro-batches that are halved when memory runs out, and the batch that is taken again.

Encoding takes the memory that can be had back: a batch whose encoding does not fit is encoded again in
smaller micro-batches, from the same random state. Ranks agree on their size at the end of a batch (before
a head steps), as dropout draws micro-batch by micro-batch: a run goes on as one that had the smaller ones
from that batch on. They agree after a batch that is skipped too, so that each begins with the same size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from torch import Tensor
from tqdm.auto import tqdm

from xmc.distributed import World, all_reduce_max
from xmc.errors import OutOfMemoryError

__all__ = ["MicroBatchLimit", "is_out_of_memory"]

NO_SMALLER = 64
"""More halvings than there are bits: a rank that cannot halve any more says so with it."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, of a GPU or of the machine."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, Exception) and should_reduce_batch_size(error)


@dataclass
class MicroBatchLimit:
    """How often micro-batches were halved; between batches it is the same on every rank.

    Attributes:
        rank: This one's.
        halvings: So far.
        smaller: Whether another halving would make micro-batches of the present batch smaller.
    """

    rank: int = 0
    halvings: int = 0
    smaller: bool = False

    def shortage(self, error: Exception) -> str:
        """What an error says that memory ran out by; any other error is raised."""
        if not is_out_of_memory(error):
            raise error
        return str(error).split("\n", 1)[0]

    def refuse(self, error: Exception) -> None:
        """Explain an error that memory ran out by, where a batch cannot be taken again.

        Raises:
            OutOfMemoryError: Naming what to lower.
        """
        if is_out_of_memory(error):
            raise _error(str(error)) from error

    def halve(self, said: str) -> None:
        """Halve micro-batches, and say so; call it when the error is gone, whose traceback holds tensors."""
        clear_device_cache(garbage_collection=True)
        if not self.smaller:
            self.halvings = NO_SMALLER
            return
        self.halvings += 1
        tqdm.write(
            f"rank {self.rank} is out of memory ({said}): micro-batches are halved, to "
            f"1/{1 << self.halvings} of training.micro_batch_tokens, and the batch is taken again"
        )

    def agree(self, world: World, device: torch.device) -> int:
        """The halvings of the rank that did so most, from here on of all. Over W ranks: 8 bytes reduced."""
        self.halvings = int(all_reduce_max(torch.tensor(self.halvings, device=device), world))
        return self.halvings

    def check(self, said: str) -> None:
        """Refuse to go on when there are no smaller ones.

        Raises:
            OutOfMemoryError: Naming what to lower.
        """
        if self.halvings >= NO_SMALLER:
            raise _error(said or "on another rank")

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint: dropout draws by micro-batches, so that a resumed run needs the same ones."""
        return {"halvings": self.halvings}

    def tensors(self) -> dict[str, Tensor]:
        """None."""
        return {}

    def load(self, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Go on with the micro-batches of a checkpoint."""
        self.halvings = int(state["halvings"])


def _error(said: str) -> OutOfMemoryError:
    return OutOfMemoryError(
        f"out of memory ({said.splitlines()[0] if said else 'the allocator says no more'}), where smaller "
        "micro-batches do not help: lower training.batch_size, negatives.uniform, scoring.memory_mb, "
        "encoder.query_length or encoder.label_length"
    )
