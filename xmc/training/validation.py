"""Validation on held-out training rows, the encoding shared by all ranks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch

from xmc.data import Dataset, inverse_propensity
from xmc.distributed import World, all_gather_rows
from xmc.encoders import DualEncoder, add_residuals
from xmc.evaluation import ranking_metrics
from xmc.retrieval import exact_search
from xmc.training.learner import Learner

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
    """

    dataset: Dataset
    rows: np.ndarray
    query_fields: list[str] | None
    label_fields: list[str] | None
    world: World
    device: torch.device

    def __call__(self, learner: Learner) -> dict[str, float]:
        """Metrics in percent, equal on every rank.

        Over W ranks: one all-gather of the queries' embeddings and one of the labels'.
        """
        relevance = self.dataset.relevance("train")
        encoder, residuals = learner.encoder, learner.residuals
        queries = self._encode(encoder, self.dataset.texts("train", self.query_fields), self.rows, "query")
        labels = self._encode(
            encoder,
            self.dataset.texts("labels", self.label_fields),
            np.arange(self.dataset.num_labels),
            "label",
        )
        if residuals is not None:
            labels = add_residuals(torch.from_numpy(labels), residuals.of_labels()).numpy()
        excluded = self.dataset.filter("train")
        ids, _ = exact_search(
            queries,
            labels,
            DEPTH,
            exclude=None if excluded is None else excluded[self.rows],
            offsets=learner.relative_offsets(),
        )
        constants = self.dataset.propensity
        return ranking_metrics(
            sp.csr_matrix(relevance[self.rows]), ids, inverse_propensity(relevance, constants.a, constants.b)
        )

    def _encode(self, encoder: DualEncoder, texts: object, rows: np.ndarray, side: str) -> np.ndarray:
        start, stop = self.world.shard(len(rows))
        share = texts[rows[start:stop]]  # type: ignore[index]
        local = encoder.encode_queries(share) if side == "query" else encoder.encode_labels(share)
        gathered = all_gather_rows(torch.from_numpy(local).to(self.device), len(rows), self.world)
        return gathered.cpu().numpy()
