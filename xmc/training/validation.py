"""Validation on held-out training rows, the encoding shared by all ranks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.sparse as sp
import torch

from xmc.data import Dataset, inverse_propensity
from xmc.distributed import World, all_gather_rows
from xmc.encoders import DualEncoder, add_residuals
from xmc.evaluation import ranking_metrics
from xmc.retrieval import exact_search, search_by_size
from xmc.training.config import TrainConfig
from xmc.training.learned.head import ranking_of
from xmc.training.learned.learner import Learner

__all__ = ["Validator"]

DEPTH = 100


@dataclass
class Validator:
    """Ranks all labels for the validation rows with the model as it is.

    Attributes:
        dataset: Whose training rows these are.
        rows: [V] validation row ids.
        query_fields: Fields of a query's text, or None for the data set's own.
        label_fields: Fields of a label's text, or None for the data set's own.
        world: The ranks that share the encoding.
        device: Where gathered embeddings live.
        config: The run, which decides what ranks labels.
    """

    dataset: Dataset
    rows: np.ndarray
    query_fields: list[str] | None
    label_fields: list[str] | None
    world: World
    device: torch.device
    config: TrainConfig

    def __call__(self, learner: Learner) -> dict[str, float]:
        """Metrics in percent, equal on every rank.

        Over W ranks: one all-gather of the queries' embeddings and one of the labels'.
        """
        relevance = self.dataset.relevance("train")
        texts = self.dataset.texts("train", self.query_fields)
        queries = self._encode(learner.encoder, texts, self.rows, "query")
        labels, offsets = self._labels(learner), learner.parameters.relative_offsets()
        ranking, shift = ranking_of(self.config, float(learner.parameters.scale.detach()))
        if shift:
            offsets = np.full(len(labels), shift, dtype=np.float32)
        search = partial(self._search, queries, labels, offsets)
        ids, _ = search_by_size(search) if ranking == "size" else search(1.0)
        constants = self.dataset.propensity
        return ranking_metrics(
            sp.csr_matrix(relevance[self.rows]), ids, inverse_propensity(relevance, constants.a, constants.b)
        )

    def _labels(self, learner: Learner) -> np.ndarray:
        """The label vectors [L, D] as they are."""
        if learner.head is not None:
            return learner.head.table(torch.float32).cpu().numpy()  # type: ignore[no-any-return]
        texts, rows = self.dataset.texts("labels", self.label_fields), np.arange(self.dataset.num_labels)
        labels = self._encode(learner.encoder, texts, rows, "label")
        if learner.residuals is None:
            return labels
        return add_residuals(torch.from_numpy(labels), learner.residuals.of_labels()).numpy()  # type: ignore[no-any-return]

    def _search(
        self, queries: np.ndarray, labels: np.ndarray, offsets: np.ndarray | None, sign: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best labels for the queries, or for their negatives where ``sign`` is -1."""
        excluded = self.dataset.filter("train")
        return exact_search(
            np.float32(sign) * queries,
            labels,
            DEPTH,
            exclude=None if excluded is None else excluded[self.rows],
            offsets=None if offsets is None else np.float32(sign) * offsets,
        )

    def _encode(self, encoder: DualEncoder, texts: object, rows: np.ndarray, side: str) -> np.ndarray:
        start, stop = self.world.shard(len(rows))
        share = texts[rows[start:stop]]  # type: ignore[index]
        local = encoder.encode_queries(share) if side == "query" else encoder.encode_labels(share)
        gathered = all_gather_rows(torch.from_numpy(local).to(self.device), len(rows), self.world)
        return gathered.cpu().numpy()
