"""Validation on held-out training rows, encoding and search shared by all ranks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from xmc.data import Dataset, inverse_propensity
from xmc.data.sparse_rows import SparseRows
from xmc.distributed import World, all_gather_rows
from xmc.encoders.prefixes import cut, shorter
from xmc.errors import DataError
from xmc.evaluation import ranking_metrics
from xmc.evaluation.hits import all_hits
from xmc.objectives.matryoshka import prefix_of
from xmc.prediction.calibrating import fit_calibration
from xmc.prediction.calibration import Calibration
from xmc.retrieval import Ranker
from xmc.retrieval.folding import Fold
from xmc.training.config import TrainConfig
from xmc.training.learned.frozen_encoder import FrozenEncoder
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
        world: The ranks that share encoding and search.
        device: Where the label vectors are searched.
        config: The run, which decides what ranks labels.
        ranking: Ids and scores, each [V, 100], of the last validation; None before there was one.
        apart: [V, L], pairs that are neither right nor wrong, beside those of the data set's filter; or None.
    """

    dataset: Dataset
    rows: NDArray[np.int64]
    world: World
    device: torch.device
    config: TrainConfig
    ranking: tuple[NDArray[np.int64], NDArray[np.float32]] | None = None
    apart: sp.csr_matrix | None = None

    def __call__(self, learner: Learner, frozen: FrozenEncoder) -> dict[str, float]:
        """Metrics in percent, equal on every rank; by prefixes of vectors as ``d64/P@1`` where there are any.

        The texts are those of training, whose tokens ``frozen`` has: none is cut into tokens again. Each rank
        encodes and holds its shard of the queries and of the labels. Over W ranks: one all-gather of the
        queries' embeddings, one all-to-all of their lists of 100 labels (two of each for a model that ranks
        by magnitude) and two all-gathers of the merged lists, ids and scores.
        """
        ranker, queries = self._ranker(learner), self._queries(frozen)
        labels, fold = self._labels(learner, frozen)
        self.ranking = self._search(ranker, queries, labels, fold)
        metrics = self._metrics(self.ranking[0])
        for dimension in shorter(self.config.encoder.dimensions, labels.shape[1]):
            query_normalised, label_normalised = learner.encoder.normalised
            ids, _ = self._search(
                ranker,
                cut(queries, dimension, normalised=query_normalised),
                prefix_of(labels, dimension, normalised=label_normalised),
                fold,
            )
            metrics |= {f"d{dimension}/{name}": value for name, value in self._metrics(ids).items()}
        return metrics

    def ranked(
        self, learner: Learner, frozen: FrozenEncoder, queries: NDArray[np.float32], depth: int
    ) -> NDArray[np.int64]:
        """Label ids [V, depth] of the rows by the embeddings of this rank's shard of them, [v, D]."""
        labels, fold = self._labels(learner, frozen)
        return self._search(self._ranker(learner), queries, labels, fold, depth)[0]

    def _search(
        self,
        ranker: Ranker,
        queries: NDArray[np.float32],
        labels: Tensor,
        fold: Fold | None,
        depth: int = DEPTH,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Ids and scores, both [V, depth], of all ranks' queries by all ranks' labels."""
        own = ranker.search(
            queries,
            labels,
            depth,
            num_queries=len(self.rows),
            num_labels=self.dataset.num_labels,
            world=self.world,
            exclude=self._excluded(),
            fold=fold,
        )
        # All ranks measure all lists, as sums of parts would round differently for each number of ranks.
        ids, scores = (
            all_gather_rows(torch.from_numpy(part).to(self.device), len(self.rows), self.world).cpu().numpy()
            for part in own
        )
        return ids, scores

    def _metrics(self, ids: NDArray[np.int64]) -> dict[str, float]:
        relevance, constants = self.dataset.relevance("train"), self.dataset.propensity
        return ranking_metrics(
            self._truth(),
            ids,
            inverse_propensity(relevance, constants.a, constants.b),
        )

    def _excluded(self) -> sp.csr_matrix | None:
        filtered = self.dataset.filter("train")
        own = None if filtered is None else sp.csr_matrix(filtered[self.rows])
        if own is None or self.apart is None:
            return self.apart if own is None else own
        return sp.csr_matrix(own.astype(bool) + self.apart.astype(bool))

    def _truth(self) -> sp.csr_matrix:
        truth = sp.csr_matrix(self.dataset.relevance("train")[self.rows])
        if self.apart is None:
            return truth
        return SparseRows.of(truth).without(SparseRows.of(self.apart)).scipy()

    def calibration(self) -> Calibration | None:
        """Probabilities and thresholds by the last validation, of a model that is still to be named.

        None where there was none, or where it says nothing: of a model that has nothing right, or everything.
        """
        if self.ranking is None:
            return None
        depth = min(DEPTH, self.dataset.num_labels)
        ids, scores = self.ranking[0][:, :depth], self.ranking[1][:, :depth]
        try:
            return fit_calibration(
                all_hits(self._truth(), ids),
                ids,
                scores,
                model_fingerprint="",
                num_labels=self.dataset.num_labels,
                rows=f"{len(self.rows):,} validation rows of {self.dataset.name}",
            )
        except DataError:
            return None

    def _ranker(self, learner: Learner) -> Ranker:
        ranking, shift = ranking_of(self.config, float(learner.parameters.scale.detach()))
        return Ranker.of(ranking, shift, learner.parameters.relative_offsets(), self.dataset.num_labels)

    def _queries(self, frozen: FrozenEncoder) -> NDArray[np.float32]:
        """This rank's shard of the query embeddings, [v, D]."""
        own = slice(*self.world.shard(len(self.rows)))
        return frozen.encode_queries(self.rows[own]).cpu().numpy()

    def _labels(self, learner: Learner, frozen: FrozenEncoder) -> tuple[Tensor, Fold | None]:
        """This rank's shard of the label vectors as they are, [l, D], or those of all their texts [t, D]."""
        start, stop = self.world.shard(self.dataset.num_labels)
        if learner.head is not None:
            return learner.head.table(torch.float32)[start:stop].to(self.device), None
        if self.config.data.label_texts == "joint":
            return frozen.encode_labels(np.arange(start, stop)).to(self.device), None
        vectors, bounds = frozen.encode_label_texts(start, stop)
        return vectors.to(self.device), Fold(bounds, self.config.data.label_fold)
