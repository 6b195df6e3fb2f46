"""The vector of each training query as a step last encoded it, for clusters without encoding all again."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from xmc.distributed import World
from xmc.errors import ConfigError

__all__ = ["KeptVectors"]

NEVER = -1
FILE = "query_vectors.npy"


class KeptVectors:
    """Vectors of N queries: a float16 file of the main rank, and on every rank which batch wrote each.

    A vector is that of the weights of its batch, dropout included: after an epoch the oldest is an epoch old.

    Args:
        num_queries: N.
        dimension: D.
        folder: The run's; the file is made in it, and removed by :meth:`close`.
        world: The ranks.
    """

    def __init__(self, num_queries: int, dimension: int, folder: Path, world: World) -> None:
        self.written = np.full(num_queries, NEVER, dtype=np.int64)
        self._path, self._shape, self._is_main = folder / FILE, (num_queries, dimension), world.is_main

    @cached_property
    def vectors(self) -> np.ndarray | None:
        """float16 [N, D], memory-mapped; made at first use, as the run's folder is not there before."""
        if not self._is_main:
            return None
        self._path.parent.mkdir(parents=True, exist_ok=True)
        made: np.ndarray = np.lib.format.open_memmap(self._path, "w+", np.float16, self._shape)
        return made

    @property
    def missing(self) -> np.ndarray:
        """Positions int64 [n] of queries that no step has encoded yet; equal on every rank."""
        return np.flatnonzero(self.written == NEVER)

    def keep(self, positions: np.ndarray, embeddings: Tensor, batch_index: int) -> None:
        """Write what a batch encoded.

        Args:
            positions: In ``range(N)``, int64 [B].
            embeddings: [B, D], of all ranks.
            batch_index: Of the batch.
        """
        self.written[positions] = batch_index
        if self.vectors is not None:
            self.vectors[positions] = embeddings.detach().to("cpu", torch.float16).numpy()

    def age(self, batch_index: int) -> float | None:
        """Mean number of batches since the kept vectors were written, or None when there is none."""
        kept = self.written[self.written != NEVER]
        return float((batch_index - kept).mean()) if len(kept) else None

    def tensors(self) -> dict[str, Tensor]:
        """Everything, on the main rank, for a checkpoint; nothing on the others."""
        if self.vectors is None:
            return {}
        return {
            "vectors": torch.from_numpy(np.array(self.vectors)),
            "written": torch.from_numpy(self.written.copy()),
        }

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Go on from a checkpoint; from one that kept none, every query counts as never encoded.

        Raises:
            ConfigError: When it holds vectors of another shape.
        """
        if not tensors:
            return
        if len(tensors["written"]) != len(self.written):
            raise ConfigError(
                f"expected a checkpoint with the vectors of {len(self.written)} queries, got "
                f"{len(tensors['written'])}: resume with the run's own data"
            )
        self.written[:] = tensors["written"].numpy()
        if self.vectors is not None:
            self.vectors[:] = tensors["vectors"].numpy()

    def close(self) -> None:
        """Remove the file."""
        self.__dict__.pop("vectors", None)
        if self._is_main:
            self._path.unlink(missing_ok=True)
