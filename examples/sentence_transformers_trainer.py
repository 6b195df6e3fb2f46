"""An objective of xmc as the loss of a SentenceTransformerTrainer, with many positives per query.

Run: ``python examples/sentence_transformers_trainer.py MODEL`` with any model folder or hub name.
"""

from __future__ import annotations

import argparse

import numpy as np
import scipy.sparse as sp
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)

from xmc.integrations.sentence_transformers import InBatchLabels

LABELS = ["birds", "songs", "houses", "night", "stones", "trees"]
QUERIES = {
    "a bird sings at night": [0, 1, 3],
    "the small house by the tree": [2, 5],
    "a stone house": [2, 4],
    "the bird in the tree": [0, 5],
    "a song of the night": [1, 3],
    "stones under the tree": [4, 5],
}


def main() -> None:
    """Train on the toy data above and print each query's best label."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a sentence-transformers folder or hub name")
    parser.add_argument("--output", default="runs/sentence-transformers-example")
    parser.add_argument("--objective", default="decoupled_softmax")
    parser.add_argument("--epochs", type=float, default=20)
    options = parser.parse_args()

    texts = list(QUERIES)
    rows, columns = zip(
        *[(row, label) for row, ids in enumerate(QUERIES.values()) for label in ids], strict=True
    )
    relevance = sp.csr_matrix(
        (np.ones(len(rows), np.float32), (rows, columns)), shape=(len(texts), len(LABELS))
    )
    data = Dataset.from_dict(
        {
            "query": [texts[row] for row in rows],
            "text": [LABELS[label] for label in columns],
            "label": list(zip(rows, columns, strict=True)),
        }
    )
    arguments = SentenceTransformerTrainingArguments(
        output_dir=options.output,
        num_train_epochs=options.epochs,
        per_device_train_batch_size=8,
        learning_rate=1e-4,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        seed=0,
    )
    model = SentenceTransformer(options.model)
    loss = InBatchLabels(model, relevance, options.objective)
    SentenceTransformerTrainer(model=model, args=arguments, train_dataset=data, loss=loss).train()
    scores = model.encode(texts) @ model.encode(LABELS).T
    for query, best in zip(texts, scores.argmax(1), strict=True):
        print(f"{query} -> {LABELS[best]}")


if __name__ == "__main__":
    main()
