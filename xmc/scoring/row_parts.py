"""A batch whose rows have log weights of two kinds, as two batches of one kind each, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from xmc.scoring.inputs import RowsApart, ScoreInputs
from xmc.scoring.positives import Positives, as_positives

__all__ = ["in_pair_order", "in_row_order", "row_parts"]


def row_parts(inputs: ScoreInputs, apart: RowsApart) -> list[ScoreInputs]:
    """The rows of ``inputs`` that are not apart, then those that are.

    What is computed of the parts, one after the other, is put in order by :func:`in_pair_order` and
    :func:`in_row_order`. Rows are scored one by one whatever their batch, so two parts cost what one does,
    but for what is computed of labels alone.
    """
    return [_part(inputs, ~apart.rows, inputs.log_weights), _part(inputs, apart.rows, apart.log_weights)]


def in_pair_order(apart: RowsApart, pairs: Positives, parts: Sequence[Tensor]) -> Tensor:
    """[P] from the values of each part's positives."""
    return _in_order(parts, apart.rows[pairs.rows])


def in_row_order(apart: RowsApart, parts: Sequence[Tensor]) -> Tensor:
    """[B] or [B, n] from the values of each part's rows."""
    return _in_order(parts, apart.rows)


def _part(inputs: ScoreInputs, rows: Tensor, log_weights: Tensor | None) -> ScoreInputs:
    extra, masked = inputs.extra, inputs.masked_pairs
    if extra is not None and extra.certain is not None:
        shape = len(inputs.queries), inputs.own_shard.total
        certain = as_positives(extra.certain, *shape, inputs.queries.device)
        extra = replace(extra, certain=certain.of_rows(rows))
    if extra is not None and extra.frozen is not None and extra.frozen.masked is not None:
        shape = len(inputs.queries), extra.frozen.shard.total
        outside = as_positives(extra.frozen.masked, *shape, inputs.queries.device).of_rows(rows)
        extra = replace(extra, frozen=replace(extra.frozen, masked=outside))
    return replace(
        inputs,
        queries=inputs.queries[rows],
        positives=inputs.pairs.of_rows(rows),
        log_weights=log_weights,
        extra=extra,
        masked=None if masked is None else masked.of_rows(rows),
        apart=None,
    )


def _in_order(parts: Sequence[Tensor], second: Tensor) -> Tensor:
    """Values of two parts, one after the other, back in order; ``second`` bool says whose each place is."""
    places = torch.argsort(torch.argsort(second.long(), stable=True))
    return torch.cat(list(parts))[places]
