"""What thresholds of an index with an ensemble give, by its scores alone and by all that speaks for a label.

    python benchmarks/thresholds.py INDEX DATASET [--queries 4000]

Some test queries are drawn; a calibration is fitted on every other one, and its thresholds are measured on
the rest, where precision and recall are of all kept labels together. Last comes how probable the best label
of some texts is that have nothing to do with most data. The figures are in docs/benchmarks/retrieval.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.data import Dataset
from xmc.errors import ConfigError, XMCError
from xmc.evaluation.hits import all_hits
from xmc.prediction import Calibration, Query, Threshold, predict_blocks
from xmc.prediction.calibrating import fit_calibration
from xmc.retrieval import LabelIndex

__all__ = ["main", "measured", "unlike"]

DEPTH = 100
THRESHOLDS = ("f1", "precision=0.6", "precision=0.8", "precision=0.9", "0.5")
UNLIKE = (
    *("zzz qqq", "12345", "123 456 789", "?!", "asdf", "qwertz uiop", "你好", "红色 食谱 便宜的"),
    *("hello", "the cat sat on the mat", "what is the capital of France", "lorem ipsum dolor sit amet"),
    *("I love pizza with mushrooms", "my dog is called Rex and he likes bones"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each calibration and threshold."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("index")
    parser.add_argument("dataset")
    parser.add_argument("--queries", type=int, default=4_000)
    options = parser.parse_args(arguments)
    try:
        index, dataset = LabelIndex.load(options.index), Dataset.load(options.dataset)
        drawn = np.random.default_rng(0).permutation(dataset.num_test)[: options.queries]
        print(f"{'fitted on':<10}{'threshold':<15}{'precision':>10}{'recall':>8}{'F1':>8}{'coverage':>10}")
        fitted = calibrations(index, dataset, drawn[::2])
        for name, calibration in fitted.items():
            for text in THRESHOLDS:
                found = measured(index, dataset, drawn[1::2], calibration, text)
                shown = "  not reached" if found is None else "{:10.3f}{:8.3f}{:8.3f}{:10.3f}".format(*found)
                print(f"{name:<10}{text:<15}{shown}", flush=True)
        print(f"\nprobability of the best label of {len(UNLIKE)} texts unlike the data: mean, highest")
        for name, calibration in fitted.items():
            chances = unlike(index, calibration)
            print(f"{name:<10}{chances.mean():.3f}  {chances.max():.3f}")
    except XMCError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def calibrations(index: LabelIndex, dataset: Dataset, rows: NDArray[np.int64]) -> dict[str, Calibration]:
    """Fitted on some test rows: on the scores, and on the evidence."""
    texts = dataset.texts("test")
    asked = [texts[int(row)] for row in rows]
    depth = min(DEPTH, len(index))
    ids, scores, evidence = index.ranked(asked, depth, index.query_encoder, evidence=True)
    if evidence is None:
        raise ConfigError("expected an index that ranks with more than its model, got one of it alone")
    hits = all_hits(sp.csr_matrix(dataset.relevance("test")[rows]), ids)
    facts = {"model_fingerprint": index.manifest.model_fingerprint, "rows": "every other row"}
    return {
        name: fit_calibration(hits, ids, scores, num_labels=len(index), evidence=given, **facts)
        for name, given in (("scores", None), ("evidence", evidence))
    }


def unlike(index: LabelIndex, calibration: Calibration) -> NDArray[np.float64]:
    """Probabilities of the best label of texts that are unlike most data, [n]."""
    queries = [Query(text, text) for text in UNLIKE]
    blocks = predict_blocks(index, queries, 1, calibration=calibration)
    given = [prediction.probabilities for block in blocks for prediction in block]
    return np.array([0.0 if chances is None else float(chances[0]) for chances in given])


def measured(
    index: LabelIndex, dataset: Dataset, rows: NDArray[np.int64], calibration: Calibration, threshold: str
) -> tuple[float, float, float, float] | None:
    """Precision, recall, F1 and coverage on some test rows; None for what no threshold reached."""
    try:
        least = Threshold.parse(threshold).least_score(calibration)
    except ConfigError:
        return None
    texts, truth = dataset.texts("test"), sp.csr_matrix(dataset.relevance("test")[rows])
    queries = [Query(str(row), texts[row]) for row in rows.tolist()]
    kept = right = covered = 0
    blocks = predict_blocks(
        index, queries, min(DEPTH, len(index)), least_sureness=least, calibration=calibration
    )
    for place, prediction in enumerate(one for block in blocks for one in block):
        labels = prediction.ids[: prediction.count]
        kept, covered = kept + len(labels), covered + bool(len(labels))
        right += int(np.isin(labels, truth[place].indices).sum())
    precision, recall = right / max(1, kept), right / max(1, truth.nnz)
    return precision, recall, 2 * right / max(1, kept + truth.nnz), covered / len(rows)


if __name__ == "__main__":
    raise SystemExit(main())
