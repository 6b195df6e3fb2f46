"""One candidate tried: trained on a part of the training rows and measured on the rest, leaving nothing."""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.data import Dataset, labelled_rows
from xmc.encoders import DualEncoder
from xmc.errors import NonFiniteError
from xmc.prediction.calibration import Calibration
from xmc.prediction.classifying import confused_where
from xmc.retrieval.vote import QueryVotes
from xmc.training import TrainConfig, Trainer
from xmc.training.batches.label_queries import StepWorks
from xmc.training.batches.tokens import TrainingTexts
from xmc.training.config import DataConfig
from xmc.training.step import StepInputs, optimise
from xmc.training.validation import Validator
from xmc.tuning.held_out import HeldOut, Learned
from xmc.tuning.journal import DIVERGED, OUT_OF_TIME

__all__ = [
    "LABEL_QUERIES",
    "EncoderCache",
    "Pace",
    "TrialResult",
    "run_trial",
    "typical",
    "without_label_queries",
]

WARM_UP = 5

LABEL_QUERIES = ("label_queries", "label_query_weight", "label_query_until", "co_labels", "co_label_prior")
"""Options of labels as queries."""


@dataclass(frozen=True)
class TrialResult:
    """What a trial came to.

    Attributes:
        metrics: In percent on the held-out rows; None where there are none, and when the trial was stopped or
            its training diverged.
        seconds: Of all of it.
        num_steps: Taken.
        step_seconds: Of a step of the whole run, the first few left out where there are more.
        calibration: What the held-out rows say of the scores; None where there are no metrics.
        held_out: Their rankings, where they were asked for.
        ended: Why it ended before its last step, `OUT_OF_TIME` or `DIVERGED`; "" where it did not.
    """

    metrics: dict[str, float] | None
    seconds: float
    num_steps: int
    step_seconds: float
    calibration: Calibration | None = None
    held_out: HeldOut | None = None
    ended: str = ""


@dataclass(frozen=True)
class Pace:
    """How far a trial is, and how fast.

    Attributes:
        step: Steps taken.
        num_steps: In all.
        step_seconds: Of a step of training rows alone, as far as steps so far tell.
        seconds: Since the trial began.
        left: The steps that are left, as so many of training rows alone; None where all are.
    """

    step: int
    num_steps: int
    step_seconds: float
    seconds: float
    left: float | None = None

    @property
    def expected(self) -> float:
        """Seconds of the whole trial, at this pace; those so far before there are steps to tell by."""
        left = self.num_steps - self.step if self.left is None else self.left
        return self.seconds + left * self.step_seconds if self.step > WARM_UP else self.seconds


class EncoderCache:
    """The encoders that trials start from: learning a vocabulary takes longer than a short trial."""

    def __init__(self, most: int = 3) -> None:
        self._built: dict[str, DualEncoder] = {}
        self._most = most

    def copy(self, config: TrainConfig, dataset: Dataset) -> DualEncoder:
        """A fresh copy of the encoder that the configuration describes."""
        # Dropout and lengths are cheap to build with, yet part of the model: all of the section is the key.
        # Labels as queries change what is learned, not what is begun with.
        key = repr((config.encoder, without_label_queries(config.data)))
        if key not in self._built:
            while len(self._built) >= self._most:
                del self._built[next(iter(self._built))]
            self._built[key] = DualEncoder.build(config.encoder, TrainingTexts(dataset, config.data))
        built = self._built[key]
        return DualEncoder(copy.deepcopy(built.module), built.metadata)


def run_trial(
    config: TrainConfig,
    dataset: Dataset,
    encoders: EncoderCache,
    *,
    stop: Callable[[Pace], bool] = lambda pace: False,
    keep: Callable[[dict[str, float]], bool] = lambda metrics: False,
) -> TrialResult:
    """Train as ``config`` says and validate once, at the end; no model, log or checkpoint is written.

    Args:
        config: Of the trial; its ``seed`` decides which rows are held out.
        dataset: Of ``config.data.path``.
        encoders: Where it starts from.
        stop: Asked before each step.
        keep: Asked with the metrics, whether the held-out rows' rankings are wanted too.
    """
    started = time.perf_counter()
    times: list[float] = []  # of steps, by what each takes
    metrics, skipped, ended = None, 0, ""
    with tempfile.TemporaryDirectory(prefix="xmc-trial-") as folder:
        run = replace(config.run, dir=str(Path(folder) / "run"), trackers=[], resume=False, overwrite=False)
        encoder = encoders.copy(config, dataset)
        # What a run says of itself would bury what the search says.
        with redirect_stdout(StringIO()):
            trainer = Trainer(replace(config, run=run), dataset=dataset, encoder=encoder)
            inputs = trainer.prepare_inputs()
        judged_fairly(trainer.validator)
        works = StepWorks(config.data, trainer.num_steps)
        with closing(trainer.batches):
            trainer.encoder.train()
            try:
                for step in range(trainer.num_steps):
                    seconds = time.perf_counter() - started
                    if stop(Pace(step, trainer.num_steps, typical(times), seconds, works.after(step))):
                        ended = OUT_OF_TIME
                        break
                    before = time.perf_counter()
                    result = optimise(inputs, step)
                    skipped = skipped + 1 if result.skipped is not None else 0
                    if skipped >= config.training.max_skipped:
                        ended = DIVERGED
                        break
                    times.append((time.perf_counter() - before) / works.of(step))
                else:
                    metrics = (
                        trainer.validator(trainer.learner, inputs.frozen) if config.validation.rows else None
                    )
            except NonFiniteError:
                metrics, ended = None, DIVERGED
        calibration = None if metrics is None else trainer.validator.calibration()
        held_out = None if metrics is None or not keep(metrics) else _held_out(trainer, inputs, dataset)
    step_seconds = _mean(times, works) * works.after(0) / trainer.num_steps
    return TrialResult(
        metrics, time.perf_counter() - started, len(times), step_seconds, calibration, held_out, ended
    )


def _held_out(trainer: Trainer, inputs: StepInputs, dataset: Dataset) -> HeldOut | None:
    validator = trainer.validator
    if validator.ranking is None or trainer.learner.head is not None:
        return None
    relevance = dataset.relevance("train")
    voters = labelled_rows(relevance)
    vectors = inputs.frozen.encode_queries(voters).cpu().numpy()
    votes = QueryVotes(vectors, relevance[voters])
    own = np.searchsorted(voters, validator.rows)
    started = time.perf_counter()
    near = votes.nearest(votes.vectors[own], own=own)
    seconds = time.perf_counter() - started
    others = np.flatnonzero(~np.isin(voters, validator.rows))

    def best(rows: NDArray[np.int64], depth: int) -> NDArray[np.int64]:
        ranking = replace(validator, rows=rows, apart=None)
        queries = vectors[np.searchsorted(voters, rows)]
        return ranking.ranked(trainer.learner, inputs.frozen, queries, depth)

    confused = confused_where(voters[others], dataset.num_labels, best, seed=trainer.config.seed)
    return HeldOut(
        validator.rows,
        validator.ranking,
        near,
        voters,
        seconds,
        validator.apart,
        ((len(validator.rows), Learned(voters[others], confused)),),
    )


def judged_fairly(validator: Validator) -> None:
    """Leave out of a trial's validation the labels that no row has which it trains on, and rows of no others.

    The final model is trained on all rows: to it these labels are not new. On small data they are half of the
    held-out pairs, and would favour whatever stays closest to the untrained encoder.
    """
    relevance = validator.dataset.relevance("train")
    kept, apart = seen_elsewhere(relevance, validator.rows)
    if len(kept):
        validator.rows, validator.apart = validator.rows[kept], apart


def seen_elsewhere(
    relevance: sp.csr_matrix, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], sp.csr_matrix]:
    """Of some rows, those with a label that another row has too, and their pairs of labels that none has.

    Args:
        relevance: [N, L].
        rows: [V], of the N.

    Returns:
        Positions [v] among the rows, and pairs bool [v, L].
    """
    positives = sp.csr_matrix(relevance.astype(bool))
    own = sp.csr_matrix(positives[rows])
    others = np.asarray(positives.sum(axis=0) - own.sum(axis=0)).ravel()
    alone = sp.csr_matrix(own.multiply(others == 0))
    alone.eliminate_zeros()
    kept = np.flatnonzero(own.getnnz(axis=1) > alone.getnnz(axis=1))
    return kept, sp.csr_matrix(alone[kept]).astype(bool)


def without_label_queries(data: DataConfig) -> DataConfig:
    """The same without labels as queries."""
    return replace(data, **{name: getattr(DataConfig, name) for name in LABEL_QUERIES})


def typical(times: Sequence[float]) -> float:
    """Seconds of a step so far, by which its trial may be stopped: 0 where there are none.

    Their median, as some of the first few wait for caches, and any of them for others of the machine.
    """
    return float(np.median(times)) if times else 0.0


def _mean(times: list[float], works: StepWorks) -> float:
    """Seconds of a unit of work, of the steps after the first few, which fill caches and pages."""
    first = WARM_UP if len(times) > WARM_UP else 0
    done = [works.of(step) for step in range(first, len(times))]
    seconds = sum(each * work for each, work in zip(times[first:], done, strict=True))
    return seconds / max(1.0, sum(done))
