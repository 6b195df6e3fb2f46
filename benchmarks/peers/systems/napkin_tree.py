"""napkinXC's probabilistic label tree on tf-idf of the queries, its defaults but for the number of trees."""

from __future__ import annotations

import numpy as np
from exchange import Task, lists_of_pairs, parser
from features import save_vectorizer, tfidf
from napkinxc.models import PLT


def main() -> None:
    """The seed is that of clustering."""
    made = parser(__doc__)
    made.add_argument("--trees", type=int, default=1)
    given = made.parse_args()
    task = Task(given)
    train, test, relevance = task.texts("train"), task.texts("test"), task.relevance()
    with task.training():
        vectorizer, rows = tfidf(train)
        kept = np.flatnonzero(np.diff(relevance.indptr))
        trees = given.trees if given.trees > 1 else 0
        model = PLT(str(task.model / "tree"), ensemble=trees, seed=task.seed, threads=task.threads)
        own = np.split(relevance.indices, relevance.indptr[1:-1])
        model.fit(rows[kept], [own[row].tolist() for row in kept.tolist()])
        model.load()
    with task.predicting():
        found = model.predict_proba(vectorizer.transform(test).tocsr(), top_k=task.depth)
        lists = lists_of_pairs(found, task.depth)
    save_vectorizer(vectorizer, task.model)
    task.finish(*lists, ["napkinxc", "scikit-learn", "numpy"])


if __name__ == "__main__":
    main()
