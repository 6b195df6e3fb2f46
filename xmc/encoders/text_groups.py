"""Attention within texts that lie one behind another, over groups of texts of about one length.

All that depends on lengths is found on the host, which has them: a GPU that is asked for one has to finish
first what it was given before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from xmc.distributed.world import to_device

__all__ = ["TextGroups", "attend", "collect", "group_texts", "positions", "spread"]

MOST_GROUPS = 4
"""Groups of a micro-batch on an accelerator.

Each costs the host some ten launches a layer, there and again on the way back, however few texts it has, and
the host is what a step waits for.
"""

_MULTIPLE = 8
"""Of padded widths, so that each group's part of a mask begins where kernels may read 16 bytes at a time."""


@dataclass(frozen=True)
class TextGroups:
    """Texts one behind another, as attention takes them: group after group.

    Attributes:
        shapes: Of each group, how many texts, and positions of each.
        masked: Of each group, whether some of its positions are padding.
        slots: Which of the groups' positions each token takes, int64 [t]; None where they are the tokens.
        mask: What is added to the scores of each of the p positions, 0 or -inf, float32 [p]; None likewise.
    """

    shapes: list[tuple[int, int]]
    masked: list[bool]
    slots: Tensor | None = None
    mask: Tensor | None = None

    @property
    def sizes(self) -> list[int]:
        """Positions of each group."""
        return [count * width for count, width in self.shapes]


def group_texts(lengths: np.ndarray, device: torch.device, most: int | None = None) -> TextGroups:
    """Neighbours of one length as one group, and of about one where there were more than ``most`` groups.

    Args:
        lengths: Tokens of each text, int64 [n], each at least 1; with ``most`` the longest first.
        device: Where the tokens are.
        most: The most groups; None for as many as there are lengths.
    """
    shapes = _runs(lengths)
    if most is None or len(shapes) <= most:
        return TextGroups(shapes, [False] * len(shapes))
    longest, step = int(lengths.max()), 0
    while len(shapes) > most and step < longest:
        step += _MULTIPLE
        widths = np.minimum(_rounded(lengths, step), _rounded(longest, _MULTIPLE))
        shapes = _runs(widths)
    starts = np.cumsum(widths) - widths
    slots = np.repeat(starts, lengths) + positions(lengths)
    mask = np.full(int(widths.sum()), -np.inf, dtype=np.float32)
    mask[slots] = 0
    ends = np.cumsum([count for count, _ in shapes])
    # Sorted, so that a group's last text is its shortest.
    masked = [bool(lengths[end - 1] < width) for end, (_, width) in zip(ends, shapes, strict=True)]
    return TextGroups(shapes, masked, to_device(slots, device), to_device(mask, device))


def attend(
    query: Tensor, key: Tensor, value: Tensor, groups: TextGroups, dropout: float, scaling: float | None
) -> Tensor:
    """What each token takes from those of its own text, [t, H, d], for queries, keys and values [t, H, d]."""
    if groups.slots is not None:
        total, slots = sum(groups.sizes), groups.slots
        query, key, value = (spread(x, slots, total) for x in (query, key, value))
    # Split, not sliced: its gradient is one concatenation, where a slice's is of the size of the whole.
    parts = zip(*(x.split(groups.sizes) for x in (query, key, value)), strict=True)
    masks = _masks(groups, query.dtype)
    out = []
    for (count, width), mask, part in zip(groups.shapes, masks, parts, strict=True):
        q, k, v = (x.unflatten(0, (count, width)).transpose(1, 2) for x in part)  # [count, H, width, d]
        attended = scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, scale=scaling)
        out.append(attended.transpose(1, 2).flatten(0, 1))  # [count * width, H, d]
    attended = out[0] if len(out) == 1 else torch.cat(out)
    return attended if groups.slots is None else collect(attended, groups.slots)


def positions(lengths: np.ndarray) -> np.ndarray:
    """The place of each token in its text, int64 [t], of texts one behind another with lengths [n]."""
    starts = np.cumsum(lengths) - lengths
    places: np.ndarray = np.arange(int(lengths.sum())) - np.repeat(starts, lengths)
    return places


def spread(rows: Tensor, slots: Tensor, size: int) -> Tensor:
    """Rows [t, ...] at their ``slots`` (int64 [t], each once) of [size, ...], zeros elsewhere."""
    return rows.new_zeros(size, *rows.shape[1:]).index_copy_(0, slots, rows)


def collect(rows: Tensor, slots: Tensor) -> Tensor:
    """Those rows of [size, ...] that are at ``slots`` (int64 [t], each once): [t, ...]."""
    out: Tensor = _Collect.apply(rows, slots)  # type: ignore[no-untyped-call]
    return out


class _Collect(torch.autograd.Function):
    """As ``index_select``, whose gradient would be added up, by atomics: each slot is here once."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, slots: Tensor) -> Tensor:
        """The chosen rows."""
        ctx.save_for_backward(slots)
        ctx.size = len(rows)
        return rows.index_select(0, slots)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Back to where they were."""
        (slots,) = ctx.saved_tensors
        return spread(gradient, slots, ctx.size), None


def _masks(groups: TextGroups, dtype: torch.dtype) -> list[Tensor | None]:
    """Of each group what is added to its scores, [count, 1, 1, width]; None where nothing is masked."""
    if groups.mask is None:
        return [None] * len(groups.shapes)
    parts = groups.mask.to(dtype).split(groups.sizes)
    return [
        part.view(count, 1, 1, width) if masked else None
        for part, (count, width), masked in zip(parts, groups.shapes, groups.masked, strict=True)
    ]


def _rounded(lengths: Any, step: int) -> Any:
    """Up to a multiple."""
    return -(-lengths // step) * step


def _runs(values: np.ndarray) -> list[tuple[int, int]]:
    """Neighbours of one value: (how many, value), for at least one value."""
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    counts = np.diff(np.append(starts, len(values)))
    return list(zip(counts.tolist(), values[starts].tolist(), strict=True))
