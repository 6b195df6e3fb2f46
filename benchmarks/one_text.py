"""One text at a time: what a search of a label index takes, kind by kind, in turns.

    python benchmarks/one_text.py INDEX DATASET [--kinds flat hnsw binary fastscan] [--queries 300]

INDEX has its vectors whole; the other kinds are made of it, saved, and opened as a process does that only
searches. Kinds take turns, ten texts each, so that what else the machine does meets all alike. Figures are
in docs/benchmarks/retrieval.md.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from xmc.data import Dataset
from xmc.retrieval import LabelIndex
from xmc.retrieval.tune import exact_twin, recall_of

__all__ = ["main", "milliseconds"]

K, BLOCK = 10, 10
KINDS = ("flat", "hnsw", "binary", "fastscan")


def milliseconds(seconds: Sequence[float]) -> str:
    """The 50th and the 99th percent of some times."""
    return ", ".join(f"{1000 * quantile:.2f}" for quantile in np.percentile(seconds, [50, 99]))


def timed(search: Callable[[str], object], texts: Sequence[str]) -> list[float]:
    """Seconds of each text, after a first that is not counted."""
    search(texts[0])
    seconds = []
    for text in texts:
        started = time.perf_counter()
        search(text)
        seconds.append(time.perf_counter() - started)
    return seconds


def opened(exact: LabelIndex, kind: str, folder: Path) -> LabelIndex:
    """Another kind of an index, as it is opened from a folder; its model's query side is opened too."""
    LabelIndex.merge([exact], kind=kind, progress=False).save(folder)
    index = LabelIndex.load(folder)
    assert index.query_encoder is not None
    return index


def main(argv: Sequence[str] | None = None) -> None:
    """Print a line a kind."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("index")
    parser.add_argument("dataset", help="Its test rows are the texts.")
    parser.add_argument("--kinds", nargs="+", default=KINDS)
    parser.add_argument("--queries", type=int, default=300)
    given = parser.parse_args(argv)
    logging.disable(logging.WARNING)  # a line for each text that is cut
    index = LabelIndex.load(given.index)
    all_texts = index.encoder.query_texts(Dataset.load(given.dataset), "test")
    rows = np.unique(np.linspace(0, len(all_texts) - 1, given.queries).astype(int)).tolist()
    texts = [text for row in rows if (text := all_texts[row]).strip()]
    queries = index.encoder.encode_queries(texts)
    exact = exact_twin(index)
    best, _ = exact.search_vectors(queries, K)
    with TemporaryDirectory() as room:
        made = {kind: opened(exact, kind, Path(room) / kind.replace(",", "-")) for kind in given.kinds}
    encoder = next(iter(made.values())).query_encoder
    encoding: list[float] = []
    spent: dict[str, list[float]] = {kind: [] for kind in made}
    for start in range(0, len(texts), BLOCK):
        block = texts[start : start + BLOCK]
        encoding += timed(lambda text: encoder.encode_queries([text]), block)
        for kind, one in made.items():
            spent[kind] += timed(partial(one.search, k=K), block)
    print(f"{len(index):,} labels, {len(encoding)} texts; encoding one: {milliseconds(encoding)} ms\n")
    print("| kind | one text, ms: median, p99 | a batch of all, ms a text | recall@10 |\n|---|---|---|---|")
    for kind, one in made.items():
        batches = []
        for _ in range(3):
            started = time.perf_counter()
            ids, _ = one.search_vectors(queries, K)
            batches.append(1000 * (time.perf_counter() - started) / len(queries))
        recall = recall_of(ids, best)
        print(f"| {kind} | {milliseconds(spent[kind])} | {min(batches):.2f} | {recall:.4f} |", flush=True)


if __name__ == "__main__":
    main()
