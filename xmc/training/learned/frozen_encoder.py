"""Encoding without gradients and without dropout: by the weights as they are, or by a snapshot of them."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xmc.data import TokenRows
from xmc.distributed.world import to_device
from xmc.encoders import DualEncoder, Tower, add_residuals
from xmc.encoders.micro_batches import AutocastFactory, gather_rows, pack_by_length
from xmc.training.learned.label_texts import LabelTextRows
from xmc.training.learned.residual_table import ResidualTable

__all__ = ["FrozenEncoder"]

TEXTS_AT_ONCE = 16_384


@dataclass(frozen=True)
class FrozenEncoder:
    """Embeds training queries and labels by their ids.

    Attributes:
        encoder: The model; put in eval mode while it encodes.
        residuals: The row of each label and the table of residuals, or None.
        queries: Tokens of the training queries.
        labels: Tokens of the labels.
        max_tokens: Most tokens of a micro-batch; None suits the tower.
        autocast: Makes the context that the encoder runs in.
        kept: Vectors float32 [L, D] of all labels where the label tower is not trained, or None.
        label_texts: The tokens of all texts of labels, and where each label's are; None where each has one,
            which ``labels`` has. Else that has the first of each.
    """

    encoder: DualEncoder
    residuals: tuple[Tensor, Tensor] | None
    queries: TokenRows
    labels: TokenRows
    max_tokens: int | None
    autocast: AutocastFactory
    kept: np.ndarray | None = None
    label_texts: tuple[TokenRows, LabelTextRows] | None = None

    def snapshot(self) -> FrozenEncoder:
        """A copy that later steps do not change, in eval mode."""
        # Texts of the labels are encoded by weights alone; what belongs to labels is copied beside them.
        encoder = DualEncoder(copy.deepcopy(self.encoder.module)).eval()
        for tower, own in zip(encoder.towers, self.encoder.towers, strict=True):
            tower.kept_layers = own.kept_layers  # of weights that no step changes
        residuals = self.residuals and (self.residuals[0], self.residuals[1].clone())
        return replace(self, encoder=encoder, residuals=residuals)

    def encode_queries(self, rows: np.ndarray) -> Tensor:
        """Embeddings float32 [n, D] of training rows, on the encoder's device."""
        return self._encode(self.encoder.query_tower, self.queries, rows)

    def encode_labels(self, label_ids: np.ndarray) -> Tensor:
        """Embeddings float32 [n, D] of labels with their residuals, on the encoder's device."""
        if self.kept is not None:
            return self.with_residuals(self.kept_labels(label_ids), label_ids)
        return self.with_residuals(self._encode(self.encoder.label_tower, self.labels, label_ids), label_ids)

    def kept_labels(self, label_ids: np.ndarray) -> Tensor:
        """Vectors float32 [n, D] of labels of a tower that is not trained, without residuals, by their ids.

        Raises:
            ValueError: When none are kept.
        """
        if self.kept is None:
            raise ValueError("expected the vectors of labels that are not trained, got none: encode them")
        rows = self.kept[label_ids]  # a copy, of what may be on disk
        return to_device(rows, self.encoder.label_tower.device)

    def encode_label_texts(self, start: int, stop: int) -> tuple[Tensor, NDArray[np.int64]]:
        """Embeddings [T, D] of all texts of the labels ``start:stop``, and the bounds of each label's."""
        if self.label_texts is None:
            return self.encode_labels(np.arange(start, stop)), np.arange(stop - start + 1)
        tokens, rows = self.label_texts
        own, bounds = rows.all_of(start, stop)
        labels = np.repeat(np.arange(start, stop), np.diff(bounds))
        return self.with_residuals(self._encode(self.encoder.label_tower, tokens, own), labels), bounds

    @torch.no_grad()
    def with_residuals(self, embeddings: Tensor, label_ids: np.ndarray) -> Tensor:
        """The vectors of labels whose texts are encoded already."""
        if self.residuals is None:
            return embeddings
        rows, table = self.residuals
        return add_residuals(embeddings, table[rows[to_device(label_ids, rows.device)]].float())

    @torch.no_grad()
    def _encode(self, tower: Tower, tokens: TokenRows, ids: np.ndarray) -> Tensor:
        out = torch.empty(len(ids), tower.dimension, device=tower.device)
        # Dropout off while it encodes, and as it was afterwards.
        training = self.encoder.module.training
        self.encoder.eval()
        try:
            for start in range(0, len(ids), TEXTS_AT_ONCE):
                # A window of texts at a time, within which micro-batches are packed by length.
                flat, offsets = tokens.gather(ids[start : start + TEXTS_AT_ONCE])
                # The run's own micro-batches, which fit the memory in a pass with a graph.
                budget = self.max_tokens or tower.micro_batch_tokens
                for rows in pack_by_length(np.diff(offsets), budget, tower.padded):
                    with self.autocast():
                        output = tower(*gather_rows(flat, offsets, rows))
                    out[to_device(start + rows, out.device)] = output.float()
        finally:
            self.encoder.train(training)
        return out


def residual_rows(residuals: ResidualTable | None) -> tuple[Tensor, Tensor] | None:
    """What :class:`FrozenEncoder` needs of the residuals; not copied."""
    return None if residuals is None else (residuals.rows, residuals.table)
