"""What a fit ranks with beside its model, and the reasons, by the held-out rows of the recipe it chose."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.data import Dataset, inverse_propensity
from xmc.errors import DataError
from xmc.evaluation import Evaluation
from xmc.evaluation.weights import measure_by
from xmc.prediction.classifying import TrainingWords
from xmc.prediction.ensembling import ChosenEnsemble, choose_ensemble
from xmc.prediction.ranked_rows import excluded_rows
from xmc.received import reading
from xmc.retrieval import LexicalRanker
from xmc.retrieval.ensemble_options import EnsembleOptions, VoteOptions
from xmc.retrieval.fusion import Lists
from xmc.tuning.choice import Choice
from xmc.tuning.held_out import HeldOut
from xmc.typed import from_plain

__all__ = [
    "INDEX",
    "chosen_ensemble",
    "ensemble_choices",
    "ensemble_of",
    "of_rows",
    "of_recipe",
]

INDEX = "index."
"""What choices of the index begin with, which are no options of a recipe."""

LEXICAL_METRIC = "R@100"


def of_recipe(choices: Sequence[Choice]) -> list[Choice]:
    """The choices that are options of a recipe."""
    return [choice for choice in choices if not choice.option.startswith(INDEX)]


def chosen_ensemble(
    held_out: HeldOut, words: TrainingWords, lexical: LexicalRanker, metric: str, seconds: float
) -> ChosenEnsemble:
    """Classifiers, the vote and words by ``metric``, words else by recall, where none lowers P@1.

    All by the held-out rows. Classifiers are learned of each fold's other rows, of as many folds as
    ``seconds`` has time for.
    """
    texts = words.texts[held_out.rows]
    said, said_seconds = _said(held_out, words, texts, seconds)
    return choose_ensemble(
        words.dataset,
        held_out.rows,
        held_out.lists,
        held_out.near,
        held_out.voters,
        texts,
        metric=metric,
        lexical=lexical,
        lexical_metric=LEXICAL_METRIC,
        near_seconds=held_out.near_seconds,
        apart=held_out.apart,
        said=said,
        said_seconds=said_seconds,
    )


def _said(
    held_out: HeldOut, words: TrainingWords, texts: Sequence[str], seconds: float
) -> tuple[NDArray[np.float32] | None, float]:
    """What the folds' own classifiers say of the lists [V, 100], None without time for it; and how long."""
    until, ids = time.perf_counter() + seconds, held_out.lists[0]
    said = np.full(ids.shape, np.nan, dtype=np.float32)
    start, took = 0, 0.0
    for count, learned in held_out.learned:
        left = until - time.perf_counter()
        own = None
        if words.expected_seconds <= left:
            own = words.classifiers(learned.rows, learned.confused, seconds=left)
        if own is None:
            break
        part, start = slice(start, start + count), start + count
        started = time.perf_counter()
        said[part] = own.scores(texts[part], ids[part])
        took += time.perf_counter() - started
    return (said if start else None), took


def ensemble_choices(chosen: ChosenEnsemble | None, metric: str) -> list[Choice]:
    """The choices with their reasons; ``chosen`` is None where no held-out rows were ranked here."""
    if chosen is None:
        reason = "no trial ranked held-out rows for it"
        off: dict[str, float | None] = {"classifiers": 0.0, "vote": None, "lexical": 0.0}
        return [Choice(f"{INDEX}{name}", value, reason) for name, value in off.items()]
    shown = tuple(dict.fromkeys((metric, "P@1", LEXICAL_METRIC)))
    gains = {
        after.name: "held-out rows: "
        + ", ".join(f"{name} {before.metrics[name]:.2f} to {after.metrics[name]:.2f}" for name in shown)
        for before, after in pairwise(chosen.stages)
    }
    options = chosen.options
    keeping = "P@1" if metric == "P@1" else f"{metric} and P@1"
    either = f"{metric} or {LEXICAL_METRIC}"
    kept = f"held-out rows: none raises {metric} beyond chance"
    if metric != "P@1":
        kept += " and keeps P@1"
    return [
        Choice(
            f"{INDEX}classifiers",
            options.classifiers,
            gains.get("classified", kept if chosen.judged else "the budget has no time to learn them"),
        ),
        Choice(
            f"{INDEX}vote",
            None if options.vote is None else asdict(options.vote),
            gains.get("with vote", kept),
        ),
        Choice(
            f"{INDEX}lexical",
            options.lexical,
            gains.get(
                "with words",
                f"held-out rows: no share raises {either} beyond chance and keeps {keeping}",
            ),
        ),
    ]


def of_rows(
    whole: Evaluation, dataset: Dataset, rows: NDArray[np.int64], lists: Lists, names: Sequence[str]
) -> Evaluation:
    """These metrics of lists [n, 100] of some test rows, as part of an evaluation of all."""
    constants = dataset.propensity
    weights = inverse_propensity(dataset.relevance("train"), constants.a, constants.b)
    measure = measure_by(sp.csr_matrix(dataset.relevance("test")[rows]), weights, names)
    excluded = excluded_rows(dataset, "test", rows)
    return replace(
        whole,
        metrics=dict(measure(lists[0])),
        num_queries=len(rows),
        filtered_pairs=0 if excluded is None else int(excluded.nnz),
        short_rows=int((lists[0] < 0).any(axis=1).sum()),
        ceiling={},
        novel=None,
    )


def ensemble_of(choices: Sequence[Choice]) -> EnsembleOptions:
    """What choices, perhaps read from a file, say of the index; a fit of before there was any has none.

    Raises:
        DataError: When they are not what :func:`ensemble_choices` made.
    """
    values = {choice.option: choice.value for choice in choices}
    shares: list[float] = []
    for name in (f"{INDEX}lexical", f"{INDEX}classifiers"):
        share = values.get(name, 0.0)
        if not isinstance(share, (int, float)):
            raise DataError(f"the choices of xmc fit: expected a number for {name}, got {share!r:.80}")
        shares.append(float(share))
    vote = values.get(f"{INDEX}vote")
    with reading("the choices of xmc fit", f"a weight and a temperature for {INDEX}vote"):
        return EnsembleOptions(None if vote is None else from_plain(VoteOptions, vote), *shares)
