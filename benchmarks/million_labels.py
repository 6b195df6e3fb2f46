"""A million labels in each kind of index: build, size, recall, queries a second and processor time of each.

    python benchmarks/million_labels.py --room FOLDER --out million.json [--kinds flat hnsw fastscan]

The vectors are made up: 384 numbers of length 1 in 20,000 clusters whose sizes fall by Zipf's law, with
components that fall as a power of their place, a tenth near copies of others; queries lie beside labels.
They stay in FOLDER, and what OUT has of a kind is not measured again, so that kinds can be measured one by
one. The table is in docs/benchmarks/retrieval.md.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xmc.files import atomic_file
from xmc.retrieval import exact_search
from xmc.retrieval.faiss_module import import_faiss
from xmc.retrieval.index_labels import chunks, sample_rows
from xmc.retrieval.kinds import choose_kind
from xmc.retrieval.stores.protocol import VectorStore
from xmc.retrieval.stores.search import search_store
from xmc.retrieval.tune import recall_of

__all__ = ["main", "made_up_labels", "made_up_queries"]

Vectors = NDArray[np.float32]
CASES: dict[str, tuple[str, str, bool, list[dict[str, int]]]] = {
    "exact": ("exact", "float32", False, [{}]),
    "exact float16": ("exact", "float16", False, [{}]),
    "exact int8": ("exact", "int8", False, [{}]),
    "flat": ("flat", "float32", False, [{}]),
    "ivf": ("ivf", "float32", False, [{"nprobe": lists} for lists in (8, 32, 128)]),
    "hnsw": ("hnsw", "float32", False, [{"efSearch": width} for width in (64, 128, 512)]),
    "sq8 refined": ("sq8", "float32", True, [{"refine_factor": 4}]),
    "binary": ("binary", "float32", False, [{"refine_factor": more} for more in (10, 64)]),
    "fastscan": ("fastscan", "float32", False, [{"refine_factor": more} for more in (10, 40)]),
    "fastscan int8": ("fastscan", "int8", False, [{"refine_factor": 10}]),
    "lists of fast-scan codes refined": (
        *("IVF2048,PQ192x4fs", "float32", True),
        [{"nprobe": lists, "refine_factor": 10} for lists in (8, 32, 128)],
    ),
}
"""Kind, storage, whether refined, and settings of each line."""
BATCHES = (1, 64, 1024)
SECONDS = 3.0


def _spectrum(dimension: int) -> Vectors:
    return (np.arange(1, dimension + 1) ** -0.3).astype(np.float32)


def _unit(vectors: Vectors) -> Vectors:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def made_up_labels(count: int, dimension: int, random: np.random.Generator) -> Vectors:
    """Unit vectors [count, dimension]: clusters of unequal size, and a tenth near copies of earlier ones."""
    clusters, spread = max(1, count // 50), _spectrum(dimension)
    centres = random.standard_normal((clusters, dimension), dtype=np.float32) * spread
    chances = 1 / np.arange(1, clusters + 1)
    labels = np.empty((count, dimension), dtype=np.float32)
    for part in chunks(count):
        size = part.stop - part.start if part.stop <= count else count - part.start
        own = random.choice(clusters, size=size, p=chances / chances.sum())
        made = centres[own] + random.standard_normal((size, dimension), dtype=np.float32) * spread
        copies = np.flatnonzero(random.random(size) < 0.1)
        noise = random.standard_normal((len(copies), dimension), dtype=np.float32) * spread
        made[copies] = made[random.integers(0, size, len(copies))] + 0.1 * noise
        labels[part] = _unit(made)
    return labels


def made_up_queries(labels: Vectors, count: int, random: np.random.Generator) -> Vectors:
    """Unit vectors [count, D], each a label and as much noise again."""
    rows = random.choice(len(labels), size=count, replace=False)
    noise = _unit(
        random.standard_normal((count, labels.shape[1]), dtype=np.float32) * _spectrum(labels.shape[1])
    )
    return _unit(labels[np.sort(rows)] + noise)


def prepared(room: Path, count: int, dimension: int) -> tuple[Vectors, Vectors, NDArray[np.int64]]:
    """Labels, queries and the 100 best labels of each, made once."""
    names = [room / f"{name}-{count}.npy" for name in ("labels", "queries", "best")]
    if not names[-1].is_file():
        room.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(0)
        labels = made_up_labels(count, dimension, random)
        queries = made_up_queries(labels, min(1024, count), random)
        best, _ = exact_search(queries, labels, min(100, count))
        for name, array in zip(names, (labels, queries, best.astype(np.int64)), strict=True):
            with atomic_file(name) as file, file.open("wb") as stream:
                np.save(stream, array)
    labels, queries, best = (np.load(name, mmap_mode="r") for name in names)
    return labels, np.array(queries), np.array(best, dtype=np.int64)


def build(name: str, labels: Vectors) -> tuple[VectorStore, dict[str, Any]]:
    """A store of all labels, and what that took."""
    kind, storage, refined, _ = CASES[name]
    chosen = choose_kind(kind, labels.shape[1], len(labels), storage, refined)
    store = chosen.make(labels.shape[1], False)
    started, used = time.perf_counter(), time.process_time()
    if not store.is_trained:
        store.train(np.array(labels[sample_rows(len(labels))]))
    trained = time.perf_counter()
    for part in chunks(len(labels)):
        store.add(np.array(labels[part]))
    seconds, used = time.perf_counter() - started, time.process_time() - used
    with TemporaryDirectory() as folder:
        size = sum((Path(folder) / file).stat().st_size for file in store.write(Path(folder)))
    facts: dict[str, Any] = {
        "factory": chosen.factory,
        "train_s": round(trained - started, 1),
        "build_s": round(seconds, 1),
    }
    facts["build_cpu_s"] = round(used, 1)
    return store, {**facts, "megabytes": round(size / 1e6)}


def measured(store: VectorStore, queries: Vectors, best: NDArray[np.int64]) -> dict[str, Any]:
    """Recall at 10 and 100, and queries a second by the number of them that are asked together."""
    label_of = np.arange(store.next_slot, dtype=np.int64)
    told: dict[str, Any] = {}
    for k in (10, 100):
        ids, _ = search_store(store, queries, k, label_of)
        told[f"recall@{k}"] = round(recall_of(ids, best[:, :k]), 4)
    for batch in BATCHES:
        times: list[float] = []
        until, used = time.perf_counter() + SECONDS, time.process_time()
        for start in range(0, len(queries) - batch + 1, batch):
            started = time.perf_counter()
            search_store(store, queries[start : start + batch], 10, label_of)
            times.append(time.perf_counter() - started)
            if times[-1] + started > until:
                break
        used = time.process_time() - used
        told[f"per_second_{batch}"] = round(batch / float(np.median(times)), 2)
        told[f"cpu_ms_{batch}"] = round(1000 * used / (batch * len(times)), 3)
    return told


def table(results: dict[str, Any]) -> str:
    """The results in Markdown."""
    lines = [
        "| kind | setting | build, s | MB | recall@10 | recall@100 | "
        + " | ".join(f"{batch} at once: queries/s, processor ms" for batch in BATCHES)
        + " |",
        "|" + "---|" * (6 + len(BATCHES)),
    ]
    for name, kind in results.items():
        for line in kind["settings"]:
            setting = ", ".join(f"{key} {value}" for key, value in line["setting"].items()) or "all labels"
            rates = " | ".join(f"{line[f'per_second_{b}']:,}, {line[f'cpu_ms_{b}']}" for b in BATCHES)
            lines.append(
                f"| {name} | {setting} | {kind['build_s']} | {kind['megabytes']:,} | {line['recall@10']} | "
                f"{line['recall@100']} | {rates} |"
            )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what is missing, write it after each kind, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--room", type=Path, required=True, help="Where the vectors are kept.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kinds", nargs="+", default=list(CASES), choices=list(CASES), metavar="KIND")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    given = parser.parse_args(argv)
    torch.set_num_threads(given.threads)
    import_faiss().omp_set_num_threads(given.threads)
    labels, queries, best = prepared(given.room, given.count, given.dimension)
    results = json.loads(given.out.read_text()) if given.out.is_file() else {}
    for name in given.kinds:
        if name in results:
            continue
        store, facts = build(name, labels)
        facts["settings"] = []
        for setting in CASES[name][-1]:
            store.tune(setting)
            facts["settings"].append({"setting": setting, **measured(store, queries, best)})
        results[name] = {**facts, "threads": given.threads}
        with atomic_file(given.out) as file:
            file.write_text(json.dumps(results, indent=2) + "\n")
        print(f"{name}: {json.dumps(results[name])}", flush=True)
    print(table({name: results[name] for name in CASES if name in results}))


if __name__ == "__main__":
    main()
