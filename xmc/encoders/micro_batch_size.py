"""How many tokens of a transformer a GPU encodes at once with a gradient. Imports no torch."""

from __future__ import annotations

__all__ = ["LEAST_GPU_TOKENS", "gpu_tokens", "token_bytes"]

LEAST_GPU_TOKENS = 16_384
"""On an accelerator, whatever its memory; also where the memory or the model's shape is not known."""

_MOST_GPU_TOKENS = 131_072  # from here on launches are no part of a pass that would be worth memory

_SHARE = 4  # a quarter: weights, moments, score tiles, label tables and float32 (a third more) take the rest

_MEASURED = 255_000, 6 * 768  # of DistilBERT under bf16 autocast: bytes of a token, layers x width


def token_bytes(layers: int, width: int) -> int:
    """What autograd keeps of each token of a BERT with inner layers of 4 x width, under bf16 autocast."""
    kept, size = _MEASURED
    return kept * layers * width // size


def gpu_tokens(memory: int, bytes_per_token: int) -> int:
    """Tokens of a micro-batch on a card: a power of two, 16,384 to 131,072.

    A pass takes the host about as long for few tokens as for many, and a card that waits for it does
    nothing; so the most whose activations fit a quarter of the memory. The same for each card of a kind, as
    dropout is drawn by micro-batches.

    Args:
        memory: Of the card, in bytes.
        bytes_per_token: As of :func:`token_bytes`.
    """
    tokens = LEAST_GPU_TOKENS
    while 2 * tokens <= _MOST_GPU_TOKENS and 2 * tokens * bytes_per_token * _SHARE <= memory:
        tokens *= 2
    return tokens
