"""How much of a test split stands the other way round in training, and the same data without it.

    python -m benchmarks.known_pairs data/moby [--without OUT]

Of related items the pair of a test row may be known from the row of its label. Printed are the share of test
pairs that are, and what looking them up comes to. OUT gets the data without what is asked for in the test
split: no row has such a label, so that no pair of a test item is known either way.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xmc.data import Dataset, DatasetWriter
from xmc.data.manifest import SPLITS

__all__ = ["Known", "known_pairs", "main", "without_known"]


@dataclass(frozen=True)
class Known:
    """In percent; precision and recall are of looking reversed pairs up, in the order of training rows."""

    share: float
    precision_1: float
    precision_5: float
    recall_100: float


def known_pairs(dataset: Dataset) -> Known:
    """Of the test pairs (a, b), those with a training row b that has the label a; by texts."""
    label_of = {text: label for label, text in enumerate(dataset.texts("labels"))}
    of_row = [label_of.get(text, -1) for text in dataset.texts("train")]
    rows_of, test = dataset.relevance("train").tocsc(), dataset.relevance("test").tocsr()
    known, sums = 0, np.zeros(3)
    for row, text in enumerate(dataset.texts("test")):
        right = set(test.indices[test.indptr[row] : test.indptr[row + 1]].tolist())
        label = label_of.get(text)
        rows = [] if label is None else rows_of.indices[rows_of.indptr[label] : rows_of.indptr[label + 1]]
        hits = [of_row[one] in right for one in rows if of_row[one] >= 0]
        known += sum(hits)
        sums += sum(hits[:1]), sum(hits[:5]) / 5, sum(hits[:100]) / max(1, len(right))
    means = (100 * sums / max(1, dataset.num_test)).tolist()
    return Known(100 * known / max(1, test.nnz), *means)


def without_known(dataset: Dataset, out: str | Path) -> Dataset:
    """Write the data set without labels whose text is a test query's, and without rows that had no other."""
    asked = set(dataset.texts("test"))
    texts = dataset.texts("labels")
    stays = np.array([text not in asked for text in texts])
    with DatasetWriter(
        out, name=f"{dataset.name}-unseen", query_fields=("title",), label_fields=("title",)
    ) as writer:
        for uid, text in zip(dataset.uids("labels"), texts, strict=True):
            writer.add_label(uid, text)
        for split in SPLITS:
            relevance, excluded = dataset.relevance(split).tocsr(), dataset.filter(split)
            for row, (uid, text) in enumerate(zip(dataset.uids(split), dataset.texts(split), strict=True)):
                labels = relevance.indices[relevance.indptr[row] : relevance.indptr[row + 1]]
                if not stays[labels].any():
                    continue
                place = writer.add_row(split, uid, text, "", labels[stays[labels]].tolist())
                for label in [] if excluded is None else excluded[row].indices.tolist():
                    writer.add_filter(split, place, label)
    return Dataset.load(out)


def main(words: Sequence[str] | None = None) -> None:
    """Print, and write where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", help="a prepared data set")
    parser.add_argument("--without", help="where to write the data without what is asked for")
    given = parser.parse_args(words)
    dataset = Dataset.load(given.data)
    found = known_pairs(dataset)
    print(
        f"{found.share:.1f} % of the test pairs are known the other way round; looked up: "
        f"P@1 {found.precision_1:.2f}, P@5 {found.precision_5:.2f}, R@100 {found.recall_100:.2f}"
    )
    if given.without is not None:
        left = without_known(dataset, given.without)
        print(f"{left.path}: {left.num_train:,} training and {left.num_test:,} test rows")


if __name__ == "__main__":
    main()
