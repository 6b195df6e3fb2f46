"""Indexes with and without offsets, whose embeddings can be read off their texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from xmc.retrieval import LabelIndex


def numbers(count: int, seed: int = 0) -> list[str]:
    rows = np.random.default_rng(seed).integers(-4, 5, (count, 3))
    return [" ".join(map(str, row)) for row in rows.tolist()]


@pytest.fixture
def make_index(make_encoder, tmp_path: Path) -> Callable[..., LabelIndex]:
    """``make_index(offsets=True)``: 60 labels of three numbers; `LabelIndex.load` gets their encoder."""

    def make(count: int = 60, *, offsets: bool = False, name: str = "0123456789abcdef") -> LabelIndex:
        learned = {f"u{i}": float(i % 5) for i in range(count)} if offsets else None
        uids = [f"u{i}" for i in range(count)]
        encoder = make_encoder(name, offsets=learned, scale=2.0)
        return LabelIndex.build(encoder, numbers(count), uids=uids, kind="exact", progress=False)

    return make


@pytest.fixture
def make_several(make_encoder) -> Callable[..., LabelIndex]:
    """``make_several()``: labels of one, two and three texts in turn, with offsets."""

    def make(count: int = 60) -> LabelIndex:
        uids, lines = [f"u{i}" for i in range(count)], iter(numbers(3 * count, seed=2))
        encoder = make_encoder(offsets={uid: float(i % 5) for i, uid in enumerate(uids)}, scale=2.0)
        encoder.metadata = replace(encoder.metadata, label_texts="lines")
        texts = ["\n".join(next(lines) for _ in range(1 + i % 3)) for i in range(count)]
        return LabelIndex.build(encoder, texts, uids=uids, kind="exact", progress=False)

    return make
