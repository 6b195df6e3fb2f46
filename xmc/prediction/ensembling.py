"""Chooses what ranks beside a model's scores, by rows that neither it nor its classifiers were trained on."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.data import Dataset, inverse_propensity, labelled_rows
from xmc.data.sparse_rows import SparseRows
from xmc.durations import duration
from xmc.encoders import DualEncoder
from xmc.errors import DataError
from xmc.evaluation.hits import all_hits
from xmc.evaluation.mildest import Tried, mildest
from xmc.evaluation.vote_choice import choose_vote
from xmc.evaluation.weights import SHARES, Measure, check_metric, measure_by
from xmc.prediction.calibrating import fit_calibration
from xmc.prediction.calibration import Calibration
from xmc.prediction.classifying import TrainingWords, confused_labels
from xmc.prediction.encoded import EncodedData
from xmc.prediction.held_out import held_out_rows
from xmc.prediction.ranked_rows import excluded_rows
from xmc.retrieval import LexicalRanker
from xmc.retrieval.ensemble import Ensemble
from xmc.retrieval.ensemble_options import EnsembleOptions
from xmc.retrieval.evidence import EVIDENCE, gather_evidence
from xmc.retrieval.fusion import Lists, weighted_fusion
from xmc.retrieval.vote import DEPTH, QueryVotes, voted
from xmc.retrieval.words.classifiers import WordClassifiers, with_classifiers

__all__ = [
    "Beside",
    "ChosenEnsemble",
    "Stage",
    "choose_ensemble",
    "choose_for_run",
    "query_votes",
    "rank_test",
    "rows_to_choose_on",
]

_log = logging.getLogger(__name__)

MOST = 0.5
"""Share of the lexical ranker at most, and of classifiers: they help a model, and do not replace it."""

LEAST_ROWS = 1_000
"""Test rows that an ensemble is measured on at least, however long that takes."""

SHOWN = ("P@1", "P@5", "nDCG@5", "PSP@1", "PSP@5", "R@100")


@dataclass(frozen=True)
class Stage:
    """A ranking of the held-out rows on the way: of the labels' scores, then with what was added."""

    name: str
    metrics: Mapping[str, float]
    seconds: float
    """That what was added takes for all rows."""


@dataclass(frozen=True)
class Beside:
    """What an index ranks with beside its vectors, ready to be added (`LabelIndex.add_ensemble`)."""

    options: EnsembleOptions
    votes: QueryVotes | None
    classifiers: WordClassifiers | None


@dataclass(frozen=True)
class ChosenEnsemble:
    """What was chosen, and the stages that it went through."""

    options: EnsembleOptions
    stages: tuple[Stage, ...]
    rows: NDArray[np.int64]
    """The held-out training rows, [V]."""
    lists: Lists
    """Of these rows by what was chosen, [V, 100]."""
    evidence: NDArray[np.float64] | None = None
    """What speaks for them, [V, 100, 5]; see `xmc.retrieval.evidence`."""
    judged: bool = True
    """Whether classifiers were tried."""

    @property
    def num_rows(self) -> int:
        """V."""
        return len(self.rows)

    def calibration(self, dataset: Dataset, fingerprint: str) -> Calibration | None:
        """What these rows say of the scores of an index that ranks so; None where they say nothing.

        Args:
            dataset: Whose rows they are.
            fingerprint: Of the index's model.
        """
        depth = min(DEPTH, dataset.num_labels)
        heard = slice(0, self.num_rows)
        if self.evidence is not None and self.options.classifiers:
            # Folds come in order, and the last may have had no time to learn classifiers, whose silence says
            # nothing: what follows the last row of which they say something is left out.
            said = (self.evidence[:, :, EVIDENCE.index("said")] != 0).any(axis=1)
            heard = slice(0, int(np.flatnonzero(said).max(initial=-1)) + 1)
        ids, scores = self.lists[0][heard, :depth], self.lists[1][heard, :depth]
        truth = sp.csr_matrix(dataset.relevance("train")[self.rows[heard]])
        told = f"{len(ids):,} held-out rows of {dataset.name}, ranked with {self.options}"
        try:
            return fit_calibration(
                all_hits(truth, ids),
                ids,
                scores,
                model_fingerprint=fingerprint,
                num_labels=dataset.num_labels,
                rows=told,
                evidence=None if self.evidence is None else self.evidence[heard, :depth],
            )
        except DataError:
            return None

    def table(self) -> str:
        """A line a stage: metrics in percent, and queries a second of what it adds."""
        lines = [
            f"on {self.num_rows:,} held-out training rows, percent",
            f"{'':<12}" + "".join(f"{name:>9}" for name in SHOWN) + f"{'queries/s':>12}",
        ]
        for stage in self.stages:
            speed = f"{self.num_rows / stage.seconds:>12,.0f}" if stage.seconds else f"{'':>12}"
            values = "".join(f"{stage.metrics[name]:>9.2f}" for name in SHOWN)
            lines.append(f"{stage.name:<12}{values}{speed}".rstrip())
        return "\n".join(lines)


def query_votes(encoded: EncodedData) -> tuple[QueryVotes, NDArray[np.int64]]:
    """The training queries with labels, which stay encoded; and their rows, int64 [M]."""
    relevance = encoded.dataset.relevance("train")
    rows = labelled_rows(relevance)
    vectors = encoded.queries("train", rows, keep=True)
    return QueryVotes(vectors, sp.csr_matrix(relevance[rows])), rows


def choose_ensemble(
    dataset: Dataset,
    rows: NDArray[np.int64],
    lists: Lists,
    near: Lists | None,
    voters: NDArray[np.int64],
    texts: Sequence[str],
    *,
    metric: str = "nDCG@5",
    keep: Sequence[str] = ("P@1",),
    lexical: LexicalRanker | None = None,
    lexical_metric: str = "R@100",
    near_seconds: float = 0.0,
    apart: sp.csr_matrix | None = None,
    said: NDArray[np.floating] | None = None,
    said_seconds: float = 0.0,
) -> ChosenEnsemble:
    """Classifiers, the vote and words that raise ``metric``, else words that raise recall; each may be 0.

    One after the other, each beside what those before it have come to. Classifiers are the first: what a vote
    makes of scores, shares of a softmax, would leave them little to say. Of several as good the mildest is
    taken, which may be nothing (`xmc.evaluation.mildest`). Nothing is added that lowers a metric of ``keep``
    on these rows; words must lower neither ``metric`` nor ``lexical_metric``.

    Args:
        dataset: The data set.
        rows: Training rows that the model has not learned, [V]; one may come several times.
        lists: The model's lists for them, [V, 100].
        near: Their nearest training queries, [V, 100], themselves left out; None to try no vote.
        voters: The training rows that the queries of ``near`` are, [M].
        texts: Of the V rows.
        metric: What all are chosen by.
        keep: Metrics that must not fall.
        lexical: Of the labels' texts; None to try no words.
        lexical_metric: What words are chosen by where no share of them raises ``metric``: the tail of a list.
        near_seconds: What finding ``near`` took, for the table.
        apart: [V, L], pairs that are neither right nor wrong; the model's lists are without them.
        said: What classifiers that have not learned the rows say of ``lists``, [V, 100], NaN where they say
            nothing; None to try none.
        said_seconds: What they took for it, for the table.
    """
    relevance, constants = dataset.relevance("train"), dataset.propensity
    names = list(dict.fromkeys((*SHOWN, metric, lexical_metric, *keep)))
    weights = inverse_propensity(relevance, constants.a, constants.b)
    truth, excluded = sp.csr_matrix(relevance[rows]), excluded_rows(dataset, "train", rows)
    if apart is not None:
        truth = SparseRows.of(truth).without(SparseRows.of(apart)).scipy()
        excluded = apart if excluded is None else sp.csr_matrix(excluded.astype(bool) + apart.astype(bool))
    measure = measure_by(truth, weights, names, rows)
    current: Lists = (lists[0].astype(np.int64), lists[1])
    stages, vote, judged = [Stage("labels", measure(current[0]), 0.0)], None, 0.0
    if said is not None:

        def with_judged(share: float) -> Lists:
            return with_classifiers(lists, said, share, DEPTH)

        judged, found = _share(current, with_judged, stages[-1].metrics, measure, keep, metric)
        if judged:
            current = with_judged(judged)
            stages.append(Stage("classified", found, said_seconds))
    if near is not None:
        labels_of = sp.csr_matrix(relevance[voters])
        chosen = choose_vote(current, near, labels_of, measure, metric, keep=keep, exclude=excluded)
        vote = chosen.options
        if vote is not None:
            started = time.perf_counter()
            current = voted(current, near, labels_of, vote, DEPTH, exclude=excluded)
            seconds = near_seconds + time.perf_counter() - started
            stages.append(Stage("with vote", chosen.metrics, seconds))
    share = 0.0
    if lexical is not None:
        started = time.perf_counter()
        words = lexical.rank(texts, DEPTH, excluded)
        seconds = time.perf_counter() - started
        before = stages[-1].metrics
        before_words = current

        def with_words(share: float) -> Lists:
            return weighted_fusion([before_words, words], [1 - share, share], DEPTH)

        share, found = _share(current, with_words, before, measure, (*keep, lexical_metric), metric)
        if not share:
            share, found = _share(current, with_words, before, measure, (*keep, metric), lexical_metric)
        if share:
            current = with_words(share)
            stages.append(Stage("with words", found, seconds))
    evidence = gather_evidence(lists, said if judged else None, current)
    options = EnsembleOptions(vote, share, judged)
    return ChosenEnsemble(options, tuple(stages), rows, current, evidence, said is not None)


def _share(
    current: Lists,
    changed: Callable[[float], Lists],
    before: Mapping[str, float],
    measure: Measure,
    keep: Sequence[str],
    metric: str,
) -> tuple[float, Mapping[str, float]]:
    """The smallest share as good as the one that raises ``metric`` most, and what it comes to."""
    tried = [Tried(0.0, before, measure.rows(current[0], metric), 0.0)]
    for share in SHARES:
        if share > MOST:
            break
        ids = changed(share)[0]
        found = measure(ids)
        if all(found[name] >= before[name] for name in keep) and found[metric] > before[metric]:
            tried.append(Tried(share, found, measure.rows(ids, metric), share))
    chosen = mildest(tried, measure.same)
    return chosen.options, chosen.metrics


def rows_to_choose_on(
    run: str | Path, dataset: Dataset | str | Path, *, metric: str = "nDCG@5"
) -> NDArray[np.int64]:
    """The held-out rows that `choose_for_run` goes by, int64 [V]: a check that takes no time.

    Raises:
        ConfigError: When the metric is none, it is no run, it held no rows out, or ``dataset`` is not the
            data set that it was trained on.
        DataError: When there is no data set.
        ModelError: When it has no model.
    """
    check_metric("metric", metric, DEPTH)
    opened = dataset if isinstance(dataset, Dataset) else Dataset.load(dataset)
    fit = Path(run).absolute().parent
    mend = "train it with validation.rows on this data set, or leave --ensemble out"
    if (fit / "choices.json").is_file() and (fit / "index").is_dir():
        mend = f"{fit / 'index'} is the index of the fit that made the run, and has its choice already"
    return held_out_rows(run, opened, mend=mend)


def choose_for_run(
    run: str | Path,
    dataset: Dataset | str | Path,
    *,
    metric: str = "nDCG@5",
    dimensions: int | None = None,
    classifier_seconds: float = 600.0,
    progress: bool = True,
) -> tuple[ChosenEnsemble, Beside]:
    """What to rank with beside a run's model, by the rows that the run held out; and that itself.

    Args:
        run: A run's folder.
        dataset: That it was trained on.
        metric: What classifiers and vote are chosen by.
        dimensions: Components of the model's vectors that are kept; None for all.
        classifier_seconds: What learning classifiers may take, which is done twice: of the rows that were not
            held out, to be judged, and of all, to be kept. Where it would take longer there are none.
        progress: Show bars.

    Raises:
        ConfigError: As `rows_to_choose_on`.
        ModelError: When it has no model.
    """
    opened = dataset if isinstance(dataset, Dataset) else Dataset.load(dataset)
    rows = rows_to_choose_on(run, opened, metric=metric)
    encoder = DualEncoder.load(run)
    if dimensions is not None and dimensions != encoder.dimension:
        encoder = encoder.truncated(dimensions)
    encoded = EncodedData(encoder, opened, progress=progress)
    votes, voters = query_votes(encoded)
    own = np.searchsorted(voters, rows)
    started = time.perf_counter()
    near = votes.nearest(votes.vectors[own], own=own)
    seconds = time.perf_counter() - started
    texts = encoder.query_texts(opened, "train")[rows]
    lists = encoded.ranked("train", rows, DEPTH)
    lexical = LexicalRanker(encoder.label_texts(opened))
    words = TrainingWords(opened, encoder.query_texts(opened, "train"))
    judges, confused = None, np.empty((0, 0), dtype=np.int64)
    if words.expected_seconds <= classifier_seconds:
        confused = confused_labels(encoded, voters)
        others = np.flatnonzero(~np.isin(voters, rows))
        judges = words.classifiers(
            voters[others], confused[others], seconds=classifier_seconds, progress=progress
        )
    if judges is None:
        _log.warning(
            "classifiers of words are left out: learning them would take more than %s",
            duration(classifier_seconds),
        )
    started = time.perf_counter()
    said = None if judges is None else judges.scores(texts, lists[0])
    chosen = choose_ensemble(
        opened,
        rows,
        lists,
        near,
        voters,
        texts,
        metric=metric,
        lexical=lexical,
        near_seconds=seconds,
        said=said,
        said_seconds=time.perf_counter() - started,
    )
    kept = words.classifiers(voters, confused, progress=progress) if chosen.options.classifiers else None
    return chosen, Beside(chosen.options, votes if chosen.options.vote is not None else None, kept)


def rank_test(
    encoded: EncodedData, ensemble: Ensemble, *, seconds: float = math.inf
) -> tuple[NDArray[np.int64], Lists, Lists]:
    """Rank the test rows by the model alone and by the ensemble, filtered pairs left out.

    Args:
        encoded: The data set, by the model.
        ensemble: What ranks beside the model.
        seconds: What the ensemble may take; where all rows take longer, by the time of the first 1,000, so
            many evenly spaced ones are ranked as fit, and at least 1,000.

    Returns:
        The rows [n], ascending, and for them the lists of the model and of the ensemble, [n, 100] each.
    """
    dataset = encoded.dataset
    texts, every = encoded.encoder.query_texts(dataset, "test"), np.arange(dataset.num_test)
    vectors = encoded.queries("test", every, keep=True)
    ids, scores = encoded.ranked("test", every, DEPTH)

    def together(rows: NDArray[np.int64]) -> Lists:
        own, exclude = (ids[rows], scores[rows]), excluded_rows(dataset, "test", rows)
        return ensemble.rank(own, vectors[rows], texts[rows], DEPTH, exclude=exclude)[:2]

    rows = every
    if math.isfinite(seconds) and len(every) > LEAST_ROWS:
        started = time.perf_counter()
        together(_spaced(len(every), LEAST_ROWS))
        most = int(LEAST_ROWS * seconds / (time.perf_counter() - started))
        rows = _spaced(len(every), max(most, LEAST_ROWS))
    return rows, (ids[rows], scores[rows]), together(rows)


def _spaced(total: int, count: int) -> NDArray[np.int64]:
    """So many numbers below ``total``, ascending and evenly spaced; all where that is no more."""
    return np.linspace(0, total - 1, min(total, count)).astype(np.int64)
