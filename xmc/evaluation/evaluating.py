"""Evaluates a model on a data set: encode, rank all labels exactly, measure."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from xmc.data import Dataset, Propensity, describe_propensity, inverse_propensity
from xmc.distributed import World, current_world, gather_rows_to_main
from xmc.encoders import DualEncoder
from xmc.encoders.prefixes import shorter
from xmc.errors import ConfigError, DataError
from xmc.evaluation.kinds import KINDS, PROPENSITY_KINDS, check_cuts
from xmc.evaluation.novel import NovelTotals
from xmc.evaluation.predictions import PredictionsWriter, write_predictions
from xmc.evaluation.rank import RankedBlock, rank_labels, ranked_blocks
from xmc.evaluation.result import Evaluation
from xmc.evaluation.totals import MetricTotals, walk_hits
from xmc.retrieval import Ranker, warn_of_other_labels

__all__ = [
    "check_all_cuts",
    "evaluate",
    "novel_totals",
    "open_split",
    "propensity_source",
    "propensity_weights",
    "rank_labels",
]

_log = logging.getLogger(__name__)


def evaluate(
    model: DualEncoder | str | Path,
    dataset: Dataset | str | Path,
    *,
    split: Literal["train", "test"] = "test",
    ks: Sequence[int] = (1, 3, 5),
    recall_ks: Sequence[int] = (10, 100),
    propensity: Propensity | None = None,
    predictions: str | Path | None = None,
    progress: bool = True,
    tell_cuts: bool = True,
) -> Evaluation:
    """Rank all labels for every query of a split and measure.

    P, nDCG, PSP and PSnDCG are taken at ``ks``; recall, MRR, MAP, coverage and reach at ``recall_ks``.

    The texts' fields are those the model was trained on, or the data set's own for a model that says none.
    Learned label offsets (over the scale) are added to the scores. The data set's filter pairs are left out
    before the cut. Ties: score descending, then label id ascending.

    Where labels of the data set were held out of training (`Dataset.unseen_labels`), they are also ranked
    alone, and `Evaluation.novel` has the metrics of seen and unseen labels (see `xmc.evaluation.novel`).

    A model that was trained on prefixes of its vectors (`encoder.dimensions`) is measured by each of them,
    too: `Evaluation.dimensions`.

    With a process group, all ranks call this together: labels and queries are sharded, every rank encodes,
    searches and measures its share, and all return the same result. From equal embeddings the rankings equal
    those of one process, bit for bit on a CPU; a transformer's embeddings themselves depend in the last bits
    on which texts share a batch.

    Args:
        model: A model, or where it is.
        dataset: A prepared data set, or its folder.
        split: "test" or "train".
        ks: Cut-offs of the precision-like metrics.
        recall_ks: Cut-offs of the others.
        propensity: Constants A and B of PSP and PSnDCG; default the data set's.
        predictions: Also write the ranking to this npz file (see `save_predictions`), from rank 0.
        progress: Show bars.
        tell_cuts: Say how many texts are longer than the model reads.

    Raises:
        ConfigError: When a cut-off is below 1, or model and data set are no such things.
        DataError: When the data set cannot be opened, or the split has no rows.
        ModelError: When the model cannot be opened.
    """
    check_all_cuts(ks, recall_ks)
    for name, value, kind in (("model", model, DualEncoder), ("dataset", dataset, Dataset)):
        if not isinstance(value, (kind, str, Path)):
            raise ConfigError(
                f"{name}: expected a {kind.__name__}, or where one is, got a {type(value).__name__}: "
                "the model comes first, the data set second"
            )
    started, world = time.perf_counter(), current_world()
    dataset = open_split(dataset, split)
    model = model if isinstance(model, DualEncoder) else DualEncoder.load(model)
    warn_of_other_labels(model, dataset)
    constants = propensity or dataset.propensity
    totals = _Totals.of(
        dataset, constants, shorter(model.metadata.dimensions, model.dimension), ks, recall_ks
    )
    truth, depth = dataset.relevance(split), max(*ks, *recall_ks)
    device = next(iter(model.parameters())).device
    blocks = ranked_blocks(
        model,
        dataset,
        split,
        depth,
        world,
        among=totals.among,
        dimensions=list(totals.by_prefix),
        progress=progress and world.is_main,
        tell_cuts=tell_cuts,
    )
    with _writer(predictions, world) as writer:
        for block in blocks:
            totals.add(truth, block)
            if predictions is not None:
                _append(writer, block, world, device)
    totals.sum_over_ranks(world, device)
    excluded = dataset.filter(split)
    return Evaluation(
        metrics=totals.whole.metrics(),
        dataset=dataset.name,
        dataset_fingerprint=dataset.fingerprint,
        split=split,
        num_queries=truth.shape[0],
        num_labels=dataset.num_labels,
        filtered_pairs=0 if excluded is None else int(excluded.nnz),
        depth=depth,
        propensity={"a": constants.a, "b": constants.b},
        propensity_source=propensity_source(dataset, propensity),
        ceiling=dataset.ceiling if split == "test" else {},
        model=model.fingerprint,
        offsets=Ranker.of_model(model, dataset.uids("labels")).offsets is not None,
        seconds=round(time.perf_counter() - started, 3),
        processes=world.size,
        novel=None if totals.novel is None else totals.novel.result(),
        dimension=model.dimension,
        dimensions={str(dimension): kept.metrics() for dimension, kept in totals.by_prefix.items()},
    )


@dataclass
class _Totals:
    """What is added up of a split.

    Attributes:
        whole: Of the rankings of all labels.
        by_prefix: Of those by the first components alone, by how many.
        novel: Of seen and of unseen labels, where there are any held out of training.
    """

    whole: MetricTotals
    by_prefix: dict[int, MetricTotals]
    novel: NovelTotals | None

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        propensity: Propensity,
        dimensions: Sequence[int],
        ks: Sequence[int],
        recall_ks: Sequence[int],
    ) -> _Totals:
        """Of nothing yet."""
        weights, kinds = propensity_weights(dataset, propensity)
        whole, *shorter_ones = (
            MetricTotals(dataset.num_labels, weights, ks=ks, recall_ks=recall_ks, kinds=kinds)
            for _ in (None, *dimensions)
        )
        by_prefix = dict(zip(dimensions, shorter_ones, strict=True))
        return cls(whole, by_prefix, novel_totals(dataset, weights, ks, recall_ks))

    @property
    def among(self) -> NDArray[np.bool_] | None:
        """The labels that are also to be ranked alone, [L]."""
        return None if self.novel is None else self.novel.is_unseen

    def add(self, truth: sp.csr_matrix, block: RankedBlock) -> None:
        """Take in a block, of the relevance [N, L] of all rows."""
        walk_hits(truth[block.rows], block.ids, self.whole.add, block.rows.start)
        for dimension, ids in block.shorter.items():
            walk_hits(truth[block.rows], ids, self.by_prefix[dimension].add, block.rows.start)
        if self.novel is not None:
            self.novel.add(truth[block.rows], block.ids, block.among)

    def sum_over_ranks(self, world: World, device: torch.device) -> None:
        """Make these the totals of all ranks, all of which call it."""
        for kept in (self.whole, *self.by_prefix.values()):
            kept.sum_over_ranks(world, device)
        if self.novel is not None:
            self.novel.sum_over_ranks(world, device)


def open_split(dataset: Dataset | str | Path, split: Literal["train", "test"]) -> Dataset:
    """The data set, with rows in ``split``.

    Raises:
        DataError: When it cannot be opened, or the split has no rows.
    """
    dataset = dataset if isinstance(dataset, Dataset) else Dataset.load(dataset)
    if not dataset.relevance(split).shape[0]:
        raise DataError(
            f"expected {split} rows to evaluate on, {dataset.name} has none: name another split, or "
            "import the data with them"
        )
    return dataset


def propensity_weights(
    dataset: Dataset, constants: Propensity
) -> tuple[NDArray[np.floating] | None, Sequence[str]]:
    """The labels' inverse propensities [L] and the kinds of metric that can be taken.

    Without training rows, as in a data set of test rows alone, there are no frequencies and so no
    propensity-scored metrics, which the log says.
    """
    if dataset.num_train:
        return inverse_propensity(dataset.relevance("train"), constants.a, constants.b), KINDS
    _log.warning(
        "%s has no training rows to count labels in: %s are left out",
        dataset.name,
        " and ".join(PROPENSITY_KINDS),
    )
    return None, [kind for kind in KINDS if kind not in PROPENSITY_KINDS]


def novel_totals(
    dataset: Dataset, weights: NDArray[np.floating] | None, ks: Sequence[int], recall_ks: Sequence[int]
) -> NovelTotals | None:
    """Totals of seen and unseen labels, or None for a data set without labels held out of training."""
    unseen = dataset.unseen_labels
    if not len(unseen):
        return None
    return NovelTotals(unseen, dataset.num_labels, weights, ks=ks, recall_ks=recall_ks)


def propensity_source(dataset: Dataset, given: Propensity | None) -> str:
    """Where the constants A and B of a result are from, in a few words."""
    if given is not None:
        return "given for this evaluation"
    return describe_propensity(dataset.name, dataset.propensity)


def check_all_cuts(ks: Sequence[int], recall_ks: Sequence[int]) -> None:
    """Raise a ConfigError unless both hold cut-offs of 1 and more."""
    for cuts in (ks, recall_ks):
        if not cuts:
            raise ConfigError("expected cut-offs of 1 and more, got none")
        check_cuts(cuts)


@contextmanager
def _writer(path: str | Path | None, world: World) -> Iterator[PredictionsWriter | None]:
    if path is None or not world.is_main:
        yield None
        return
    with write_predictions(path) as writer:
        yield writer


def _append(writer: PredictionsWriter | None, block: RankedBlock, world: World, device: torch.device) -> None:
    """Write a block's rows of all ranks from rank 0, which holds no more than the block."""
    ids = gather_rows_to_main(torch.from_numpy(block.ids).to(device), block.stop - block.start, world)
    scores = gather_rows_to_main(torch.from_numpy(block.scores).to(device), block.stop - block.start, world)
    if writer is not None and ids is not None and scores is not None:
        writer.add(ids.cpu().numpy(), scores.cpu().numpy())
