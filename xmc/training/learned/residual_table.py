"""A free vector for each label, or cluster of labels, that is added to its encoded text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from xmc.distributed import World, all_gather_rows
from xmc.distributed.world import to_device
from xmc.encoders import add_residuals
from xmc.random_streams import Stream, generator
from xmc.training.learned.config import ResidualConfig
from xmc.training.learned.optimisers.gathered_rows import distinct_rows

__all__ = ["ResidualTable"]


class ResidualTable(nn.Module):
    """The residual table [R, D], zero at first, replicated on every rank.

    A step reads the rows of its pool (:meth:`join`); an optimiser of rows gathers the gradients of what was
    read (it is a :class:`.optimisers.row_optimiser.RowGradients`), so that only touched rows cost anything.
    """

    rows: Tensor
    table: Tensor

    def __init__(
        self,
        config: ResidualConfig,
        assignment: np.ndarray | None,
        num_labels: int,
        dimension: int,
        seed: int,
        points: np.ndarray | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Make the zero table.

        Args:
            config: Dropout, and who has one.
            assignment: [L], the cluster of each label, or None for a row of its own for each.
            num_labels: L.
            dimension: D.
            seed: With a batch's index, decides which residuals it leaves out.
            points: [L], the training rows of each label, for ``config.min_points`` above 1.
            dtype: Of the table: float32 or bfloat16.
        """
        super().__init__()
        self.config, self.seed = config, seed
        # Of clusters the last ones may be empty: a table of as many rows as the largest id needs.
        num_rows = num_labels if assignment is None else int(assignment.max()) + 1
        rows = torch.arange(num_labels) if assignment is None else torch.from_numpy(assignment)
        # A buffer, not a parameter: the table is changed by rows, outside of what AdamW and its all-reduce
        # hold. Rows of its own for each label need not be saved.
        self.register_buffer("rows", rows.long(), persistent=assignment is not None)
        self.register_buffer("table", torch.zeros(num_rows, dimension, dtype=dtype))
        self.frequent = points >= config.min_points if points is not None and config.min_points > 1 else None
        self._read: list[_Read] = []

    def join(
        self, labels: Tensor, label_ids: np.ndarray, bounds: tuple[int, int], batch_index: int
    ) -> Tensor:
        """The label vectors [n, D] of this rank's shard of a pool: encoded text plus residual.

        Args:
            labels: [n, D], the encoded texts of ``label_ids[start:stop]``.
            label_ids: The whole pool's label ids, the same on every rank.
            bounds: (start, stop) of this rank's shard.
            batch_index: Of the batch; decides which residuals are left out.
        """
        start, stop = bounds
        draw = generator(self.seed, Stream.RESIDUAL_DROPOUT, batch_index)
        kept = draw.random(len(label_ids)) >= self.config.dropout
        if self.frequent is not None:
            # A rare label's residual is left out in every step, so that it stays 0.
            kept &= self.frequent[label_ids]
        device = self.table.device
        chosen, places = (to_device(np.flatnonzero(x), device) for x in (kept, kept[start:stop]))
        rows = self.rows[to_device(label_ids, device)]
        # A leaf of the rows read: its gradient is of them, where one of the table would be [R, D].
        leaf = self.table[rows[start:stop][places]].float().requires_grad_()
        self._read.append(_Read(rows, chosen, places, leaf))
        return add_residuals(labels, leaf, places)

    def forget(self) -> None:
        """Forget what was read."""
        self._read.clear()

    def kept(self) -> Callable[[], None]:
        """What forgets all that is read from now on."""
        count = len(self._read)

        def put_back() -> None:
            del self._read[count:]

        return put_back

    @torch.no_grad()
    def gather(self, world: World) -> tuple[Tensor, Tensor] | None:
        """Distinct rows [u] that were read and not left out, and the sums of their gradients [u, D].

        For each batch one all-gather of the n x D numbers of its pool; which rows they are every rank knows.
        """
        rows, gradients = [], []
        for read in self._read:
            # Every rank takes part in the gather, also where its own leaf got no gradient.
            gradient = torch.zeros_like(read.leaf) if read.leaf.grad is None else read.leaf.grad
            rows.append(read.rows[read.chosen])
            gradients.append(gradient if world.size == 1 else read.over_ranks(gradient, world))
        self._read.clear()
        if len(rows) > 1:
            rows, gradients = [torch.cat(rows)], [torch.cat(gradients)]
        return distinct_rows(rows[0], gradients[0]) if rows and len(rows[0]) else None

    def of_labels(self) -> Tensor:
        """The residual of every label, float32 [L, D], on the CPU."""
        return self.table[self.rows].float().cpu()


@dataclass(frozen=True, eq=False)
class _Read:
    """What a batch read of the table."""

    rows: Tensor
    """int64 [n], of its whole pool, left out or not."""
    chosen: Tensor
    """int64, which of the pool were not left out, on any rank."""
    places: Tensor
    """int64 [m], which of this rank's shard were not."""
    leaf: Tensor
    """[m, D], whose ``.grad`` is that of this rank's."""

    def over_ranks(self, gradient: Tensor, world: World) -> Tensor:
        """The gradients of all ranks' ``chosen``, of this rank's [m, D]; all ranks call it."""
        start, stop = world.shard(len(self.rows))
        own = gradient.new_zeros(stop - start, gradient.shape[1]).index_copy_(0, self.places, gradient)
        return all_gather_rows(own, len(self.rows), world)[self.chosen]
