"""Objectives as losses of SentenceTransformerTrainer, on tiny models made here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from datasets import Dataset
from torch import Tensor, nn

from tests.fixtures.libraries import base_modules, integration, sbert, sbert_losses, text_modules
from tests.fixtures.tiny_models import tiny_tokenizer
from xmc import objectives
from xmc.errors import ConfigError
from xmc.training.batches import in_batch_inclusion

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    from xmc.integrations.sentence_transformers import InBatchLabels

TEXTS = ["red", "green", "blue", "big"]
ASKED = {"house": [0, 1], "tree": [1, 2], "river": [2, 3], "bird": [3, 0], "song": [0, 2]}
RELEVANCE = sp.csr_matrix(np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1]], np.float32))
# Pairs of a query and a label; label 1 comes twice, and query 0 is positive for both labels of the batch.
IDS = torch.tensor([[0, 1], [2, 2], [1, 1]])


def tower() -> StaticEmbedding:
    tokenizer = tiny_tokenizer()
    return text_modules.StaticEmbedding(
        tokenizer, embedding_weights=torch.randn(tokenizer.get_vocab_size(), 8)
    )


def model_of(routed: bool) -> SentenceTransformer:
    torch.manual_seed(0)
    module = base_modules.Router.for_query_document([tower()], [tower()]) if routed else tower()
    return sbert.SentenceTransformer(modules=[module], device="cpu")


class Passed(nn.Module):
    """An encoder whose features are the embeddings."""

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"sentence_embedding": features["embedding"]}


def loss_of(
    relevance: Any = RELEVANCE, objective: str = "decoupled_softmax", **options: Any
) -> InBatchLabels:
    return integration.InBatchLabels(Passed(), relevance, objective, **options)  # type: ignore[arg-type]


def columns(*embeddings: Tensor) -> list[dict[str, Tensor]]:
    return [{"embedding": embedding} for embedding in embeddings]


@pytest.mark.parametrize("name", objectives.CATALOGUE)
def test_loss_and_gradients_are_the_objectives_on_the_distinct_labels(name: str) -> None:
    options = {"k": 1} if name == "soft_top_k" else {}
    queries, texts = torch.randn(3, 4, requires_grad=True), torch.randn(2, 4, requires_grad=True)
    own = [tensor.detach().clone().requires_grad_() for tensor in (queries, texts)]
    loss = loss_of(objective=name, scale=3.0, learn_scale=True, options=options)
    found = loss(columns(queries, texts[[0, 1, 0]]), IDS)
    found.backward()

    scale = torch.tensor(3.0, requires_grad=True)
    # Four pairs, of which a batch holds three: label 1 has two of them, label 2 one.
    inclusion = in_batch_inclusion(np.array([2, 1]), 4, 3)
    expected = getattr(objectives, name)(
        *own,
        torch.tensor([[True, False], [False, True], [True, False]]),
        scale=scale,
        log_weights=torch.from_numpy(-np.log(inclusion)).float(),
        **options,
    )
    expected.backward()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close([queries.grad, texts.grad], [tensor.grad for tensor in own])
    if name not in ("spherical_z_loss", "discriminative"):  # whose values do not depend on the scale
        torch.testing.assert_close(loss.loss.log_scale.grad, 3.0 * scale.grad)


@pytest.mark.parametrize(("name", "scale"), [("decoupled_softmax", 20.0), ("mean_squared_error", 1.0)])
def test_scale_starts_where_the_objective_says(name: str, scale: float) -> None:
    assert loss_of(objective=name).get_config_dict()["scale"] == scale == objectives.CATALOGUE[name].scale


def test_every_known_positive_of_the_batch_counts_with_its_weight() -> None:
    relevance = sp.csr_matrix(np.array([[2, 1, 0], [0, 1, 0], [0, 0, 1]], np.float32))
    queries, texts = torch.randn(3, 4), torch.randn(3, 4)
    ids = torch.tensor([[0, 0], [2, 2], [1, 1]])
    loss = loss_of(relevance)
    weights = loss.log_weights(np.arange(3), 3)
    expected = objectives.decoupled_softmax(
        queries, texts[[0, 2, 1]], relevance[[0, 2, 1]], log_weights=weights
    )
    torch.testing.assert_close(loss(columns(queries, texts), ids), expected)


def test_softmax_with_one_positive_a_query_is_multiple_negatives_ranking_loss() -> None:
    queries, texts = (nn.functional.normalize(torch.randn(3, 4)) for _ in range(2))
    # Each label has one pair, so all are equally likely; every pair is in the batch, so all are certain.
    loss = loss_of(sp.identity(3, np.float32, "csr"), "softmax")
    found = loss(columns(queries, texts), torch.tensor([[0, 0], [1, 1], [2, 2]]))
    theirs = sbert_losses.MultipleNegativesRankingLoss(model_of(routed=False))
    torch.testing.assert_close(found, theirs.compute_loss_from_embeddings([queries, texts], IDS))


def test_the_correction_makes_the_expected_partition_that_of_all_labels() -> None:
    relevance = sp.csr_matrix(np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]], np.float32))
    loss, pairs = loss_of(relevance), np.argwhere(relevance.toarray())
    scores, total, batches = np.array([0.0, 0.3, -0.5, 1.0]), 0.0, 0
    others = [pair for pair in range(1, len(pairs))]  # batches of three pairs with pair 0, of query 0
    for place, second in enumerate(others):
        for third in others[place + 1 :]:
            ids = np.unique(pairs[[second, third], 1])
            weights = loss.log_weights(ids, 3).numpy()
            total, batches = total + np.exp(scores[ids] + weights).sum(), batches + 1
    assert total / batches == pytest.approx(np.exp(scores[1:]).sum(), rel=1e-5)


def data_of(asked: dict[str, list[int]]) -> tuple[Dataset, sp.csr_matrix]:
    pairs = [[query, label] for query, labels in enumerate(asked.values()) for label in labels]
    texts = list(asked)
    data = Dataset.from_dict(
        {
            "query": [texts[query] for query, _ in pairs],
            "text": [TEXTS[label] for _, label in pairs],
            "label": pairs,
        }
    )
    rows, labels = np.array(pairs).T
    shape = (len(asked), len(TEXTS))
    return data, sp.csr_matrix((np.ones(len(pairs), np.float32), (rows, labels)), shape=shape)


def train(
    loss: InBatchLabels, data: Dataset, folder: Path, epochs: int = 30, **arguments: Any
) -> list[float]:
    given = sbert.SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        num_train_epochs=epochs,
        per_device_train_batch_size=5,
        learning_rate=0.1,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        seed=0,
        **arguments,
    )
    trainer = sbert.SentenceTransformerTrainer(model=loss.model, args=given, train_dataset=data, loss=loss)
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize("routed", [False, True], ids=["tied", "router"])
def test_the_trainer_learns_all_labels_of_every_query(routed: bool, tmp_path: Path) -> None:
    model, (data, relevance) = model_of(routed), data_of(ASKED)
    loss = integration.InBatchLabels(model, relevance, scale=1.0, learn_scale=True)
    mapping = {"router_mapping": {"query": "query", "text": "document"}} if routed else {}
    losses = train(loss, data, tmp_path, **mapping)
    assert sum(losses[-5:]) < sum(losses[:5])
    assert loss.get_config_dict()["scale"] != 1.0
    scores = torch.from_numpy(model.encode_query(list(ASKED)) @ model.encode_document(TEXTS).T)
    for ids, row in zip(ASKED.values(), scores, strict=True):
        assert set(row.topk(2).indices.tolist()) == set(ids)


def test_the_models_card_names_the_objective(tmp_path: Path) -> None:
    model, (data, relevance) = model_of(routed=False), data_of(ASKED)
    loss = integration.InBatchLabels(model, relevance, "soft_top_k", scale=2.0, options={"k": 1})
    train(loss, data, tmp_path, epochs=1)
    model.save(str(tmp_path / "model"))
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert "InBatchLabels" in card
    assert '"objective": "soft_top_k",\n      "scale": 2.0,\n      "k": 1' in card


def test_relevance_may_repeat_pairs_and_hold_zeros_and_stays_as_it_is() -> None:
    relevance = sp.coo_matrix(([1.0, 1.0, 0.0, 1.0], ([0, 0, 1, 1], [0, 0, 0, 1])), shape=(2, 2)).tocsr()
    before = relevance.copy()
    assert loss_of(relevance).label_counts.tolist() == [1, 1]
    assert (relevance != before).nnz == 0 and relevance.nnz == before.nnz


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"objective": "sotfmax"}, "an objective, one of softmax, .*got 'sotfmax': did you mean 'softmax'"),
        ({"options": {"k": 5}}, "decoupled_softmax has no option 'k': it has none"),
        (
            {"objective": "soft_top_k", "options": {"scale": 5}},
            "soft_top_k has no option 'scale': expected one of alpha, k",
        ),
        ({"scale": 0.0}, "a scale above 0"),
        ({"relevance": [[0]]}, "a SciPy sparse matrix, got list"),
        ({"relevance": sp.csr_matrix((2, 3))}, r"with positives, got none in \[2, 3\]"),
    ],
)
def test_what_cannot_work_is_said_at_the_start(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        loss_of(**given)


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (None, "`label` column of .* got none"),
        (torch.tensor([1, 2, 1]), r"got torch.int64 \[3\]"),
        (IDS.float(), "got torch.float32"),
        (torch.tensor([[0, 1], [2, 3], [1, 1]]), r"within relevance \[3, 3\]"),
        (torch.tensor([[0, 1], [2, 0], [1, 1]]), "got query 2 with label 0, which is not"),
    ],
)
def test_ids_that_do_not_fit_are_an_error(ids: Tensor, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        loss_of()(columns(torch.randn(3, 4), torch.randn(3, 4)), ids)


def test_more_columns_of_texts_are_an_error() -> None:
    with pytest.raises(ConfigError, match="expected two columns of texts.* got 3"):
        loss_of()(columns(*[torch.randn(3, 4)] * 3), IDS)
