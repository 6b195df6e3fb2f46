"""Tells the modules of a tower apart without importing sentence-transformers, which takes seconds.

Only where the library has been imported can there be a module of it.
"""

from __future__ import annotations

import sys

from tokenizers import Tokenizer
from torch import nn

from xmc.encoders.static_modules import BagDropout, UnitLength

__all__ = ["is_dropout", "is_library_module", "is_normalize", "is_pooling", "is_static", "is_transformer"]

_BASE = "sentence_transformers.base.modules"
_TEXT = "sentence_transformers.sentence_transformer.modules"


def is_static(module: nn.Module) -> bool:
    """Whether a module is a bag of token vectors: a ``StaticEmbedding``, or what is read of one here."""
    bag, tokenizer = getattr(module, "embedding", None), getattr(module, "tokenizer", None)
    return isinstance(bag, nn.EmbeddingBag) and isinstance(tokenizer, Tokenizer)


def is_transformer(module: nn.Module) -> bool:
    """Whether a module is the library's ``Transformer``."""
    return _is_a(module, _BASE, "Transformer")


def is_pooling(module: nn.Module) -> bool:
    """Whether a module is the library's ``Pooling``."""
    return _is_a(module, _TEXT, "Pooling")


def is_dropout(module: nn.Module) -> bool:
    """Whether a module is dropout of embeddings, the library's or ours."""
    return isinstance(module, BagDropout) or _is_a(module, _TEXT, "Dropout")


def is_normalize(module: nn.Module) -> bool:
    """Whether a module gives embeddings length 1, the library's or ours."""
    return isinstance(module, UnitLength) or _is_a(module, _BASE, "Normalize")


def is_library_module(module: nn.Module) -> bool:
    """Whether a module is one of the library's own kind, with a configuration that it can tell."""
    return _is_a(module, _BASE, "Module")


def _is_a(module: nn.Module, place: str, name: str) -> bool:
    library = sys.modules.get(place)
    return library is not None and isinstance(module, getattr(library, name))
