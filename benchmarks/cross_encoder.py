"""Fine-tunes a cross-encoder on the mistakes of a run: a teacher for `xmc distill`, `cross:FOLDER`.

    python benchmarks/cross_encoder.py RUN DATASET FOLDER [--layers 6] [--steps 400] [--test reranked.npz]
    xmc distill RECIPE --teachers RUN,cross:FOLDER --run.dir runs/student
    xmc score reranked.npz DATASET

The embedded MiniLM, or its first layers, reads a query and a label together. A step takes some training
queries, each with one of its labels and some of the run's best others, and the cross-entropy of a softmax
over these. ``--test`` writes the run's first 16 labels of each test query in the order of the cross-encoder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from xmc.data import Dataset
from xmc.distillation.cross_encoder import open_cross_encoder
from xmc.distributed import World
from xmc.encoders import DualEncoder
from xmc.encoders.resolve import resolve_model
from xmc.evaluation import save_predictions
from xmc.retrieval import Ranker

__all__ = ["best_labels", "draw", "fine_tune", "main", "rerank", "teachable", "wrong_of"]

DEPTH, WRONG, TOKENS = 16, 32, 64
"""Labels that are ranked anew, wrong ones to draw from, and tokens of a pair."""


def best_labels(model: DualEncoder, dataset: Dataset, split: Any, depth: int) -> NDArray[np.int64]:
    """The run's first labels of each query of a split, [N, depth], pairs of the filter left out."""
    uids = dataset.uids("labels")
    labels = model.encode_labels(model.label_texts(dataset), uids=uids, progress=False)
    queries = model.encode_queries(model.query_texts(dataset, split))
    sizes = {"num_queries": len(queries), "num_labels": len(labels)}
    ranker, exclude = Ranker.of_model(model, uids), dataset.filter(split)
    ids, _ = ranker.search(queries, labels, depth, world=World(), exclude=exclude, **sizes)
    return np.asarray(ids)


def draw(
    relevance: sp.csr_matrix,
    near: NDArray[np.int64],
    rows: NDArray[np.int64],
    width: int,
    random: np.random.Generator,
) -> NDArray[np.int64]:
    """For each of the rows [n] a label of its own, then ``width - 1`` of its nearest wrong ones, [n, width].

    Args:
        relevance: CSR [N, L].
        near: The nearest labels of each of the N queries, right ones among them, [N, k]; -1 for none.
        rows: Queries of :func:`teachable`.
        width: Labels of a row.
        random: Draws.
    """
    drawn = np.empty((len(rows), width), dtype=np.int64)
    for place, row in enumerate(rows.tolist()):
        own = relevance.indices[relevance.indptr[row] : relevance.indptr[row + 1]]
        drawn[place, 0] = random.choice(own)
        drawn[place, 1:] = random.choice(wrong_of(near[row], own), width - 1, replace=False)
    return drawn


def wrong_of(near: NDArray[np.int64], own: NDArray[np.integer]) -> NDArray[np.int64]:
    """The labels among a query's nearest that are not its own."""
    return np.setdiff1d(near[near >= 0], own)


def teachable(relevance: sp.csr_matrix, near: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """The queries with a label and ``width - 1`` wrong ones among their nearest."""
    bounds = list(zip(relevance.indptr, relevance.indptr[1:], strict=False))
    return np.array(
        [
            row
            for row, (start, stop) in enumerate(bounds)
            if start < stop and len(wrong_of(near[row], relevance.indices[start:stop])) >= width - 1
        ],
        dtype=np.int64,
    )


def fine_tune(
    dataset: Dataset, near: NDArray[np.int64], out: Path, *, layers: int, steps: int, seed: int
) -> None:
    """Train on 4 queries of 8 labels a step, with AdamW at a rate that rises and falls; save the model."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    folder = str(resolve_model("embedded"))
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1)
    model.bert.encoder.layer = model.bert.encoder.layer[:layers]
    model.config.num_hidden_layers = layers
    optimiser = torch.optim.AdamW(model.parameters(), lr=1.0)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: 7e-5 * min((step + 1) / (0.1 * steps), (steps - step) / (0.9 * steps))
    )
    relevance = dataset.relevance("train")
    queries, labels = dataset.texts("train"), dataset.texts("labels")
    rows = teachable(relevance, near, 8)
    model.train()
    losses = []
    for step in range(steps):
        chosen = random.choice(rows, 4, replace=False)
        drawn = draw(relevance, near, chosen, 8, random)
        pairs = [
            (queries[row], labels[label])
            for row, own in zip(chosen.tolist(), drawn.tolist(), strict=True)
            for label in own
        ]
        tokens = tokenizer(
            *zip(*pairs, strict=True), padding=True, truncation=True, max_length=TOKENS, return_tensors="pt"
        )
        scores = model(**tokens).logits.view(len(chosen), -1)
        loss = torch.nn.functional.cross_entropy(scores, torch.zeros(len(chosen), dtype=torch.long))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        rate.step()
        losses.append(loss.item())
        if (step + 1) % 50 == 0:
            print(f"step {step + 1}: loss {np.mean(losses[-50:]):.4f}", file=sys.stderr, flush=True)
    model.eval()
    model.save_pretrained(out)
    tokenizer.model_max_length = TOKENS
    tokenizer.save_pretrained(out)


def rerank(folder: Path, dataset: Dataset, near: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Labels [N, k] of the test queries in the order of the cross-encoder, and its scores."""
    queries, labels = dataset.texts("test"), dataset.texts("labels")
    pairs = [(queries[row], labels[label]) for row, own in enumerate(near.tolist()) for label in own]
    scores = open_cross_encoder(folder).scores(pairs).reshape(near.shape)
    scores[near < 0] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")
    return np.take_along_axis(near, order, 1), np.take_along_axis(scores, order, 1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, save, and rank the test queries anew where it is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run")
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--test", type=Path, help="A file of predictions of the test queries to write.")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    dataset, model = Dataset.load(asked.data), DualEncoder.load(asked.run)
    near = best_labels(model, dataset, "train", WRONG)
    fine_tune(dataset, near, asked.out, layers=asked.layers, steps=asked.steps, seed=asked.seed)
    if asked.test is not None:
        ids, scores = rerank(asked.out, dataset, best_labels(model, dataset, "test", DEPTH))
        save_predictions(asked.test, ids, scores)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
