"""Evaluates a model on a data set: encode, rank all labels exactly, measure."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from tqdm.auto import tqdm

from xmc.data import Dataset, inverse_propensity
from xmc.encoders import CutCount, DualEncoder
from xmc.errors import ConfigError, DataError
from xmc.evaluation.metrics import ranking_metrics
from xmc.evaluation.predictions import save_predictions
from xmc.evaluation.result import Evaluation
from xmc.retrieval import exact_search, label_offsets_for, warn_of_other_labels

__all__ = ["evaluate", "rank_labels"]

_RECALL_KS = (10, 100)
_BLOCK_ROWS = 65_536


def evaluate(
    model: DualEncoder | str | Path,
    dataset: Dataset | str | Path,
    *,
    split: Literal["train", "test"] = "test",
    ks: Sequence[int] = (1, 3, 5),
    predictions: str | Path | None = None,
    progress: bool = True,
) -> Evaluation:
    """Rank all labels for every query of a split and measure P, nDCG, PSP at ``ks`` and recall at 10 and 100.

    The texts' fields are those the model was trained on, or the data set's own for a model that says none.
    Learned label offsets (over the scale) are added to the scores. The data set's filter pairs are left out
    before the cut. Ties: score descending, then label id ascending.

    Args:
        model: A model, or where it is.
        dataset: A prepared data set, or its folder.
        split: "test" or "train".
        ks: Cut-offs of the precision-like metrics.
        predictions: Also write the ranking to this npz file (see `save_predictions`).
        progress: Show bars.

    Raises:
        ConfigError: When a cut-off is below 1.
        DataError: When the data set cannot be opened, or the split has no rows.
        ModelError: When the model cannot be opened.
    """
    if not ks or min(ks) < 1:
        raise ConfigError(f"expected cut-offs of 1 and more, got {list(ks)}")
    started = time.perf_counter()
    dataset = dataset if isinstance(dataset, Dataset) else Dataset.load(dataset)
    if not dataset.relevance(split).shape[0]:
        raise DataError(
            f"expected {split} rows to evaluate on, {dataset.name} has none: name another split, or "
            "import the data with them"
        )
    model = model if isinstance(model, DualEncoder) else DualEncoder.load(model)
    warn_of_other_labels(model, dataset)
    ids, scores = rank_labels(model, dataset, split, max(*ks, *_RECALL_KS), progress=progress)
    if predictions is not None:
        save_predictions(predictions, ids, scores)
    constants = dataset.propensity
    weights = inverse_propensity(dataset.relevance("train"), constants.a, constants.b)
    metrics = ranking_metrics(dataset.relevance(split), ids, weights, ks=ks, recall_ks=_RECALL_KS)
    excluded = dataset.filter(split)
    return Evaluation(
        metrics=metrics,
        dataset=dataset.name,
        dataset_fingerprint=dataset.fingerprint,
        split=split,
        num_queries=len(ids),
        num_labels=dataset.num_labels,
        filtered_pairs=0 if excluded is None else int(excluded.nnz),
        depth=ids.shape[1],
        propensity={"a": constants.a, "b": constants.b},
        model=model.fingerprint,
        offsets=label_offsets_for(model, dataset.uids("labels")) is not None,
        seconds=round(time.perf_counter() - started, 3),
    )


def rank_labels(
    model: DualEncoder, dataset: Dataset, split: Literal["train", "test"], k: int, *, progress: bool = True
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Label ids and scores, both [N, k], of the k best labels of each query of a split.

    Filtered pairs are left out; texts that are longer than the model reads are counted in the log. Queries
    are encoded and ranked 65,536 at a time; the label embeddings [L, D] are held in memory, on the model's
    device.
    """
    metadata = model.metadata
    trained = metadata.dataset is not None
    label_cuts, query_cuts = CutCount(), CutCount()
    labels: Any = model.encode_labels(
        dataset.texts("labels", metadata.label_fields if trained else None),
        progress=progress,
        cuts=label_cuts,
        uids=dataset.uids("labels"),
    )
    device = next(iter(model.parameters())).device
    if device.type != "cpu":
        labels = torch.from_numpy(labels).to(device)
    offsets = label_offsets_for(model, dataset.uids("labels"))
    texts = dataset.texts(split, metadata.query_fields if trained else None)
    excluded = dataset.filter(split)
    ids = np.empty((len(texts), k), dtype=np.int32)
    scores = np.empty((len(texts), k), dtype=np.float32)
    with tqdm(total=len(texts), desc="ranking", unit="query", disable=not progress) as bar:
        for start in range(0, len(texts), _BLOCK_ROWS):
            rows = slice(start, min(start + _BLOCK_ROWS, len(texts)))
            queries = model.encode_queries(texts[rows], cuts=query_cuts)
            mask = None if excluded is None else sp.csr_matrix(excluded[rows])
            ids[rows], scores[rows] = exact_search(queries, labels, k, exclude=mask, offsets=offsets)
            bar.update(len(queries))
    label_cuts.warn("labels")
    query_cuts.warn("queries")
    return ids, scores
