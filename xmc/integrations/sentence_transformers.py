"""Objectives of this package as losses of ``SentenceTransformerTrainer``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn

from xmc.errors import ConfigError
from xmc.objectives import build_objective
from xmc.objectives.public import LossModule
from xmc.training.batches import in_batch_inclusion

__all__ = ["InBatchLabels"]


class InBatchLabels(nn.Module):
    """An objective of :mod:`xmc.objectives` over a batch's labels, with any number of positives per query.

    Each row of the data set is one positive pair, a query and the text of one of its labels. A batch of B
    pairs scores its B queries against its b <= B distinct labels:

    1. A label that comes with several pairs is scored once (by the first of its embeddings).
    2. Every label of the batch that is a known positive of a query counts as one, whichever pair brought it;
       so no positive is ever a negative.
    3. A frequent label is in most batches; uncorrected, it would be pushed away in proportion. The objective
       is given minus the log of each label's probability to be in the batch as a negative (``log_weights``),
       so that its partition function estimates the one over all labels without bias.

    A query that comes with several pairs is as many rows, so queries count in proportion to their positives.

    Args:
        model: The encoder that is trained: of one tower, or with a ``Router`` between two.
        relevance: [N, L] SciPy sparse, the known positives of N queries over L labels; floating values are
            relevance weights.
        objective: A name of ``xmc.objectives.CATALOGUE``, or your own as ``package.module:name`` or
            ``./file.py:name``.
        scale: One over the temperature, the objective's own when None; scores are ``scale * q.e`` of the
            model's embeddings as they are, so use 1 for a model that does not normalise them.
        learn_scale: Whether the scale is trained too, as its logarithm; the trainer's optimizer finds it.
        options: The objective's own keywords, such as ``{"k": 5}`` for ``soft_top_k``.

    Raises:
        ConfigError: For an objective, option, scale or relevance that cannot work; in ``forward`` for ids
            that do not fit ``relevance``.

    Requirements:
        1. One row of the data set for each nonzero of ``relevance``, for the correction to be exact: a
           batch is a draw of B of its pairs without replacement, which the default batch sampler makes.
        2. A ``label`` column of [query id, label id], the row and the column of ``relevance``.
        3. With a ``Router``, ``router_mapping`` in the trainer's arguments.

    Inputs:
        +----------------------------+-------------------------+
        | Inputs                     | Labels                  |
        +============================+=========================+
        | (query, text of one label) | [query id, label id]    |
        +----------------------------+-------------------------+

    Recommendations:
        - Large batches: the labels of a batch are all the negatives there are. For labels of every batch
          beside its own, mined ones, or all of them, use :class:`xmc.Trainer`.
        - On several devices each scores the labels of its own batch.

    Relations:
        - ``MultipleNegativesRankingLoss`` of sentence-transformers has one positive per row and pushes the
          query's other positives away where the batch holds them. With one positive per query, distinct
          labels and every ``log_weights`` alike, ``objective="softmax"`` is that loss.
        - :class:`xmc.Trainer` optimises the same objectives over all labels, or over sampled ones.

    Example:
        ::

            import scipy.sparse as sp
            from datasets import Dataset
            from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
            from xmc.integrations.sentence_transformers import InBatchLabels

            labels = ["birds", "night", "stones"]
            queries = ["a bird sings at night", "a stone house"]
            pairs = [[0, 0], [0, 1], [1, 2]]
            relevance = sp.csr_matrix(([1.0] * 3, ([0, 0, 1], [0, 1, 2])), shape=(2, 3))
            train_dataset = Dataset.from_dict({
                "query": [queries[query] for query, _ in pairs],
                "text": [labels[label] for _, label in pairs],
                "label": pairs,
            })
            model = SentenceTransformer("sentence-transformers/all-MiniLM-L6-v2")
            loss = InBatchLabels(model, relevance, objective="decoupled_softmax")
            SentenceTransformerTrainer(model=model, train_dataset=train_dataset, loss=loss).train()

    References:
        - Decoupled softmax: Gupta et al., "Dual-Encoders for Extreme Multi-label Classification", ICLR 2024.
        - The correction: Horvitz and Thompson, "A Generalization of Sampling Without Replacement From a
          Finite Universe", 1952.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        relevance: sp.csr_matrix | sp.csr_array | sp.coo_matrix | sp.coo_array,
        objective: str = "decoupled_softmax",
        *,
        scale: float | None = None,
        learn_scale: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.objective, self.options = objective, dict(options or {})
        self.loss = LossModule(build_objective(objective, self.options), scale, learn_scale=learn_scale)
        self.relevance = _pairs(relevance)
        self.label_counts = np.bincount(self.relevance.indices, minlength=self.relevance.shape[1])

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor) -> Tensor:
        """The loss of a batch, a scalar, from the features of its two columns and its ids [B, 2]."""
        embeddings = [self.model(features)["sentence_embedding"] for features in sentence_features]
        return self.compute_loss_from_embeddings(embeddings, labels)

    def compute_loss_from_embeddings(self, embeddings: list[Tensor], labels: Tensor) -> Tensor:
        """The loss of a batch, a scalar.

        Args:
            embeddings: The queries' and the labels' [B, D].
            labels: [B, 2] integers, the query id and the label id of each pair.
        """
        queries, texts = self._columns(embeddings)
        ids = self._ids(labels, len(queries))
        label_ids, first, own = np.unique(ids[:, 1], return_index=True, return_inverse=True)
        positives = self.relevance[ids[:, 0]][:, label_ids]
        _check_pairs(positives, own, ids)
        loss: Tensor = self.loss(
            queries,
            texts[torch.from_numpy(first).to(texts.device)],
            positives,
            log_weights=self.log_weights(label_ids, len(ids)).to(texts.device),
        )
        return loss

    def log_weights(self, label_ids: np.ndarray, batch_size: int) -> Tensor:
        """Minus the log of each label's probability to be brought by another pair of a batch: [b] float32.

        Args:
            label_ids: [b].
            batch_size: B, the pairs of the batch.
        """
        inclusion = in_batch_inclusion(self.label_counts[label_ids], self.relevance.nnz, batch_size)
        # Zero for a batch of one pair alone, whose label is a positive and so is not weighed.
        return torch.from_numpy(-np.log(np.maximum(inclusion, 1e-12))).float()

    def get_config_dict(self) -> dict[str, Any]:
        """What sentence-transformers writes of the loss into the model's card."""
        scale = round(float(self.loss.log_scale.detach().exp()), 4)
        return {"objective": self.objective, "scale": scale, **self.options}

    def _columns(self, embeddings: list[Tensor]) -> tuple[Tensor, Tensor]:
        if len(embeddings) != 2:
            raise ConfigError(
                "expected two columns of texts, a query and the text of one of its labels, beside the "
                f"`label` column of ids, got {len(embeddings)}"
            )
        return embeddings[0], embeddings[1]

    def _ids(self, labels: Tensor | None, batch_size: int) -> np.ndarray:
        shape = None if labels is None else list(labels.shape)
        if labels is None or shape != [batch_size, 2] or labels.is_floating_point():
            raise ConfigError(
                f"expected a `label` column of [query id, label id], integers [B={batch_size}, 2], got "
                f"{'none' if labels is None else f'{labels.dtype} {shape}'}"
            )
        ids: np.ndarray = labels.cpu().numpy()
        if ids.min() < 0 or (ids >= self.relevance.shape).any():
            raise ConfigError(
                f"expected ids within relevance {list(self.relevance.shape)}, got up to "
                f"{ids.max(axis=0).tolist()} and down to {ids.min(axis=0).tolist()}"
            )
        return ids


def _pairs(relevance: sp.csr_matrix | sp.csr_array | sp.coo_matrix | sp.coo_array) -> sp.csr_matrix:
    """The known positives with each pair once and no explicit zeros; the caller's matrix is left as it is."""
    if not sp.issparse(relevance):
        raise ConfigError(f"expected relevance as a SciPy sparse matrix, got {type(relevance).__name__}")
    matrix = sp.csr_matrix(relevance)
    if not matrix.has_canonical_format or (matrix.data == 0).any():
        matrix = matrix.copy()
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
    if not matrix.nnz:
        raise ConfigError(f"expected relevance with positives, got none in {list(matrix.shape)}")
    return matrix


def _check_pairs(positives: sp.csr_matrix, own: np.ndarray, ids: np.ndarray) -> None:
    known = np.asarray(positives[np.arange(len(ids)), own]).ravel() != 0
    if not known.all():
        query, label = ids[np.flatnonzero(~known)[0]].tolist()
        raise ConfigError(
            f"expected every pair of the data set to be a positive of relevance, got query {query} with "
            f"label {label}, which is not"
        )
