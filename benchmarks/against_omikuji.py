"""Whole `xmc train` beside omikuji's training and prediction: one machine, one run, two threads each.

    pip install omikuji scikit-learn
    python benchmarks/against_omikuji.py debian-related-30k data/debian-related-30k --out runs/against-omikuji
        [--section.key value ...]

omikuji takes its defaults on tf-idf of the query texts; making its features and writing its file is not
counted. `xmc train` gets the further options, and counts from the start of the command to its end, its
validations included.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.peers.systems.features import tfidf, write_rows
from xmc.data import Dataset

THREADS = 2
DEPTH = 100


def omikuji_seconds(dataset: Dataset) -> tuple[float, float]:
    """Seconds to train, and to predict the 100 best labels of each test query."""
    import omikuji

    vectorizer, train = tfidf(list(dataset.texts("train")))
    test = vectorizer.transform(list(dataset.texts("test"))).tocsr()
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


def xmc_seconds(recipe: str, data: Path, out: Path, given: Sequence[str]) -> float:
    """Seconds of the command."""
    command = [sys.executable, "-m", "xmc", "train", recipe, "--data.path", str(data), "--run.dir", str(out)]
    started = time.perf_counter()
    subprocess.run(
        [*command, "--run.overwrite", "true", *given],
        check=True,
        env=os.environ | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(THREADS)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - started


def main() -> None:
    """Print both, and their ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("recipe")
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    asked, given = parser.parse_known_args()
    os.environ["RAYON_NUM_THREADS"] = str(THREADS)
    train, predict = omikuji_seconds(Dataset.load(asked.data))
    ours = xmc_seconds(asked.recipe, asked.data, asked.out, given)
    print(f"omikuji: training {train:.1f} s, prediction {predict:.1f} s")
    print(f"xmc train: {ours:.1f} s, {ours / (train + predict):.2f} of omikuji's training and prediction")


if __name__ == "__main__":
    main()
