"""How fast a transformer encodes texts of mixed lengths on a CPU, beside sentence-transformers' own `encode`.

    python benchmarks/encode.py data/api-docs
    python benchmarks/encode.py data/api-docs --texts 1000 --rounds 5

The same model, weights and precision, one thread, the same texts: queries of the test split and labels in a
random order. Rounds are taken in turn, in processor time, so that other work on the machine changes the ratio
little; the ratio is that of the best round of each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from xmc.data import Dataset
from xmc.encoders import DualEncoder

__all__ = ["main", "padding", "ratio"]


def padding(lengths: np.ndarray, order: np.ndarray, batch: int) -> float:
    """Positions that batches of ``batch`` texts in ``order`` have for each token, padding included.

    Args:
        lengths: Tokens of each text, int [N].
        order: The N texts as they are batched.
        batch: Texts of a batch.
    """
    parts = [lengths[order[start : start + batch]] for start in range(0, len(order), batch)]
    return sum(len(part) * int(part.max()) for part in parts) / int(lengths.sum())


def ratio(ours: Callable[[], object], other: Callable[[], object], rounds: int) -> tuple[float, float]:
    """The least processor seconds of each over some rounds that take turns."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for function, taken in zip((ours, other), seconds, strict=True):
            started = time.process_time()
            function()
            taken.append(time.process_time() - started)
    return min(seconds[0]), min(seconds[1])


def main(arguments: list[str] | None = None) -> None:
    """Print the texts' lengths, the padding, and the seconds of both with their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", help="a prepared data set")
    parser.add_argument("--model", default="embedded", help="what xmc.DualEncoder.load takes")
    parser.add_argument("--texts", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32, help="texts of a batch of sentence-transformers")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    encoder = DualEncoder.load(options.model).eval()
    dataset = Dataset.load(options.dataset)
    every = [*encoder.query_texts(dataset, "test"), *encoder.label_texts(dataset)]
    texts = [every[row] for row in np.random.default_rng(0).permutation(len(every))[: options.texts]]
    lengths = np.array([len(row) for row in encoder.query_tower.tokenize(texts)])
    by_characters = np.argsort([-len(text) for text in texts])
    model = encoder.model
    ours, other = ratio(
        lambda: encoder.encode_queries(texts),
        lambda: model.encode_query(texts, batch_size=options.batch, show_progress_bar=False),
        options.rounds,
    )
    middle, high = np.percentile(lengths, [50, 90])
    print(f"{len(texts):,} texts of {lengths.mean():.1f} tokens (median {middle:.0f}, 90 % under {high:.0f})")
    print(f"sentence-transformers: {padding(lengths, by_characters, options.batch):.2f} positions a token")
    print(f"sentence-transformers: {other:.2f} s; xmc: {ours:.2f} s; {other / ours:.2f} times as fast")


if __name__ == "__main__":
    main()
