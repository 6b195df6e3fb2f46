"""A transformer's training pass on a CPU: padded, unpadded, with frozen layers, and with what they give kept.

    python benchmarks/frozen_layers.py data/api-docs --frozen 3

One forward and backward pass through the gradient cache over some training queries, one thread, in processor
time; kinds take turns, and the best round of each counts.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from xmc.data import Dataset
from xmc.encoders import DualEncoder, EncoderConfig, encode_with_cache, flatten_tokens
from xmc.encoders.kept_layers import KeptLayers, open_or_build

__all__ = ["main"]


def main() -> None:
    """Print the seconds of each kind, and their share of a padded pass of the whole model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", help="a prepared data set")
    parser.add_argument("--frozen", type=int, default=3)
    parser.add_argument("--texts", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    whole, frozen, kept = (
        DualEncoder.build(EncoderConfig(kind="transformer", frozen_layers=count)).train()
        for count in (0, options.frozen, options.frozen)
    )
    texts = Dataset.load(options.dataset).texts("train")
    chosen = np.random.default_rng(0).permutation(len(texts))[: options.texts]
    tokens = flatten_tokens(whole.query_tower.tokenize([texts[row] for row in chosen.tolist()]))
    kinds = {"padded": whole, "unpadded": whole, "frozen": frozen, "frozen and kept": kept}
    with tempfile.TemporaryDirectory() as folder:
        model = kept.query_tower.modules[0].model
        started = time.process_time()
        path = open_or_build(Path(folder), model, *tokens, description="frozen layers", progress=False)
        made = time.process_time() - started
        kept.query_tower.kept_layers = KeptLayers(model, [path], [tokens])
        seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
        for _ in range(options.rounds):
            for kind, encoder in kinds.items():
                tower = encoder.query_tower
                tower.unpadded = kind != "padded"
                started = time.process_time()
                out = encode_with_cache(tower, *tokens)
                out.backward(torch.randn_like(out.embeddings))
                seconds[kind].append(time.process_time() - started)
    print(f"{len(chosen)} texts, {len(tokens[0]):,} tokens; kept layers made in {made:.2f} s")
    least = {kind: min(taken) for kind, taken in seconds.items()}
    for kind, taken in least.items():
        print(f"{kind}: {taken:.2f} s, {taken / least['padded']:.2f} of a padded pass")


if __name__ == "__main__":
    main()
