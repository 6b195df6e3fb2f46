"""An index exported to engines that run here, and its queries asked of each: time, and whether they agree.

Run: ``python benchmarks/engines.py INDEX DATASET [--postgres ADDRESS]``, for every engine
whose package is installed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from xmc.data import Dataset
from xmc.engines import export_labels, open_engine, search_engine
from xmc.errors import DependencyError
from xmc.retrieval import LabelIndex

K = 10
SAME_SCORE = 1e-6


def main() -> None:
    """Print a line an engine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("index")
    parser.add_argument("dataset", help="Its test rows are the queries.")
    parser.add_argument("--postgres", default=None, help="The address of a database with pgvector.")
    parser.add_argument("--queries", type=int, default=500)
    options = parser.parse_args()
    index, dataset = LabelIndex.load(options.index), Dataset.load(options.dataset)
    queries = index.encoder.encode_queries(dataset, "test")[: options.queries]
    started = time.perf_counter()
    ids, scores = index.search_vectors(queries, K)
    took = time.perf_counter() - started
    print(f"{len(index):,} labels of {index.manifest.dimension} numbers, offsets: ", end="")
    print(f"{index.manifest.offset_dimension}; {len(queries)} queries, k = {K}")
    print(
        "| engine | export, s | again, s | ms a query | same labels in the same order | largest difference |"
    )
    print("|---|---|---|---|---|---|")
    print(f"| the {index.manifest.kind} index itself | | | {1e3 * took / len(queries):.2f} | | |")
    with tempfile.TemporaryDirectory() as folder:
        places = {kind: str(Path(folder) / kind) for kind in ("parquet", "lancedb", "qdrant")}
        places["milvus"] = str(Path(folder) / "labels.db")
        if options.postgres is not None:
            places["pgvector"] = options.postgres
        for kind, place in places.items():
            try:
                engine = open_engine(kind, place, "xmc_benchmark")
            except DependencyError as error:
                print(f"| {kind} | {error} | | | | |")
                continue
            times = []
            for _ in range(2):
                started = time.perf_counter()
                export_labels(index, engine, progress=False)
                times.append(time.perf_counter() - started)
            started = time.perf_counter()
            found = search_engine(engine, index.manifest, queries, K)
            took = time.perf_counter() - started
            print(f"| {kind} | {times[0]:.1f} | {times[1]:.1f} | {1e3 * took / len(queries):.1f} | ", end="")
            print(_agreement(found, ids, scores), flush=True)
            engine.drop()
            engine.close()


def _agreement(found: list, ids: np.ndarray, scores: np.ndarray) -> str:
    """Rows with the same ten labels in one order, those that differ only among equal scores, and how far."""
    theirs = np.array([[hit.label for hit in hits] for hits in found])
    own = np.array([[hit.score for hit in hits] for hits in found])
    same = (theirs == ids).all(axis=1)
    apart = np.abs(own - scores)
    ties = ~same & (apart.max(axis=1) < SAME_SCORE)
    told = f" and {int(ties.sum())} but for scores within {SAME_SCORE:g}" if ties.any() else ""
    return f"{int(same.sum())} of {len(same)}{told} | {apart.max():.1e} |"


if __name__ == "__main__":
    main()
