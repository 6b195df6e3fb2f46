"""What takes part in making batches: the protocol of clusters, mined labels, the label memory and others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
from torch import Tensor

from xmc.scoring import FrozenLabels
from xmc.scoring.moments import LabelMoments
from xmc.training.batches.batch import Batch, Moment, Pool
from xmc.training.batches.pools.sampled import LabelDraw

__all__ = ["BatchSource"]


class BatchSource(Protocol):
    """One source of a batch's queries or labels. A subclass overrides what it takes part in.

    Every rank calls the same methods in the same order, as some talk to the other ranks. What only draws
    labels, independently of the batch, need not be a source: a :class:`.pools.sampled.LabelDraw` is enough.
    """

    name: str
    """Its section of the log, of a checkpoint and of a step's profile."""

    def draws(self) -> Sequence[LabelDraw]:
        """Draws that join every pool; asked once, when batches are set up."""
        return ()

    def before(self, moment: Moment) -> None:
        """Get ready for the batch of ``moment``; called before its queries are drawn."""
        return

    def extend(self, queries: np.ndarray, batch_index: int) -> np.ndarray:
        """The batch's queries [B], with those that this source adds at their end."""
        return queries

    def brought(self, epoch: int) -> sp.csr_matrix | None:
        """The labels that queries bring to their batches in an epoch: CSR bool [n, L], no positives.

        A row for each query trained on; None for none. The same object until it changes: inclusion
        probabilities are counted when it does.
        """
        return None

    def outside(self, pool: Pool, moment: Moment) -> FrozenLabels | LabelMoments | None:
        """Labels outside the pool that are scored without a gradient, or None; of one source at most."""
        return None

    def targets(self, queries: np.ndarray) -> sp.csr_matrix | None:
        """What teachers say of the batch's queries [B]: CSR float32 [B, L] of probabilities, or None.

        Of one source at most. Their labels have to be among those that the queries have or bring.
        """
        return None

    def weights(self, queries: np.ndarray) -> np.ndarray | None:
        """What the loss of each of the batch's queries [B] counts for: [B] float32, or None for 1 each.

        The weights of several sources are multiplied.
        """
        return None

    def after(self, batch: Batch, embeddings: Tensor, moment: Moment) -> None:
        """Take the embeddings [n, D] of this rank's shard of the pool, encoded text alone, detached.

        Not called where a head is trained, whose labels are not encoded, nor after a loss that is not finite.
        """
        return

    def seen(self, batch: Batch, embeddings: Tensor) -> None:
        """Take the embeddings [B, D] of the batch's queries as the step encoded them, detached, on all ranks.

        Not called after a loss that is not finite. A batch that is taken again after memory ran out is seen
        again.
        """
        return

    def planned(self, num_batches: int) -> None:
        """Hear how many batches the run takes from its start to its end; called once, before the first."""
        return

    def metrics(self, batch_index: int, step: int) -> dict[str, Any] | None:
        """Numbers for the log before the batch of that index; None for a source that has no section."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, for a checkpoint's JSON."""
        return {}

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps besides, whole on the main rank. Every rank calls it."""
        return {}

    def load(self, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Go on from a checkpoint, on any number of ranks; both are empty where it knew no such source."""
        return

    def close(self) -> None:
        """Stop what runs in the background, and remove files that were only for the run."""
        return
