"""Successive halving around the rules' recipe, on held-out training rows and within a time.

Every candidate is trained from the start with the whole shape of its learning-rate schedule. Where there is
no time for all of them, each is first tried with a third of its epochs, and the better half goes on (Jamieson
and Talwalkar 2016, "Non-stochastic Best Arm Identification and Hyperparameter Optimization",
arXiv:1502.07943). A short trial is that of a recipe of its own, which may be the best there is: small data
are soon learned by heart.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from xmc.data import Dataset
from xmc.errors import ConfigError
from xmc.random_streams import Stream, generator
from xmc.training import TrainConfig
from xmc.tuning.budget import Budget
from xmc.tuning.candidates import mixtures
from xmc.tuning.choice import with_options
from xmc.tuning.journal import Journal, Trial
from xmc.tuning.standing import LEAST_GAIN, Standing, fold_error, standing_of
from xmc.tuning.trial import EncoderCache, Pace, TrialResult, run_trial
from xmc.tuning.trial_files import TrialFiles

__all__ = ["Search", "Standing", "name_of"]

Options = dict[str, Any]

SHORT = 1 / 3
"""Share of the epochs in the first round of a search that has no time for whole trials of every candidate."""

EPOCHS = "training.epochs"

NEAR = 1.0
"""Points below the best up to which a candidate's rankings are kept: other folds may change the order."""

PATIENCE = 0.05
"""Of the budget, before the first trial is given up for its pace so far."""


@dataclass
class Search:
    """Tries candidates until none is left or the time is up.

    Attributes:
        config: The rules' recipe.
        dataset: To train on.
        candidates: Changes to try, the most promising first.
        metric: Of the validation rows; more is better.
        rows: Training rows.
        folds: How many ways of holding out rows the best candidates are measured by.
        budget: Of the whole fit.
        reserve: Seconds that the final training will take, by the seconds of a whole trial of the winner.
        journal: Where trials are kept.
        encoders: Where trials start from.
        shorter: Whether recipes of fewer epochs may be tried.
        tell: Called with each new trial.
        kept: Where trials leave their calibrations, and rankings of the held-out rows of every fold by the
            candidates that may win, by :func:`name_of` their changes.
    """

    config: TrainConfig
    dataset: Dataset
    candidates: Sequence[Options]
    metric: str
    rows: int
    folds: int
    budget: Budget
    reserve: Callable[[float], float]
    journal: Journal
    kept: TrialFiles
    encoders: EncoderCache = field(default_factory=EncoderCache)
    shorter: bool = True
    tell: Callable[[Trial, Standing | None], None] = lambda trial, best: None
    _cost: float = 0.0
    _known: tuple[int, list[Standing]] = (-1, [])

    def run(self) -> Standing | None:
        """The best candidate; None where there was no time for one whole trial.

        Raises:
            KeyboardInterrupt: As it comes; what was tried is in the journal, see :meth:`best`.
        """
        # The recipe itself comes first, and its time says what else there is time for; where the budget does
        # not even hold it twice, on a part of the rows and on all, it is trained at once.
        first = self._try({})
        if first is None or first.value is None:
            return self.best()
        if first.value > 100 - LEAST_GAIN:  # nothing could beat it
            return self.best()
        self._cost = first.seconds
        enough = self._left() >= self._cost * len(self.candidates) * 1.2
        self._round(self._promising() if self.shorter and not enough else self.candidates)
        # Of those tried so far; a search that goes on finds mixtures in its journal, too.
        alone = {name_of(changes) for one in ({}, *self.candidates) for changes in (one, self._short(one))}
        trials = [t for t in self.journal.trials if t.fold == 0 and name_of(t.changes) in alone]
        single = [(t.changes, t.value) for t in trials if t.value is not None]
        count = max(2, len(self.candidates) // 3)
        draw = generator(self.config.seed, Stream.CANDIDATES)
        self._round(mixtures(single, first.value, count, draw))
        for fold in range(1, self.folds):
            self._more(fold)
        return self.best()

    def best(self) -> Standing | None:
        """The best so far among those measured on most folds; the rules' own, unless it is clearly beaten."""
        standings = self.standings()
        rules = next((standing for standing in standings if not standing.changes), None)
        changed = [standing for standing in standings if standing.changes]
        most = max((standing.folds for standing in changed), default=0)
        among = [standing for standing in changed if standing.folds == most and standing.beats_the_rules]
        return max(among, key=lambda standing: standing.believed, default=rules)

    def standings(self) -> list[Standing]:
        """Every candidate that was measured, in the order of the first trials."""
        count = len(self.journal.trials)
        if self._known[0] != count:  # asked before each step of a trial
            self._known = count, self._standings(range(count + 1))
        return self._known[1]

    def _standings(self, folds: range) -> list[Standing]:
        """What candidates came to on some folds."""
        values: dict[str, dict[int, float]] = {}
        changes: dict[str, Options] = {}
        for trial in self.journal.trials:
            if trial.value is not None and trial.fold in folds:
                name = name_of(trial.changes)
                changes.setdefault(name, trial.changes)
                values.setdefault(name, {})[trial.fold] = trial.value
        rules, held_out = values.get(name_of({}), {}), self.config.validation.rows
        found = (standing_of(changes[name], own, rules, held_out, self.rows) for name, own in values.items())
        return [standing for standing in found if standing is not None]

    def _round(self, candidates: Sequence[Options]) -> None:
        for changes in candidates:
            self._try(changes)  # one that takes too long leaves the time to the next

    def _promising(self) -> list[Options]:
        """The better half of the candidates by their short recipes, for which half of the time is taken."""
        until = self.budget.used + self._left() / 2
        values: list[tuple[float, Options]] = []
        for changes in ({}, *self.candidates):
            if self.budget.used >= until:
                break
            trial = self._try(self._short(changes))
            if trial is not None and trial.value is not None:
                values.append((trial.value, changes))
        ranked = [changes for _, changes in sorted(values, key=lambda pair: -pair[0])]
        return [changes for changes in ranked if changes][: -(-len(ranked) // 2)]

    def _short(self, changes: Options) -> Options:
        """The same with a third of its epochs."""
        return {**changes, EPOCHS: SHORT * changes.get(EPOCHS, self.config.training.epochs)}

    def _more(self, fold: int) -> None:
        """Another fold for the rules' recipe and the best of those measured on all before: 8, then 4, then 3.

        By these folds alone, so that a search that goes on asks what one that was not cut short does.
        """
        before = self._standings(range(fold))
        on_all = [standing for standing in before if standing.changes and standing.folds == fold]
        ranked = sorted(on_all, key=lambda standing: -standing.believed)
        there_is_time = int(self._left() / self._cost) - 1
        known = sum(trial.fold == fold for trial in self.journal.trials)
        count = min(max(3, 2 ** (min(self.folds, 4) - fold)), max(there_is_time, known))
        # The rules' recipe with nothing to compare, too: what ranks beside it is chosen by its folds.
        rules = self._try({}, fold)
        if rules is not None and rules.value is not None:
            for standing in ranked[: max(0, count)]:
                self._try(standing.changes, fold)

    def _try(self, changes: Options, fold: int = 0) -> Trial | None:
        """A trial, from the journal where it is there; None when there is no time left to make it.

        One whose options are refused has no value, and says why.

        Raises:
            ConfigError: When the rules' own recipe is refused.
        """
        known = self.journal.find(changes, fold)
        if known is not None:
            return known
        started = time.perf_counter()
        try:
            # The seed decides which rows are held out.
            config = replace(with_options(self.config, changes), seed=self.config.seed + fold)
            expected = self._cost * _work(config) / _work(self.config)
            if self._cost and self._left(expected) < expected:
                return None
            result = run_trial(
                config,
                self.dataset,
                self.encoders,
                stop=self._hopeless,
                keep=lambda metrics: self._may_win(metrics, changes, fold),
            )
        except ConfigError as error:
            # Options that do not go together are no reason to lose what the others came to.
            if not changes:
                raise
            result = TrialResult(None, time.perf_counter() - started, 0, 0.0, ended=f"refused: {error}")
        metrics = result.metrics or {}
        # Before the trial is in the journal: from then on it is not made again.
        self.kept.keep(name_of(changes), fold, result.held_out, result.calibration)
        trial = Trial(
            changes=changes,
            fold=fold,
            value=metrics.get(self.metric),
            metrics=metrics,
            seconds=result.seconds,
            num_steps=result.num_steps,
            step_seconds=result.step_seconds,
            ended=result.ended,
        )
        self.journal.add(trial)
        self.tell(trial, self.best())
        return trial

    def _hopeless(self, pace: Pace) -> bool:
        """Whether a trial at this pace would leave no time for the final training.

        Without the first trial nothing is searched, so it is not given up for what may have held up its first
        seconds, unless it is far from any chance.
        """
        left, needed = self._left(pace.expected), pace.expected - pace.seconds
        if left > needed:
            return False
        early = not self.journal.trials and pace.seconds < PATIENCE * self.budget.seconds
        return not early or 2 * left < needed

    def _may_win(self, metrics: dict[str, float], changes: Options, fold: int) -> bool:
        """Whether a trial's rankings are kept, as its candidate may win.

        On the first fold those of the candidates that are about as good as the best, on further ones all:
        what ranks beside the model is not to be chosen by the folds alone on which the model did well.
        """
        rules, best = self.journal.find({}, 0), self.best()
        if not changes or fold > 0 or best is None or rules is None or rules.value is None:
            return True
        near = max(NEAR, fold_error(self.config.validation.rows))
        return metrics[self.metric] - rules.value > best.gain - near

    def _left(self, trial: float = 0.0) -> float:
        """Seconds for a trial that takes ``trial``, and for others.

        What the final training will take is kept back: of the best so far, or of this trial's recipe, should
        it win and take longer.
        """
        best = self.best()
        whole = self._cost
        if best is not None:
            whole = max(t.seconds for t in self.journal.trials if t.changes == best.changes)
        return self.budget.left - self.reserve(max(whole, trial))


def name_of(changes: Options) -> str:
    """Changes as one word, equal for equal ones."""
    return json.dumps(changes, sort_keys=True)


def _work(config: TrainConfig) -> float:
    """Steps of a run, up to a factor; one costs about the same whatever its batch, label queries apart."""
    steps = config.training.epochs / config.training.batch_size
    return steps * (1 + config.data.label_queries * config.data.label_query_until)
