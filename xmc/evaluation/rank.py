"""Ranks a data set's labels for its queries with a model: encode, search, a block of queries at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from xmc.data import Dataset
from xmc.distributed import World
from xmc.encoders import CutCount, DualEncoder
from xmc.encoders.prefixes import cut
from xmc.progress import Bar
from xmc.retrieval import Ranker
from xmc.retrieval.folding import Fold
from xmc.retrieval.index_labels import kept_vectors

__all__ = ["RankedBlock", "rank_labels", "ranked_blocks"]

_BLOCK_ROWS = 16_384


@dataclass(frozen=True)
class RankedBlock:
    """The ranking of some consecutive queries.

    Attributes:
        start, stop: The rows ranked by all ranks together.
        rows: Those of this rank (:meth:`xmc.distributed.World.shard` of the block).
        ids: int32 [n, k], the label ids of this rank's rows, best first, -1 pads.
        scores: float32 [n, k].
        among: int32 [n, k], the ids of a ranking of some labels alone, where that was asked for.
        shorter: int32 [n, k], the ids of rankings by the first components alone, by how many.
    """

    start: int
    stop: int
    rows: slice
    ids: NDArray[np.int32]
    scores: NDArray[np.float32]
    among: NDArray[np.int32] | None = None
    shorter: dict[int, NDArray[np.int32]] = field(default_factory=dict)


def rank_labels(
    model: DualEncoder, dataset: Dataset, split: Literal["train", "test"], k: int, *, progress: bool = True
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Label ids and scores, both [N, k], of the k best labels of each query of a split, in this process.

    Filtered pairs are left out; texts that are longer than the model reads are counted in the log. Queries
    are encoded and ranked 16,384 at a time; the label embeddings [L, D] are held on the model's device.
    """
    num_rows = dataset.relevance(split).shape[0]
    ids = np.empty((num_rows, k), dtype=np.int32)
    scores = np.empty((num_rows, k), dtype=np.float32)
    for block in ranked_blocks(model, dataset, split, k, World(), progress=progress):
        ids[block.rows], scores[block.rows] = block.ids, block.scores
    return ids, scores


def ranked_blocks(
    model: DualEncoder,
    dataset: Dataset,
    split: Literal["train", "test"],
    k: int,
    world: World,
    *,
    among: NDArray[np.bool_] | None = None,
    dimensions: Sequence[int] = (),
    progress: bool = True,
    tell_cuts: bool = True,
) -> Iterator[RankedBlock]:
    """Rank 16,384 queries at a time over the ranks of ``world``, which all call this together.

    Each rank encodes its shard of the labels once and its share of each block's queries. A block needs one
    all-gather of 16,384 x D numbers and one all-to-all of lists; nothing of all queries or all labels is
    gathered anywhere. ``among`` [L] are labels that are also ranked alone, by a second search of the same
    embeddings; ``dimensions`` are those that the labels are also ranked by, the embeddings cut to them; with
    ``tell_cuts`` the log says how many texts are longer than the model reads.
    """
    label_cuts, query_cuts = CutCount(), CutCount()
    labels, fold = _own_labels(model, dataset, world, label_cuts, progress)
    query_normalised, label_normalised = model.normalised if dimensions else (True, True)
    own_labels = {d: _cut(labels, d, label_normalised) for d in dimensions}
    ranker = Ranker.of_model(model, dataset.uids("labels"))
    texts = model.query_texts(dataset, split)
    excluded = dataset.filter(split)
    with Bar(len(texts), "ranking", "query", shown=progress) as bar:
        for start in range(0, len(texts), _BLOCK_ROWS):
            stop = min(start + _BLOCK_ROWS, len(texts))
            own = slice(*(start + bound for bound in world.shard(stop - start)))
            queries = _encoded(model, texts[own], query_cuts)
            search = partial(
                Ranker.search,
                k=k,
                num_queries=stop - start,
                num_labels=dataset.num_labels,
                world=world,
                exclude=None if excluded is None else sp.csr_matrix(excluded[start:stop]),
                fold=fold,
            )
            ids, scores = search(ranker, queries, labels)
            alone = None if among is None else search(ranker.only(among), queries, labels)[0]
            by_prefix = {
                d: search(ranker, cut(queries, d, normalised=query_normalised), own_labels[d])[0]
                for d in dimensions
            }
            yield RankedBlock(start, stop, own, ids, scores, alone, by_prefix)
            bar.update(stop - start)
    if tell_cuts:
        label_cuts.warn("labels")
        query_cuts.warn("queries")


def _own_labels(
    model: DualEncoder, dataset: Dataset, world: World, cuts: CutCount, progress: bool
) -> tuple[NDArray[np.float32] | torch.Tensor, Fold | None]:
    """This rank's shard of the label embeddings, on the model's device; with a fold those of all texts."""
    own = slice(*world.shard(dataset.num_labels))
    texts: Sequence[str] = model.label_texts(dataset)
    uids: Sequence[str] = dataset.uids("labels")
    if world.size > 1:
        texts, uids = texts[own], uids[own]
    labels: Any = np.zeros((0, model.dimension), dtype=np.float32)
    fold = None
    kept = kept_vectors(model, dataset)
    if kept is not None:
        labels = model.with_residuals(np.array(kept[own]), uids)
    elif model.has_several_texts:
        bounds = np.zeros(1, dtype=np.int64)
        if own.stop > own.start:
            labels, bounds = model.encode_label_texts(texts, progress=progress, cuts=cuts, uids=uids)
        fold = Fold(bounds, model.metadata.label_fold)
    elif own.stop > own.start:
        labels = model.encode_labels(texts, progress=progress, cuts=cuts, uids=uids)
    device = next(iter(model.parameters())).device
    return (labels if device.type == "cpu" else torch.from_numpy(labels).to(device)), fold


def _cut(
    labels: NDArray[np.float32] | torch.Tensor, dimension: int, normalised: bool
) -> NDArray[np.float32] | torch.Tensor:
    if isinstance(labels, np.ndarray):
        return cut(labels, dimension, normalised=normalised)
    return torch.from_numpy(cut(labels.cpu().numpy(), dimension, normalised=normalised)).to(labels.device)


def _encoded(model: DualEncoder, texts: Sequence[str], cuts: CutCount) -> NDArray[np.float32]:
    if not len(texts):
        return np.zeros((0, model.dimension), dtype=np.float32)
    return model.encode_queries(texts, cuts=cuts)
