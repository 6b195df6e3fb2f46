"""Whole `xmc train` beside omikuji's training and prediction: one machine, one run, two threads each.

    pip install omikuji scikit-learn
    python benchmarks/against_omikuji.py debian-related-30k data/debian-related-30k --out runs/against-omikuji

omikuji takes its defaults on tf-idf of the query texts; making its features and writing its file is not
counted. `xmc train` counts from the start of the command to its end, its validations included.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import scipy.sparse as sp

from xmc.data import Dataset

THREADS = 2
DEPTH = 100


def features(dataset: Dataset) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """tf-idf of the training and the test queries, [N, V] and [M, V]."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, dtype=np.float32)
    train = vectorizer.fit_transform(list(dataset.texts("train")))
    return train.tocsr(), vectorizer.transform(list(dataset.texts("test"))).tocsr()


def write_rows(rows: sp.csr_matrix, labels: sp.csr_matrix, path: Path) -> None:
    """The repository's format: a line of sizes, then labels and features of each row that has a label."""
    kept = np.flatnonzero(np.diff(labels.indptr))
    with open(path, "w", encoding="ascii") as file:
        file.write(f"{len(kept)} {rows.shape[1]} {labels.shape[1]}\n")
        for row in kept.tolist():
            own, line = labels[row], rows[row].sorted_indices()
            pairs = " ".join(f"{i}:{v:.5f}" for i, v in zip(line.indices, line.data, strict=True))
            file.write(f"{','.join(map(str, np.sort(own.indices).tolist()))} {pairs}\n")


def omikuji_seconds(dataset: Dataset) -> tuple[float, float]:
    """Seconds to train, and to predict the 100 best labels of each test query."""
    import omikuji

    train, test = features(dataset)
    with TemporaryDirectory() as folder:
        write_rows(train, dataset.relevance("train"), Path(folder) / "train.txt")
        started = time.perf_counter()
        model = omikuji.Model.train_on_data(str(Path(folder) / "train.txt"), n_threads=THREADS)
    trained = time.perf_counter() - started
    lines = [list(zip(row.indices.tolist(), row.data.tolist(), strict=True)) for row in test]
    started = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda line: model.predict(line, top_k=DEPTH), lines))
    return trained, time.perf_counter() - started


def xmc_seconds(recipe: str, data: Path, out: Path) -> float:
    """Seconds of the command."""
    command = [sys.executable, "-m", "xmc", "train", recipe, "--data.path", str(data), "--run.dir", str(out)]
    started = time.perf_counter()
    subprocess.run(
        [*command, "--run.overwrite", "true"],
        check=True,
        env=os.environ | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(THREADS)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - started


def main() -> None:
    """Print both, and their ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe")
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    os.environ["RAYON_NUM_THREADS"] = str(THREADS)
    train, predict = omikuji_seconds(Dataset.load(given.data))
    ours = xmc_seconds(given.recipe, given.data, given.out)
    print(f"omikuji: training {train:.1f} s, prediction {predict:.1f} s")
    print(f"xmc train: {ours:.1f} s, {ours / (train + predict):.2f} of omikuji's training and prediction")


if __name__ == "__main__":
    main()
