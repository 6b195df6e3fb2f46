"""The example of an objective in SentenceTransformerTrainer, on a tiny model made here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import scipy.sparse as sp
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from torch import Tensor, nn

from examples.sentence_transformers_trainer import LABELS, QUERIES, InBatchLabels, train
from tests.fixtures.tiny_models import tiny_tokenizer
from xmc.objectives import DecoupledSoftmax, SphericalZLoss, decoupled_softmax

TEXTS = ["red", "green", "blue", "big"]
ASKED = {"house": [0, 1], "tree": [1, 2], "river": [2, 3], "bird": [3, 0], "song": [0, 2]}


def tiny_model() -> SentenceTransformer:
    torch.manual_seed(0)
    tokenizer = tiny_tokenizer()
    weights = torch.randn(tokenizer.get_vocab_size(), 8)
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)], device="cpu")


@pytest.mark.parametrize("objective", [DecoupledSoftmax, SphericalZLoss], ids=lambda o: o.__name__)
def test_the_trainer_learns_all_labels_of_every_query(
    objective: Callable[[], nn.Module], tmp_path: Path
) -> None:
    model = tiny_model()
    trainer = train(
        model,
        ASKED,
        TEXTS,
        str(tmp_path),
        epochs=30,
        batch_size=5,
        learning_rate=0.1,
        objective=lambda: objective(scale=1.0),
    )
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert sum(losses[-5:]) < sum(losses[:5])
    scores = torch.from_numpy(model.encode(list(ASKED)) @ model.encode(TEXTS).T)
    for ids, row in zip(ASKED.values(), scores, strict=True):
        assert set(row.topk(2).indices.tolist()) == set(ids)


class Passed(nn.Module):
    """An encoder whose features are the embeddings."""

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"sentence_embedding": features["embedding"]}


def test_positives_are_found_by_id_and_repeated_labels_count_once() -> None:
    relevance = sp.csr_matrix(torch.tensor([[1.0, 1, 0], [0, 1, 0], [0, 0, 1]]).numpy())
    queries, texts = torch.randn(3, 4), torch.randn(2, 4)
    loss = InBatchLabels(Passed(), relevance, 3, DecoupledSoftmax())  # type: ignore[arg-type]
    batch = [{"embedding": queries}, {"embedding": texts[[0, 1, 0]]}]
    found = loss(batch, torch.tensor([[0, 1], [2, 2], [1, 1]]))
    expected = decoupled_softmax(
        queries[[0, 1, 2]], texts, [[0], [1], [0]], log_weights=loss.log_weights[[1, 2]]
    )
    torch.testing.assert_close(found, expected)


def test_the_toy_data_names_labels_that_there_are() -> None:
    assert all(0 <= label < len(LABELS) for ids in QUERIES.values() for label in ids)
