"""omikuji on tf-idf of the queries: balanced binary trees (Parabel), or wide and shallow ones (Bonsai)."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import omikuji
from exchange import Task, lists_of_pairs, parser
from features import save_vectorizer, tfidf, write_rows


def settings(form: str) -> Any:
    """The library's defaults, which are Parabel's form, or Bonsai's: unbalanced, 100 wide, 3 deep."""
    chosen = omikuji.Model.default_hyper_param()
    if form == "bonsai":
        chosen.cluster_balanced, chosen.cluster_k, chosen.max_depth = False, 100, 3
    return chosen


def main() -> None:
    """It draws its starts itself and takes no seed, so that each run is another draw."""
    made = parser(__doc__)
    made.add_argument("--form", choices=["parabel", "bonsai"], default="parabel")
    given = made.parse_args()
    task = Task(given)
    os.environ["RAYON_NUM_THREADS"] = str(task.threads)
    train, test, relevance = task.texts("train"), task.texts("test"), task.relevance()
    rows_file = task.out / "rows.txt"
    with task.training():
        vectorizer, rows = tfidf(train)
        write_rows(rows, relevance, rows_file)
        model = omikuji.Model.train_on_data(str(rows_file), settings(given.form), n_threads=task.threads)
    rows_file.unlink()
    with task.predicting():
        queries = vectorizer.transform(test).tocsr()
        parts = zip(queries.indptr, queries.indptr[1:])  # noqa: B905
        lines = [
            list(zip(queries.indices[a:b].tolist(), queries.data[a:b].tolist()))  # noqa: B905
            for a, b in parts
        ]
        with ThreadPoolExecutor(task.threads) as pool:
            found = list(pool.map(lambda line: model.predict(line, top_k=task.depth), lines))
        lists = lists_of_pairs(found, task.depth)
    save_vectorizer(vectorizer, task.model)
    model.save(str(task.model / "trees"))
    task.finish(*lists, ["omikuji", "scikit-learn", "numpy"])


if __name__ == "__main__":
    main()
