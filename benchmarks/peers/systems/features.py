"""tf-idf of texts, and the file of rows that linear trees read; scikit-learn, and nothing of `xmc`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

__all__ = ["save_vectorizer", "tfidf", "write_rows"]


def tfidf(texts: Sequence[str]) -> tuple[Any, sp.csr_matrix]:
    """A vectoriser of the texts' words, and rows [N, V] of unit length: 1 + log(count) times idf, float32."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, dtype=np.float32)
    return vectorizer, sp.csr_matrix(vectorizer.fit_transform(texts))


def save_vectorizer(vectorizer: Any, folder: Path) -> None:
    """Words and their idf: a model is of no use without."""
    folder.mkdir(parents=True, exist_ok=True)
    words = sorted(vectorizer.vocabulary_, key=vectorizer.vocabulary_.__getitem__)
    (folder / "words.json").write_text(json.dumps(words, ensure_ascii=False), encoding="utf-8")
    np.save(folder / "idf.npy", vectorizer.idf_.astype(np.float32))


def write_rows(rows: sp.csr_matrix, labels: sp.csr_matrix, path: Path) -> None:
    """The repository's format: a line of sizes, then labels and features of rows that have both."""
    kept = np.flatnonzero((np.diff(labels.indptr) > 0) & (np.diff(rows.indptr) > 0))
    with open(path, "w", encoding="ascii") as file:
        file.write(f"{len(kept)} {rows.shape[1]} {labels.shape[1]}\n")
        for row in kept.tolist():
            own, line = labels[row], rows[row].sorted_indices()
            pairs = " ".join(f"{i}:{v:.5f}" for i, v in zip(line.indices, line.data))  # noqa: B905
            file.write(f"{','.join(map(str, np.sort(own.indices).tolist()))} {pairs}\n")
