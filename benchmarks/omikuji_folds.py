"""Predictions of omikuji for training queries, each by a model that was trained without it: a teacher.

    pip install omikuji scikit-learn
    python benchmarks/omikuji_folds.py DATASET omikuji-train.npz [--folds 4] [--made 4]
    xmc distill RECIPE --teachers omikuji-train.npz --lists probabilities --distillation.hard_weight 1 ...

What a model says of queries that it was trained on is what it was told of them. So the queries are divided
into folds at random, and each fold is predicted by a model of the others: its defaults, on tf-idf of the
texts. With fewer folds made than there are, the queries of the others have no predictions, and no teacher.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.against_omikuji import DEPTH
from benchmarks.peers.systems.features import tfidf, write_rows
from xmc.data import Dataset
from xmc.evaluation import save_predictions

__all__ = ["fold_model", "folds_of", "main", "predict_rows"]


def folds_of(num_rows: int, num_folds: int, seed: int) -> NDArray[np.int64]:
    """The fold of each row, [N]."""
    return np.random.default_rng(seed).integers(num_folds, size=num_rows)


def fold_model(rows: sp.csr_matrix, labels: sp.csr_matrix, kept: NDArray[np.bool_], threads: int) -> Any:
    """A model of omikuji with its defaults, trained on the rows that are kept and have a label."""
    import omikuji

    with TemporaryDirectory() as folder:
        path = Path(folder) / "train.txt"
        write_rows(sp.csr_matrix(rows[kept]), sp.csr_matrix(labels[kept]), path)
        return omikuji.Model.train_on_data(str(path), n_threads=threads)


def predict_rows(
    model: Any, rows: sp.csr_matrix, depth: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The best ``depth`` labels of each row and their probabilities; -1 and -inf behind a row's last."""
    ids = np.full((rows.shape[0], depth), -1, dtype=np.int32)
    scores = np.full((rows.shape[0], depth), -np.inf, dtype=np.float32)
    for row in range(rows.shape[0]):
        own = slice(rows.indptr[row], rows.indptr[row + 1])
        words = list(zip(rows.indices[own].tolist(), rows.data[own].tolist(), strict=True))
        # Ties by label id, as everywhere.
        found = sorted(model.predict(words, top_k=depth), key=lambda pair: (-pair[1], pair[0]))
        ids[row, : len(found)] = [label for label, _ in found]
        scores[row, : len(found)] = [score for _, score in found]
    return ids, scores


def main(arguments: Sequence[str] | None = None) -> int:
    """Train a model for each fold, predict it, and write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--made", type=int, help="The first so many folds alone (default: all).")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    made = asked.folds if asked.made is None else asked.made
    if asked.folds < 2 or not 1 <= made <= asked.folds:
        parser.error(f"expected --folds of 2 or more and --made of 1 to that, got {asked.folds} and {made}")
    dataset = Dataset.load(asked.data)
    rows, labels = tfidf(list(dataset.texts("train")))[1], dataset.relevance("train")
    fold = folds_of(rows.shape[0], asked.folds, asked.seed)
    ids = np.full((rows.shape[0], DEPTH), -1, dtype=np.int32)
    scores = np.full((rows.shape[0], DEPTH), -np.inf, dtype=np.float32)
    for one in range(made):
        model = fold_model(rows, labels, fold != one, asked.threads)
        ids[fold == one], scores[fold == one] = predict_rows(model, sp.csr_matrix(rows[fold == one]), DEPTH)
        print(
            f"fold {one + 1} of {asked.folds}: {(fold == one).sum():,} queries", file=sys.stderr, flush=True
        )
    save_predictions(asked.out, ids, scores)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
