"""Texts to embeddings without gradients: tokenised in windows, packed by length, back in their order."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import torch
from tqdm.auto import tqdm

from xmc.encoders.batching import flatten_tokens, gather_rows, pack_by_length
from xmc.encoders.tower import Tower

__all__ = ["encode_texts"]

# Texts tokenised at a time: enough to pack well, and memory does not grow with the texts.
WINDOW = 16_384


def encode_texts(
    tower: Tower,
    texts: Sequence[str],
    *,
    batch_tokens: int | None = None,
    progress: bool = False,
    name: str = "texts",
) -> np.ndarray:
    """Embeddings float32 [N, D] of N texts in their order, in the tower's present mode.

    Args:
        tower: Its modules decide dropout: put them in eval mode first.
        texts: Any sequence of strings; slices of it are read, so it may be lazy.
        batch_tokens: Most tokens of a micro-batch, padding included; None is ``tower.micro_batch_tokens``.
        progress: Show a bar on stderr, counted in texts.
        name: What the bar calls them.
    """
    out = np.empty((len(texts), tower.dimension), dtype=np.float32)
    max_tokens = batch_tokens or tower.micro_batch_tokens
    bar = tqdm(total=len(texts), desc=f"encoding {name}", unit="text", disable=not progress, file=sys.stderr)
    with bar:
        for start in range(0, len(texts), WINDOW):
            window = list(texts[start : start + WINDOW])
            ids, offsets = flatten_tokens(tower.tokenize(window))
            for rows in pack_by_length(np.diff(offsets), max_tokens, tower.padded):
                with torch.inference_mode():
                    out[start + rows] = tower(*gather_rows(ids, offsets, rows)).cpu().numpy()
                bar.update(len(rows))
    return out
