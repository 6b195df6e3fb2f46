"""Encoders: towers over sentence-transformers, token batches, the gradient cache, and the model folder.

The names are imported on first use: the configuration needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmc.lazy import lazy_exports

if TYPE_CHECKING:
    from xmc.encoders.config import EncoderConfig
    from xmc.encoders.cut_count import CutCount
    from xmc.encoders.dual_encoder import DualEncoder
    from xmc.encoders.encoding import encode_texts
    from xmc.encoders.joined_labels import add_residuals
    from xmc.encoders.label_residuals import LabelResiduals
    from xmc.encoders.label_vectors import LabelVectors
    from xmc.encoders.metadata import EncoderMetadata, LabelOffsets
    from xmc.encoders.micro_batches import (
        CachedEncoding,
        encode_with_cache,
        flatten_tokens,
        gather_rows,
        pack_by_length,
    )
    from xmc.encoders.resolve import resolve_model
    from xmc.encoders.static_queries import StaticQueries
    from xmc.encoders.tower import Tower

__all__ = [
    "CachedEncoding",
    "CutCount",
    "DualEncoder",
    "EncoderConfig",
    "EncoderMetadata",
    "LabelOffsets",
    "LabelResiduals",
    "LabelVectors",
    "StaticQueries",
    "add_residuals",
    "Tower",
    "encode_texts",
    "encode_with_cache",
    "flatten_tokens",
    "gather_rows",
    "pack_by_length",
    "resolve_model",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "CachedEncoding": "xmc.encoders.micro_batches",
        "CutCount": "xmc.encoders.cut_count",
        "DualEncoder": "xmc.encoders.dual_encoder",
        "EncoderConfig": "xmc.encoders.config",
        "EncoderMetadata": "xmc.encoders.metadata",
        "LabelOffsets": "xmc.encoders.metadata",
        "LabelResiduals": "xmc.encoders.label_residuals",
        "LabelVectors": "xmc.encoders.label_vectors",
        "add_residuals": "xmc.encoders.joined_labels",
        "StaticQueries": "xmc.encoders.static_queries",
        "Tower": "xmc.encoders.tower",
        "encode_texts": "xmc.encoders.encoding",
        "encode_with_cache": "xmc.encoders.micro_batches",
        "flatten_tokens": "xmc.encoders.micro_batches",
        "gather_rows": "xmc.encoders.micro_batches",
        "pack_by_length": "xmc.encoders.micro_batches",
        "resolve_model": "xmc.encoders.resolve",
    },
)
