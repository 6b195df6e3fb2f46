"""Prints how well labels are found that a model was never shown, by text and by a few queries each.

    xmc data split-labels WHOLE SPLIT --unseen 0.1 --train_on SEEN
    xmc train RECIPE --data.path SEEN --run.dir RUN
    python benchmarks/novel_labels.py RUN SPLIT WHOLE [--n 0,1,5,20] [--queries 10000] [--json FILE]

For each n, an unseen label's vector is its text's blended with the mean of n of its training queries in WHOLE
(fewer where it has fewer), drawn by the seed; nothing is trained. k0, the queries that a text counts as, is
chosen on training queries with unseen labels, a fifth of which give no support then: the best mean over n > 0
of the harmonic mean of the joint R@10. Beside it: the queries alone (k0 = 0), and tf-idf matching, where the
texts of n queries are added to that of every label, seen ones too. docs/benchmarks/methods.md has
the tables.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.data import Dataset, inverse_propensity
from xmc.distributed import World
from xmc.encoders import DualEncoder
from xmc.evaluation import NovelLabels, novel_metrics
from xmc.retrieval import LexicalRanker, Ranker
from xmc.retrieval.prototypes import blended_prototypes, support_prototypes

__all__ = ["Task", "choose_k0", "drawn", "lexical", "main", "prototypes", "table"]

DEPTH = 100
GRID = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
COLUMNS = ("P@1", "R@10", "R@100")


@dataclass(frozen=True)
class Case:
    """One line: what labels were found by."""

    name: str
    n: int
    novel: NovelLabels


class Task:
    """A model, the labels' text embeddings, and queries with their truth."""

    def __init__(self, model: DualEncoder, split: Dataset) -> None:
        self.model, self.unseen = model, split.unseen_labels
        self.labels = model.encode_labels(model.label_texts(split), uids=split.uids("labels"))
        self.ranker = Ranker.of_model(model, split.uids("labels"))
        self.weights = inverse_propensity(split.relevance("train"), split.propensity.a, split.propensity.b)
        self.normalised = bool(np.allclose(np.linalg.norm(self.labels, axis=1), 1.0, atol=1e-3))

    def measure(
        self,
        queries: NDArray[np.float32],
        truth: sp.csr_matrix,
        exclude: sp.csr_matrix | None,
        unseen_vectors: NDArray[np.float32],
    ) -> NovelLabels:
        """Rank all labels and the unseen alone, with the vectors given for the unseen."""
        labels, among = self.labels.copy(), np.zeros(len(self.labels), dtype=bool)
        labels[self.unseen], among[self.unseen] = unseen_vectors, True
        sizes = {"num_queries": len(queries), "num_labels": len(labels)}
        joint, alone = (
            ranker.search(queries, labels, DEPTH, world=World(), exclude=exclude, **sizes)[0]
            for ranker in (self.ranker, self.ranker.only(among))
        )
        return novel_metrics(truth, joint, self.unseen, self.weights, alone=alone)


def drawn(relevance: sp.csr_matrix, n: int, seed: int) -> sp.csr_matrix:
    """``relevance`` [N, L] with at most n rows of each label; of a larger n, those of a smaller and more."""
    pairs = sp.coo_matrix(relevance)
    order = np.lexsort((np.random.default_rng(seed).random(pairs.nnz), pairs.col))
    labels = pairs.col[order]
    place = np.arange(len(labels)) - np.searchsorted(labels, labels)
    kept = order[place < n]
    return sp.csr_matrix((pairs.data[kept], (pairs.row[kept], pairs.col[kept])), shape=relevance.shape)


def prototypes(
    task: Task,
    vectors: NDArray[np.float32],
    support: sp.csr_matrix,
    positives: NDArray[np.integer],
    k0: float,
) -> NDArray[np.float32]:
    """The unseen labels' vectors from support [N, unseen] of queries [N, D] with that many positives."""
    means, counts = support_prototypes(vectors, support, num_positives=positives, normalised=task.normalised)
    texts = task.labels[task.unseen]
    return blended_prototypes(texts, means, counts, k0=k0, normalised=task.normalised)


def choose_k0(
    task: Task,
    vectors: NDArray[np.float32],
    relevance: sp.csr_matrix,
    exclude: sp.csr_matrix | None,
    ns: Sequence[int],
    seed: int,
    most: int = 2000,
) -> float:
    """The k0 of `GRID` that is best on a fifth of the rows (``most`` at most), with support from the others.

    Args:
        task: The model and the labels.
        vectors: Of training queries with an unseen label [N, D].
        relevance: Of all labels [N, L].
        exclude: Filter pairs [N, L].
        ns: Numbers of support queries.
        seed: Of the draw of rows.
        most: Rows held out at most.
    """
    rows = np.random.default_rng(seed).permutation(len(vectors))
    held_out, rest = rows[: min(most, len(rows) // 5)], rows[len(rows) // 5 :]
    hidden = None if exclude is None else sp.csr_matrix(exclude[held_out])
    positives, found = np.diff(relevance.indptr), {}
    for k0 in GRID:
        scores = []
        for n in ns:
            support = drawn(relevance[rest][:, task.unseen], n, seed)
            given = prototypes(task, vectors[rest], support, positives[rest], k0)
            novel = task.measure(vectors[held_out], sp.csr_matrix(relevance[held_out]), hidden, given)
            scores.append(novel.harmonic["R@10"])
        found[k0] = float(np.mean(scores))
    print("k0 and the harmonic mean of R@10:", {k0: round(score, 2) for k0, score in found.items()})
    return max(GRID, key=found.__getitem__)


def lexical(
    texts: Sequence[str],
    support: sp.csr_matrix,
    support_texts: Sequence[str],
    queries: Sequence[str],
    exclude: sp.csr_matrix | None,
    unseen: NDArray[np.int64],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """tf-idf rankings of all labels and of the unseen alone; each label has the texts of its support too."""
    by_label = sp.csc_matrix(support)
    longer = [
        " ".join([text, *(support_texts[row] for row in by_label.indices[start:stop].tolist())])
        for text, start, stop in zip(texts, by_label.indptr[:-1], by_label.indptr[1:], strict=True)
    ]
    joint, _ = LexicalRanker(longer).rank(queries, DEPTH, exclude)
    hidden = None if exclude is None else sp.csr_matrix(exclude[:, unseen])
    alone, _ = LexicalRanker([longer[label] for label in unseen]).rank(queries, DEPTH, hidden)
    return joint, np.where(alone < 0, -1, unseen[alone]).astype(np.int32)


def table(cases: Sequence[Case]) -> str:
    """The cases as a Markdown table."""
    parts = {"seen": "seen", "unseen": "unseen", "harmonic": "harmonic mean", "disjoint": "unseen alone"}
    heads = [f"{title} {' / '.join(COLUMNS)}" for title in parts.values()]
    lines = ["| found by | n | " + " | ".join(heads) + " |", "|---" * (len(heads) + 2) + "|"]
    for case in cases:
        metrics = [getattr(case.novel, part) for part in parts]
        cells = [" / ".join(f"{values[name]:.2f}" for name in COLUMNS) for values in metrics]
        lines.append(f"| {case.name} | {case.n} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, choose k0, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("split", type=Path, help="What xmc data split-labels made.")
    parser.add_argument("whole", type=Path, help="What it made that from.")
    parser.add_argument("--n", default="0,1,5,20", help="Support queries of a label.")
    parser.add_argument("--queries", type=int, help="Test queries, drawn; all by default.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--k0", type=float, help="Instead of choosing it.")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    ns = [int(n) for n in options.n.split(",")]
    split, whole = Dataset.load(options.split), Dataset.load(options.whole)
    model = DualEncoder.load(options.model)
    task = Task(model, split)
    generator, num_test = np.random.default_rng(options.seed), split.num_test
    chosen = np.sort(generator.permutation(num_test)[: options.queries or num_test])
    truth, filters = sp.csr_matrix(split.relevance("test")[chosen]), split.filter("test")
    hidden = None if filters is None else sp.csr_matrix(filters[chosen])
    test_texts = model.query_texts(split, "test")[chosen]
    queries = model.encode_queries(test_texts)

    train, excluded = whole.relevance("train"), whole.filter("train")
    rows = np.flatnonzero(train[:, task.unseen].getnnz(axis=1))
    relevance, positives = sp.csr_matrix(train[rows]), np.diff(train.indptr)[rows]
    vectors = model.encode_queries(model.query_texts(whole, "train")[rows])
    k0 = options.k0
    if k0 is None:
        exclude = None if excluded is None else sp.csr_matrix(excluded[rows])
        k0 = choose_k0(task, vectors, relevance, exclude, [n for n in ns if n], options.seed)

    cases = []
    for n in ns:
        support = drawn(relevance[:, task.unseen], n, options.seed)
        for name, weight in (("text and queries", k0), ("queries", 0.0)) if n else (("text", np.inf),):
            given = prototypes(task, vectors, support, positives, weight)
            cases.append(Case(name, n, task.measure(queries, truth, hidden, given)))
    labels, train_texts = list(model.label_texts(split)), list(model.query_texts(whole, "train"))
    for n in ns:
        support = drawn(train, n, options.seed)
        joint, alone = lexical(labels, support, train_texts, test_texts, hidden, task.unseen)
        novel = novel_metrics(truth, joint, task.unseen, task.weights, alone=alone)
        cases.append(Case("tf-idf", n, novel))
    print(
        f"{len(task.unseen):,} unseen labels; k0 {k0:g}; {len(chosen):,} test queries, "
        f"{cases[0].novel.unseen_queries:,} with an unseen label"
    )
    print(table(cases))
    if options.json:
        content = {"k0": k0, "cases": [asdict(case) for case in cases]}
        options.json.write_text(json.dumps(content, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
