"""What a fit ranks with beside its model, and the reasons, by the held-out rows of the recipe it chose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.data import Dataset, inverse_propensity
from xmc.errors import DataError
from xmc.evaluation import Evaluation
from xmc.evaluation.weights import measure_by
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
    held_out: HeldOut, dataset: Dataset, query_texts: Sequence[str], label_texts: Sequence[str], metric: str
) -> ChosenEnsemble:
    """The vote by ``metric``, and the words by recall, where neither lowers P@1 on the held-out rows."""
    return choose_ensemble(
        dataset,
        held_out.rows,
        held_out.lists,
        held_out.near,
        held_out.voters,
        query_texts,
        metric=metric,
        lexical=LexicalRanker(label_texts),
        lexical_metric=LEXICAL_METRIC,
        near_seconds=held_out.near_seconds,
        apart=held_out.apart,
    )


def ensemble_choices(chosen: ChosenEnsemble | None, metric: str) -> list[Choice]:
    """The choices with their reasons; ``chosen`` is None where no held-out rows were ranked here."""
    if chosen is None:
        reason = "no trial ranked held-out rows for it"
        return [Choice(f"{INDEX}vote", None, reason), Choice(f"{INDEX}lexical", 0.0, reason)]
    stages = {stage.name: stage.metrics for stage in chosen.stages}
    labels = stages["labels"]
    voted = stages.get("with vote", labels)
    vote, lexical = chosen.options.vote, chosen.options.lexical
    told = (
        f"held-out rows: {metric} {voted[metric]:.2f}, {labels[metric]:.2f} without; P@1 {voted['P@1']:.2f}"
    )
    none = f"held-out rows: no vote of training queries raises {metric} beyond chance and keeps P@1"
    words = stages.get("with words", voted)
    raised = (
        f"held-out rows: {LEXICAL_METRIC} {words[LEXICAL_METRIC]:.2f}, {voted[LEXICAL_METRIC]:.2f} without; "
        f"{metric} {words[metric]:.2f}, P@1 {words['P@1']:.2f}"
    )
    kept = f"held-out rows: no share raises {LEXICAL_METRIC} beyond chance and keeps {metric} and P@1"
    return [
        Choice(f"{INDEX}vote", None if vote is None else asdict(vote), none if vote is None else told),
        Choice(f"{INDEX}lexical", lexical, raised if lexical else kept),
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
    vote, lexical = values.get(f"{INDEX}vote"), values.get(f"{INDEX}lexical", 0.0)
    if not isinstance(lexical, (int, float)):
        raise DataError(f"the choices of xmc fit: expected a number for {INDEX}lexical, got {lexical!r:.80}")
    with reading("the choices of xmc fit", f"a weight and a temperature for {INDEX}vote"):
        return EnsembleOptions(None if vote is None else from_plain(VoteOptions, vote), float(lexical))
