"""BM25 over the labels' texts by bm25s: nothing is learned from pairs.

Words are those of the other lexical baseline, neither stemmed nor stopped: texts are of several languages.
"""

from __future__ import annotations

import re

import bm25s
import numpy as np
from exchange import Task, lists_of_pairs, parser

WORD = re.compile(r"(?u)\b\w\w+\b")


def words(text: str) -> list[str]:
    """Of two letters and more, in small letters."""
    return WORD.findall(text.lower())


def main() -> None:
    """k1 and b as the library has them."""
    task = Task(parser(__doc__).parse_args())
    test, labels = task.texts("test"), task.texts("labels")
    with task.training():
        retriever = bm25s.BM25()
        retriever.index([words(text) for text in labels], show_progress=False)
    depth = min(task.depth, len(labels))
    with task.predicting():
        # A query of unknown words alone finds nothing; the library wants at least one word.
        known = retriever.vocab_dict
        asked = [[word for word in words(text) if word in known] for text in test]
        rows = [row for row, own in enumerate(asked) if own]
        found = retriever.retrieve(
            [asked[row] for row in rows], k=depth, n_threads=task.threads, show_progress=False
        )
        pairs: list[list[tuple[int, float]]] = [[] for _ in test]
        for row, own, scores in zip(rows, found.documents, found.scores):  # noqa: B905
            matching = np.flatnonzero(scores > 0)
            pairs[row] = list(zip(own[matching].tolist(), scores[matching].tolist()))  # noqa: B905
        lists = lists_of_pairs(pairs, task.depth)
    retriever.save(str(task.model))
    task.finish(*lists, ["bm25s", "numpy"])


if __name__ == "__main__":
    main()
