"""The steps of a fit: rules, the search, what the time holds, what ranks beside the model, the metrics."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch

from xmc.data import Dataset, TextColumn
from xmc.durations import duration
from xmc.encoders import DualEncoder
from xmc.evaluation import Evaluation, evaluate, save_predictions, score_predictions
from xmc.fit_folder import RUN
from xmc.nested import flat
from xmc.prediction.calibration import FILE, Calibration
from xmc.prediction.classifying import TrainingWords
from xmc.retrieval import LexicalRanker
from xmc.retrieval.fusion import Lists
from xmc.training import TrainConfig
from xmc.training.config import DataConfig, RunOptions
from xmc.tuning.budget import Budget
from xmc.tuning.candidates import neighbours
from xmc.tuning.choice import Choice, with_options
from xmc.tuning.ensemble import chosen_ensemble, ensemble_choices, of_recipe
from xmc.tuning.facts import DataFacts, measure_facts
from xmc.tuning.finishing import Pace, confusing_seconds, finishing_seconds, measure_pace
from xmc.tuning.held_out import HeldOut, joined
from xmc.tuning.journal import Journal, Trial
from xmc.tuning.rules_beside import rules_beside, set_apart
from xmc.tuning.search import EPOCHS, Search, Standing, name_of
from xmc.tuning.trial import EncoderCache, run_trial, without_label_queries
from xmc.tuning.trial_files import TrialFiles

__all__ = ["FitWork", "Quality"]

Quality = Literal["fast", "good", "best"]

FEW_ROWS = 5_000
"""Up to here candidates are measured on three ways of holding rows out or more, above on two.

And a fast fit tries the rules' recipe once, as what ranks beside it may be most of the quality.
"""
HELD_OUT, MOST_FOLDS = 1_000, 10
"""Of few rows there are as many folds as hold out so many rows, some of them more than once."""

FINAL = 1.2
"""Of a trial's time, of as many rows, that the final training takes: it validates as it goes, and writes."""
MEASURED_STEPS = 20
BESIDE_SHARE = 0.1
"""Of the budget, for measuring what ranks beside the model."""
FINISHING_SHARE = 0.4
"""Of the budget at most, to be kept back for measuring and indexing: the model is worth more."""
CLASSIFIER_SHARE = 0.3
"""Of the budget at most, for classifiers of words that are judged, and as much for those that are kept."""


@dataclass
class FitWork:
    """One fit: what it is of, and its time.

    Attributes:
        dataset: To fit.
        folder: Of all that it leaves.
        fixed: Options that are not up for choice.
        metric: What candidates are compared by.
        clock: The time for all of it.
        say: Called with each line of progress.
        calibration: By the held-out rows, of the recipe that was chosen; None where it was not tried.
        held_out: Their rankings by it; None likewise.
        index_calibration: By what is to rank beside the model; None where there is nothing.
        spare: Seconds that the final training and what follows it leave for learning classifiers, as
            :meth:`in_time` found them.
    """

    dataset: Dataset
    folder: Path
    fixed: dict[str, Any]
    metric: str
    clock: Budget
    say: Callable[[str], object]
    encoders: EncoderCache = field(default_factory=EncoderCache)
    calibration: Calibration | None = None
    held_out: HeldOut | None = None
    index_calibration: Calibration | None = None
    spare: float = 0.0

    @cached_property
    def kept(self) -> TrialFiles:
        """What trials leave until the fit is done."""
        return TrialFiles(self.folder / "held-out")

    @cached_property
    def facts(self) -> DataFacts:
        """Counts and lengths of the data set."""
        return measure_facts(self.dataset, str(self.fixed.get("encoder.model", "embedded")))

    def rules(self, seed: int) -> list[Choice]:
        """The rules' choices, less what is fixed."""
        ruled = rules_beside(self.fixed, self.facts, accelerator=torch.accelerator.is_available())
        choices = [
            Choice("seed", seed, ""),
            # Found from anywhere: who uses the run or the recipe need not stand where the fit was begun.
            Choice("data.path", str(self.dataset.path.absolute()), ""),
            Choice("run.dir", str((self.folder / RUN).absolute()), ""),
            *ruled,
            *(Choice(option, value, "as asked for") for option, value in self.fixed.items()),
        ]
        for choice in choices:
            if choice.reason:
                self.say(str(choice))
        return choices

    def config(self, choices: Sequence[Choice]) -> TrainConfig:
        """The recipe that choices make; a later choice of an option stands."""
        options = {choice.option: choice.value for choice in of_recipe(choices)}
        start = TrainConfig(DataConfig(options["data.path"]), RunOptions(options["run.dir"]))
        return with_options(start, {"validation.metric": self.metric, **options})

    def searched(self, rules: Sequence[Choice], journal: Journal, quality: Quality) -> list[Choice]:
        """What the search changes of the rules' recipe; "fast" tries that alone, and only of few rows."""
        config, few = self.config(rules), self.facts.num_rows <= FEW_ROWS
        fast = quality == "fast"
        if config.validation.rows < 2 or (fast and not few):
            return []
        grown = self.facts.num_rows / (self.facts.num_rows - config.validation.rows)
        pace, classifiers = self._pace(config), self._classifying()
        finishing = self._finishing(pace)
        learning = 2 * classifiers + self._confusing(pace) if classifiers else 0.0
        search = Search(
            config=config,
            dataset=self.dataset,
            candidates=[
                changes
                for changes in neighbours(flat(asdict(config)), self.facts)
                if not fast and not set(changes) & set_apart(self.fixed, self.facts)
            ],
            metric=self.metric,
            rows=self.facts.num_rows,
            folds=1 if fast else _folds(config.validation.rows) if few else 2,
            budget=self.clock,
            # The first trial is worth more than classifiers, and nothing is chosen without it.
            reserve=lambda whole: whole * grown * FINAL + finishing + (learning if journal.trials else 0.0),
            journal=journal,
            kept=self.kept,
            encoders=self.encoders,
            shorter=not fast and EPOCHS not in self.fixed,
            tell=self._tell,
        )
        try:
            found = search.run()
        except KeyboardInterrupt:
            self.say("search stopped: training the best so far (once more, Ctrl-C stops that too)")
            found = search.best()
        name = name_of(found.changes if found is not None else {})
        self.calibration = self.kept.calibration(name)
        self.held_out = joined(self.kept.held_out(name))
        if found is None or not found.changes:
            return []
        reason = f"search: {self.metric} {found.value:.2f}, {found.value - found.gain:.2f} by the rules"
        return [Choice(option, value, reason) for option, value in found.changes.items()]

    def in_time(self, choices: Sequence[Choice], journal: Journal) -> list[Choice]:
        """Fewer steps, where the budget does not hold all of them."""
        config, rules = self.config(choices), {choice.option: choice.value for choice in choices}
        # Of the same recipe, or else of the rules' own: a step of another may take another time.
        own = [t for t in journal.trials if t.num_steps and t.changes.items() <= rules.items()]
        if own:
            seconds = max(own, key=lambda trial: len(trial.changes)).step_seconds
        else:
            seconds = self._step_seconds(config)
        steps = math.ceil(config.training.epochs * self.facts.num_rows / config.training.batch_size)
        pace = self._pace(config)
        left = self.clock.left - self._finishing(pace, tell=True)
        most = max(MEASURED_STEPS, int(left / max(seconds, 1e-6)))
        self.spare = left - seconds * min(steps, most) - self._confusing(pace)
        if steps <= most:
            return []
        self.say(f"the budget leaves time for {most:,} of {steps:,} steps")
        return [Choice("training.max_steps", most, f"what the budget left time for, of {steps:,}")]

    def _step_seconds(self, config: TrainConfig) -> float:
        """Seconds of a step, of some that are made for it: of both kinds where label queries join a part."""

        def timed(data: DataConfig) -> float:
            rows = min(config.validation.rows, self.facts.num_rows - 1)
            part = replace(config, data=data, validation=replace(config.validation, rows=rows))
            return run_trial(
                part, self.dataset, self.encoders, stop=lambda pace: pace.step == MEASURED_STEPS
            ).step_seconds

        until = config.data.label_query_until
        if not config.data.label_queries or until == 1:
            return timed(config.data)
        joined = timed(replace(config.data, label_query_until=1.0))
        return until * joined + (1 - until) * timed(without_label_queries(config.data))

    def measured(self, encoder: DualEncoder, config: TrainConfig) -> dict[str, Evaluation]:
        """Word matching, the untrained encoder and the trained one on the test split."""
        dataset = self.dataset
        untrained = self.encoders.copy(config, dataset)
        ids, scores = self.lexical.rank(encoder.query_texts(dataset, "test"), 100, dataset.filter("test"))
        return {
            "lexical": self.scored((ids, scores), "word matching"),
            # Of the trained one this is said, which reads as much.
            "untrained": evaluate(untrained, dataset, progress=False, tell_cuts=False),
            "trained": evaluate(encoder, dataset, progress=False),
        }

    def beside(self, quality: Quality) -> list[Choice]:
        """What is to rank beside the model, by the held-out rows of the recipe that was chosen."""
        if quality == "fast" and self.held_out is None:
            return []
        chosen = None
        if self.held_out is not None:
            seconds = min(CLASSIFIER_SHARE * self.clock.seconds, self.spare / 2)
            chosen = chosen_ensemble(self.held_out, self.words, self.lexical, self.metric, seconds)
            if chosen.options:
                self.index_calibration = chosen.calibration(self.dataset, "")
        choices = ensemble_choices(chosen, self.metric)
        for choice in choices:
            self.say(str(choice))
        return choices

    @cached_property
    def words(self) -> TrainingWords:
        """Those of the training queries."""
        texts = self._texts("train", "query", self.dataset.manifest.query_fields)
        return TrainingWords(self.dataset, texts)

    def _texts(self, half: str, side: str, fields: Sequence[str]) -> TextColumn:
        return self.dataset.texts(half, self.fixed.get(f"data.{side}_fields") or fields)

    def scored(self, lists: Lists, named: str) -> Evaluation:
        """The metrics of lists [N, 100] of the test rows, by what they are."""
        with tempfile.TemporaryDirectory(prefix="xmc-fit-") as folder:
            path = Path(folder) / "ranking.npz"
            save_predictions(path, *lists)
            return score_predictions(path, self.dataset, named=named)

    def settle(self) -> None:
        """Keep the calibrations of what was chosen, for a fit that goes on after it was cut short."""
        self.kept.settle(self.calibration, self.index_calibration)

    def resume(self) -> None:
        """Take what :meth:`settle` kept."""
        self.calibration, self.index_calibration = self.kept.settled()

    def calibrate(self, encoder: DualEncoder) -> None:
        """Keep the held-out rows' calibration beside the final model, which was trained on them too."""
        if self.calibration is not None:
            held_out = f"{self.calibration.num_rows:,} held-out rows of {self.dataset.name}"
            replace(
                self.calibration,
                model_fingerprint=encoder.fingerprint,
                rows=f"{held_out}, ranked by the same recipe trained on the others",
            ).save(self.folder / "run" / "model" / FILE)

    def _pace(self, config: TrainConfig) -> Pace:
        words = self.lexical if self.dataset.num_test else None  # which takes long to make of many labels
        return measure_pace(self.encoders.copy(config, self.dataset), self.dataset, words)

    def _finishing(self, pace: Pace, *, tell: bool = False) -> float:
        """Seconds to keep back for measuring and indexing, without classifiers."""
        seconds = finishing_seconds(pace, self.dataset, self.facts.num_rows, self.beside_seconds)
        most = FINISHING_SHARE * self.clock.seconds
        if tell and seconds > most:
            self.say(
                f"measuring and indexing will take about {duration(seconds)}, and {duration(most)} of the "
                "budget are kept back for it: it will be overrun"
            )
        return min(seconds, most)

    def _confusing(self, pace: Pace) -> float:
        return confusing_seconds(pace, self.facts.num_rows, self.dataset.num_labels)

    def _classifying(self) -> float:
        """Seconds to keep back for classifiers that are judged, and as many for those that are kept."""
        expected = self.words.expected_seconds
        return expected if expected <= CLASSIFIER_SHARE * self.clock.seconds else 0.0

    @property
    def beside_seconds(self) -> float:
        """The time for measuring what ranks beside the model on test rows."""
        return BESIDE_SHARE * self.clock.seconds

    @cached_property
    def lexical(self) -> LexicalRanker:
        """Plain matching of words with the labels' texts."""
        return LexicalRanker(self._texts("labels", "label", self.dataset.manifest.label_fields))

    def _tell(self, trial: Trial, best: Standing | None) -> None:
        value = trial.ended if trial.value is None else f"{self.metric} {trial.value:.2f}"
        shown = f"; best {best.value:.2f}" if best is not None else ""
        self.say(f"[{duration(self.clock.used)}] {trial.name}: {value} in {duration(trial.seconds)}{shown}")


def _folds(held_out: int) -> int:
    """Ways of holding rows out, of few rows: the fewer each holds out, the more of them there are."""
    return min(MOST_FOLDS, max(3, math.ceil(HELD_OUT / held_out)))
