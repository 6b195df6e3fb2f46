"""An objective of xmc as the loss of a SentenceTransformerTrainer, with many positives a query.

Run: ``python examples/sentence_transformers_trainer.py MODEL`` with any model folder or hub name.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable

import numpy as np
import scipy.sparse as sp
import torch
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from torch import Tensor, nn

from xmc.objectives import DecoupledSoftmax
from xmc.training.batches import in_batch_inclusion

LABELS = ["birds", "songs", "houses", "night", "stones", "trees"]
QUERIES = {
    "a bird sings at night": [0, 1, 3],
    "the small house by the tree": [2, 5],
    "a stone house": [2, 4],
    "the bird in the tree": [0, 5],
    "a song of the night": [1, 3],
    "stones under the tree": [4, 5],
}


class InBatchLabels(nn.Module):
    """Scores the queries of a batch against its labels; every known positive among them counts as one.

    The data set has the columns ``query``, ``text`` (of the label) and ``label`` ([query id, label id]).
    """

    def __init__(
        self, model: SentenceTransformer, relevance: sp.csr_matrix, batch_size: int, objective: nn.Module
    ) -> None:
        """Make the loss.

        Args:
            model: The encoder that is trained.
            relevance: [N, L], all known positives; their values are relevance weights.
            batch_size: Pairs a batch.
            objective: A module of :mod:`xmc.objectives`.
        """
        super().__init__()
        self.model, self.relevance, self.objective = model, relevance, objective
        counts = np.bincount(relevance.indices, minlength=relevance.shape[1])
        # A frequent label is in most batches; uncorrected, it would be pushed away in proportion.
        inclusion = in_batch_inclusion(counts, relevance.nnz, batch_size)
        self.log_weights = torch.from_numpy(-np.log(np.maximum(inclusion, 1e-12))).float()

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor) -> Tensor:
        """The loss of a batch, a scalar; ``labels`` [B, 2] are the ids of its queries and labels."""
        queries, texts = (self.model(features)["sentence_embedding"] for features in sentence_features)
        ids = labels.cpu().numpy()
        label_ids, first = np.unique(ids[:, 1], return_index=True)
        return self.objective(
            queries,
            texts[torch.from_numpy(first).to(texts.device)],
            self.relevance[ids[:, 0]][:, label_ids],
            log_weights=self.log_weights[label_ids].to(texts.device),
        )


def train(
    model: SentenceTransformer,
    queries: dict[str, list[int]],
    labels: list[str],
    output_dir: str,
    *,
    epochs: float = 20,
    batch_size: int = 8,
    learning_rate: float = 2e-3,
    objective: Callable[[], nn.Module] = DecoupledSoftmax,
) -> SentenceTransformerTrainer:
    """Train ``model`` in place on queries with the ids of their labels; returns the trainer."""
    pairs = [(row, label) for row, ids in enumerate(queries.values()) for label in ids]
    rows, columns = zip(*pairs, strict=True)
    values, shape = np.ones(len(pairs), np.float32), (len(queries), len(labels))
    relevance = sp.csr_matrix((values, (rows, columns)), shape=shape)
    texts = list(queries)
    data = Dataset.from_dict(
        {
            "query": [texts[row] for row in rows],
            "text": [labels[label] for label in columns],
            "label": [list(pair) for pair in pairs],
        }
    )
    arguments = SentenceTransformerTrainingArguments(
        output_dir=output_dir,
        num_train_epochs=epochs,
        per_device_train_batch_size=batch_size,
        learning_rate=learning_rate,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        seed=0,
    )
    loss = InBatchLabels(model, relevance, batch_size, objective())
    trainer = SentenceTransformerTrainer(model=model, args=arguments, train_dataset=data, loss=loss)
    trainer.train()
    return trainer


def main() -> None:
    """Train on the toy data above and print each query's best label."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a sentence-transformers folder or hub name")
    parser.add_argument("--output", default="runs/sentence-transformers-example")
    options = parser.parse_args()
    model = SentenceTransformer(options.model)
    train(model, QUERIES, LABELS, options.output, learning_rate=1e-4)
    scores = model.encode(list(QUERIES)) @ model.encode(LABELS).T
    for query, best in zip(QUERIES, scores.argmax(1), strict=True):
        print(f"{query} -> {LABELS[best]}")


if __name__ == "__main__":
    main()
