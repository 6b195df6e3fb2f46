"""Cosine of tf-idf vectors, a query's against each label's text: nothing is learned from pairs."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from exchange import Task, lists_of_rows, parser
from features import save_vectorizer, tfidf

BLOCK = 256
"""Queries scored at a time."""


def main() -> None:
    """Words and idf are those of training queries and labels together."""
    task = Task(parser(__doc__).parse_args())
    train, test, labels = (task.texts(table) for table in ("train", "test", "labels"))
    with task.training():
        vectorizer, rows = tfidf([*train, *labels])
        transposed = rows[len(train) :].T.tocsr()
    with task.predicting():
        queries = vectorizer.transform(test)
        blocks = (queries[start : start + BLOCK] for start in range(0, queries.shape[0], BLOCK))
        found = [lists_of_rows(sp.csr_matrix(block @ transposed), task.depth) for block in blocks]
    save_vectorizer(vectorizer, task.model)
    sp.save_npz(task.model / "labels.npz", transposed, compressed=False)
    ids, scores = (np.concatenate(parts) for parts in zip(*found))  # noqa: B905
    task.finish(ids, scores, ["scikit-learn", "scipy", "numpy"])


if __name__ == "__main__":
    main()
