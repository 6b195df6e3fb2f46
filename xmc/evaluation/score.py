"""Measures the predictions of any system on a data set: the same ruler for all."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.data import Dataset, Propensity
from xmc.evaluation.evaluating import (
    check_all_cuts,
    novel_totals,
    open_split,
    propensity_source,
    propensity_weights,
)
from xmc.evaluation.hits import check_ranking, find_hits
from xmc.evaluation.readers import ListBlock, Target, read_predictions
from xmc.evaluation.result import Evaluation
from xmc.evaluation.short_lists import short_lists, warn_of_short_lists
from xmc.evaluation.totals import MetricTotals, walk_hits
from xmc.files import sha256_file

__all__ = ["GivenLists", "given_lists", "load_lists", "load_ranking", "score_predictions"]


def score_predictions(
    predictions: str | Path,
    dataset: Dataset | str | Path,
    *,
    split: Literal["train", "test"] = "test",
    format: str = "auto",
    ks: Sequence[int] = (1, 3, 5),
    recall_ks: Sequence[int] = (10, 100),
    propensity: Propensity | None = None,
    named: str | None = None,
    quiet: bool = False,
) -> Evaluation:
    """Measure a file of predictions, block by block, with the metrics of `evaluate`.

    Filtered pairs are removed before the cut. A query that is not in the file has no predictions: it counts
    as wrong. Ties: score descending, then label id ascending. Unseen labels are not ranked alone, as a list
    has but the first of all.

    Args:
        predictions: npz (ids and scores), CSR npz, TREC run or JSON Lines (see `xmc.evaluation.readers`).
        dataset: A prepared data set, or its folder.
        split: Whose queries they are for.
        format: "auto", or "npz", "csr", "trec", "jsonl".
        ks: Cut-offs of P, nDCG, PSP and PSnDCG.
        recall_ks: Cut-offs of the other metrics.
        propensity: Constants A and B; default the data set's.
        named: What a message calls the predictions; by default their file.
        quiet: Log nothing of lists that end before a cut-off; the result counts them all the same.

    Raises:
        ConfigError: When a cut-off is below 1 or the format unknown.
        DataError: For bad input; the text names file, place, what was expected and what came.
    """
    check_all_cuts(ks, recall_ks)
    started, depth = time.perf_counter(), max(*ks, *recall_ks)
    dataset = open_split(dataset, split)
    constants = propensity or dataset.propensity
    weights, kinds = propensity_weights(dataset, constants)
    totals = MetricTotals(dataset.num_labels, weights, ks=ks, recall_ks=recall_ks, kinds=kinds)
    novel = novel_totals(dataset, weights, ks, recall_ks)
    truth, target = dataset.relevance(split), Target(dataset, split, depth)
    lengths = np.zeros(target.num_rows, dtype=np.int64)
    for block in _complete(read_predictions(predictions, target, format), target.num_rows):
        lengths[block.rows] = (block.ids >= 0).sum(axis=1)
        ids = _filtered(block, target)[0]
        walk_hits(sp.csr_matrix(truth[block.rows]), ids, totals.add, place=block.place)
        if novel is not None:
            novel.add(sp.csr_matrix(truth[block.rows]), ids, None)
    room = target.num_labels - target.num_excluded
    short = short_lists(lengths, room, depth)
    if not quiet:
        warn_of_short_lists(named or str(predictions), lengths, room, (*ks, *recall_ks))
    return Evaluation(
        metrics=totals.metrics(),
        dataset=dataset.name,
        dataset_fingerprint=dataset.fingerprint,
        split=split,
        num_queries=target.num_rows,
        num_labels=target.num_labels,
        filtered_pairs=0 if target.excluded is None else int(target.excluded.nnz),
        depth=depth,
        propensity={"a": constants.a, "b": constants.b},
        propensity_source=propensity_source(dataset, propensity),
        ceiling=dataset.ceiling if split == "test" else {},
        model=f"{Path(predictions).name}, sha256 {sha256_file(predictions)[:16]}",
        offsets=False,
        seconds=round(time.perf_counter() - started, 3),
        short_rows=short,
        novel=None if novel is None else novel.result(),
    )


def load_ranking(
    predictions: str | Path,
    dataset: Dataset | str | Path,
    *,
    split: Literal["train", "test"] = "test",
    depth: int = 100,
    format: str = "auto",
) -> NDArray[np.int32]:
    """Predictions in any format as label ids [N, depth], best first, -1 pads, filtered pairs removed.

    Raises:
        DataError: As `score_predictions`.
    """
    return load_lists(predictions, dataset, split=split, depth=depth, format=format)[0]


def load_lists(
    predictions: str | Path,
    dataset: Dataset | str | Path,
    *,
    split: Literal["train", "test"] = "test",
    depth: int = 100,
    format: str = "auto",
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """As `load_ranking`, with the scores: both [N, depth], -1 and -inf at the end.

    Raises:
        DataError: As `score_predictions`.
    """
    lists = given_lists(predictions, dataset, split=split, depth=depth, format=format)
    return lists.ids, lists.scores


class GivenLists(NamedTuple):
    """Predictions of N queries."""

    ids: NDArray[np.int32]
    """[N, depth] label ids, best first, -1 pads, filtered pairs removed."""
    scores: NDArray[np.float32]
    """[N, depth], -inf at pads."""
    lengths: NDArray[np.int64]
    """[N], labels of each list as it was given, filtered pairs and those behind the cut included."""


def given_lists(
    predictions: str | Path,
    dataset: Dataset | str | Path,
    *,
    split: Literal["train", "test"] = "test",
    depth: int = 100,
    format: str = "auto",
) -> GivenLists:
    """As `load_lists`, with the lists' lengths.

    Raises:
        DataError: As `score_predictions`.
    """
    dataset = open_split(dataset, split)
    target = Target(dataset, split, depth)
    ranking = np.full((target.num_rows, depth), -1, dtype=np.int32)
    all_scores = np.full((target.num_rows, depth), -np.inf, dtype=np.float32)
    lengths = np.zeros(target.num_rows, dtype=np.int64)
    for block in read_predictions(predictions, target, format):
        lengths[block.rows] = (block.ids >= 0).sum(axis=1)
        ids, scores = _filtered(block, target)
        ranking[block.rows, : ids.shape[1]] = ids
        all_scores[block.rows, : ids.shape[1]] = np.where(ids < 0, -np.inf, scores)
    return GivenLists(ranking, all_scores, lengths)


def _complete(blocks: Iterator[ListBlock], num_rows: int) -> Iterator[ListBlock]:
    """The blocks, and at the end empty lists for the rows that were in none."""
    missing = np.ones(num_rows, dtype=bool)
    for block in blocks:
        missing[block.rows] = False
        yield block
    rows = np.flatnonzero(missing)
    if len(rows):
        none = np.empty((len(rows), 0))
        yield ListBlock(rows, none.astype(np.int64), none, str)


def _filtered(block: ListBlock, target: Target) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
    """The lists without filtered pairs, cut at the depth.

    Raises:
        DataError: When a list is malformed, behind the cut too.
    """
    ids, scores = block.ids, block.scores
    if target.excluded is None:
        check_ranking(ids, len(block.rows), target.num_labels, block.place)
        return ids[:, : target.depth], scores[:, : target.depth]
    found = find_hits(sp.csr_matrix(target.excluded[block.rows]), ids, place=block.place)
    if len(found.rows):
        ids, scores = ids.copy(), scores.copy()
        ids[found.rows, found.ranks] = -1
        changed = np.unique(found.rows)
        last = np.argsort(ids[changed] < 0, axis=1, kind="stable")
        ids[changed] = np.take_along_axis(ids[changed], last, axis=1)
        scores[changed] = np.take_along_axis(scores[changed], last, axis=1)
    return ids[:, : target.depth], scores[:, : target.depth]
