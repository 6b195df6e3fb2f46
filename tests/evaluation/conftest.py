from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from xmc.encoders import DualEncoder, EncoderMetadata, LabelOffsets


class NumberEncoder(DualEncoder):
    """A text is its embedding: "3 1 0" becomes [3, 1, 0]."""

    def __init__(self, name: str, offsets: LabelOffsets | None, scale: float) -> None:
        self.dimension = 3
        self.metadata = EncoderMetadata(scale=scale)
        self.label_offsets = offsets
        self.label_residuals = None
        self.name = name

    fingerprint = property(lambda self: self.name)  # type: ignore[assignment]

    def parameters(self):  # type: ignore[no-untyped-def]
        return iter([torch.nn.Parameter(torch.zeros(1))])

    def encode_queries(self, texts: Sequence[str], **_: object) -> np.ndarray:
        return np.array([[float(x) for x in text.split()] for text in texts], dtype=np.float32).reshape(-1, 3)

    encode_labels = encode_queries


@pytest.fixture
def make_encoder() -> Callable[..., DualEncoder]:
    def make(
        name: str = "0123456789abcdef", offsets: dict[str, float] | None = None, scale: float = 2.0
    ) -> DualEncoder:
        learned = None if offsets is None else LabelOffsets(list(offsets), np.array(list(offsets.values())))
        return NumberEncoder(name, learned, scale)

    return make
