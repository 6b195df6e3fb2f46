"""A free vector a label, or a cluster of labels, learned beside the encoder and added to the encoded text."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from xmc.distributed import World, all_gather_rows
from xmc.encoders import add_residuals
from xmc.training.config import ResidualConfig
from xmc.training.learned.row_adagrad import row_adagrad_

__all__ = ["ResidualTable"]


class ResidualTable(nn.Module):
    """The residual table [R, D], zero at first, replicated on every rank, with its row-sparse optimiser.

    A step reads the rows of its pool (:meth:`join`), and after the backward pass collects their gradients
    (:meth:`collect`); :meth:`step` applies them. Only touched rows cost anything.
    """

    rows: Tensor
    table: Tensor
    squares: Tensor

    def __init__(
        self,
        config: ResidualConfig,
        assignment: np.ndarray | None,
        num_labels: int,
        dimension: int,
        seed: int,
        points: np.ndarray | None = None,
    ) -> None:
        """Make the zero table.

        Args:
            config: Rate and dropout.
            assignment: [L], the cluster of each label, or None for a row a label.
            num_labels: L.
            dimension: D.
            seed: With a step's number, decides which residuals it leaves out.
            points: [L], the training rows of each label, for ``config.min_points`` above 1.
        """
        super().__init__()
        self.config, self.seed = config, seed
        num_rows = num_labels if assignment is None else int(assignment.max()) + 1
        rows = torch.arange(num_labels) if assignment is None else torch.from_numpy(assignment)
        self.register_buffer("rows", rows.long(), persistent=assignment is not None)
        self.register_buffer("table", torch.zeros(num_rows, dimension))
        self.register_buffer("squares", torch.zeros(num_rows))
        self.frequent = points >= config.min_points if points is not None and config.min_points > 1 else None
        self._pending: list[tuple[Tensor, Tensor]] = []
        self._leaves: list[tuple[Tensor, Tensor]] = []

    def join(self, labels: Tensor, label_ids: np.ndarray, bounds: tuple[int, int], draw: int) -> Tensor:
        """The label vectors [n, D] of this rank's shard of a pool: encoded text plus residual.

        Args:
            labels: [n, D], the encoded texts of ``label_ids[start:stop]``.
            label_ids: The whole pool's label ids, the same on every rank.
            bounds: (start, stop) of this rank's shard.
            draw: The number of the batch; decides which residuals are left out.
        """
        start, stop = bounds
        kept = np.random.default_rng((self.seed, draw, 1)).random(len(label_ids)) >= self.config.dropout
        if self.frequent is not None:
            kept &= self.frequent[label_ids]
        rows = self.rows[torch.from_numpy(label_ids).to(self.table.device)]
        leaf = self.table[rows[start:stop]].requires_grad_()
        self._leaves.append((rows, leaf))
        mask = torch.from_numpy(kept[start:stop]).to(leaf.device)
        return add_residuals(labels, leaf * mask[:, None])

    def collect(self, world: World) -> None:
        """Gather the gradients of the joined rows from all ranks: one all-gather of n x D numbers."""
        for rows, leaf in self._leaves:
            gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
            self._pending.append((rows, all_gather_rows(gradient, len(rows), world)))
        self._leaves.clear()

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Apply the collected gradients at ``factor`` of the peak rate."""
        if self._pending:
            rows = torch.cat([rows for rows, _ in self._pending])
            gradient = torch.cat([gradient for _, gradient in self._pending])
            rate = self.config.learning_rate * factor
            row_adagrad_(self.table, self.squares, rows, gradient, rate)
            self._pending.clear()

    def of_labels(self) -> Tensor:
        """The residual of every label, float32 [L, D], on the CPU."""
        return self.table[self.rows].cpu()
