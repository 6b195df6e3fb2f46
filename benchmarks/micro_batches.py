"""Time and memory of a transformer's forward and backward pass on a CPU, by the tokens of a micro-batch.

    python benchmarks/micro_batches.py 16384
    python benchmarks/micro_batches.py 4096

One size a process, as memory is the most that the process ever held.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch

from xmc.encoders import DualEncoder
from xmc.encoders.config import EncoderConfig
from xmc.encoders.micro_batches import encode_with_cache
from xmc.machine import this_machine

TEXTS = 300


def main(max_tokens: int) -> None:
    """Print the seconds and the most memory of one pass over 300 texts of 8 to 127 tokens."""
    torch.manual_seed(0)
    encoder = DualEncoder.build(EncoderConfig(kind="transformer"))
    encoder.train()
    generator = np.random.default_rng(0)
    lengths = generator.integers(8, 128, TEXTS)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = generator.integers(1000, 20_000, offsets[-1]).astype(np.int32)
    started = time.perf_counter()
    out = encode_with_cache(encoder.query_tower, ids, offsets, max_tokens=max_tokens)
    out.backward(torch.randn_like(out.embeddings))
    seconds, memory = time.perf_counter() - started, this_machine().peak_memory_bytes or 0
    print(f"{max_tokens:,} tokens: {seconds:.1f} s, {memory / 2**20:,.0f} MiB")


if __name__ == "__main__":
    main(int(sys.argv[1]))
