"""From a data set to a model and an index of its labels: chosen by rules, searched for, trained, measured."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import mean
from typing import Any, Literal, get_args, get_type_hints

import torch
from tqdm.auto import tqdm

from xmc.data import Dataset
from xmc.data.preparing import is_prepared, prepare
from xmc.data.tables import TableOptions
from xmc.distributed import current_world
from xmc.durations import duration, seconds_of
from xmc.encoders import DualEncoder
from xmc.errors import ConfigError
from xmc.evaluation import Evaluation, comparison_table, evaluate, save_predictions, score_predictions
from xmc.nested import flat
from xmc.prediction.calibration import FILE, Calibration
from xmc.prediction.ensembling import ChosenEnsemble, query_votes, rank_test
from xmc.retrieval import LabelIndex, LexicalRanker
from xmc.retrieval.ensemble import Ensemble
from xmc.retrieval.fusion import Lists
from xmc.training import TrainConfig, TrainResult, train
from xmc.training.config import DataConfig, RunOptions, ValidationConfig
from xmc.training.options import one_of
from xmc.tuning.budget import Budget
from xmc.tuning.candidates import neighbours
from xmc.tuning.choice import Choice, read_choices, with_options, write_choices
from xmc.tuning.ensemble import chosen_ensemble, ensemble_choices, ensemble_of, of_recipe
from xmc.tuning.facts import DataFacts, measure_facts
from xmc.tuning.journal import Journal, Trial
from xmc.tuning.recipe import write_recipe
from xmc.tuning.rules import choose
from xmc.tuning.search import EPOCHS, Search, Standing, name_of
from xmc.tuning.trial import EncoderCache, HeldOut, run_trial

__all__ = ["BUDGETS", "FitResult", "Quality", "fit"]

Quality = Literal["fast", "good", "best"]

BUDGETS: dict[str, str] = {"fast": "10m", "good": "10m", "best": "1h"}
"""The time of each quality, where none is given."""

METRICS: tuple[str, ...] = get_args(get_type_hints(ValidationConfig)["metric"])
SHOWN = ("P@1", "P@3", "P@5", "nDCG@5", "PSP@1", "PSP@5", "R@10", "R@100")
FEW_ROWS = 5_000
"""Up to here candidates are measured on three ways of holding rows out, above on two."""
MEASURED_STEPS = 20
SAMPLE = 512
"""Labels whose encoding is timed."""

CHOICES = "choices.json"


@dataclass(frozen=True)
class FitResult:
    """What a fit leaves.

    Attributes:
        folder: Of all of it.
        config: The recipe as trained.
        choices: Every option that was chosen, with its reason.
        trials: What the search tried.
        evaluations: By name: untrained, lexical, trained and, where something ranks beside the model,
            ensemble, on the test split; empty where there is none.
        run: The final training.
        index: The folder of the label index.
        example: The text of a query, to search for.
        seconds: All of it took, the trials of earlier sessions included.
    """

    folder: Path
    config: TrainConfig
    choices: list[Choice]
    trials: list[Trial]
    evaluations: dict[str, Evaluation]
    run: TrainResult
    index: Path
    example: str
    seconds: float

    def table(self) -> str:
        """The metrics of the systems side by side; empty where there is no test split."""
        return comparison_table(self.evaluations, SHOWN) if self.evaluations else ""


def fit(
    data: Dataset | str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    labels: str | Path | None = None,
    test: Sequence[str | Path] = (),
    split: float | None = 0.1,
    tables: TableOptions | None = None,
    budget: str | float | None = None,
    quality: Quality = "good",
    metric: str = "nDCG@5",
    fixed: Mapping[str, Any] | None = None,
    seed: int = 0,
    say: Callable[[str], object] = tqdm.write,
) -> FitResult:
    """Choose a recipe for ``data``, train it on all training rows, measure it and index the labels.

    Rules choose a recipe from counts and lengths. Within the budget a search compares it with others on
    training rows that are held out; the test split is measured at the end and decides nothing. In ``out``:
    ``recipe.yaml``, which ``xmc train`` repeats; ``choices.json``; ``trials.jsonl``; the run; the index. A
    fit that was cut short goes on when it is called again.

    Args:
        data: A prepared data set or its folder, or files; see :func:`xmc.data.prepare`.
        out: Folder to make, or that of a fit to go on with.
        labels: A table of labels, for clicks alone.
        test: Files of test clicks.
        split: Share of the query texts that becomes the test split where none is there; None for none.
        tables: How tables are read.
        budget: Time for everything, as "10m" or in seconds; by default the quality's.
        quality: "fast" takes the rules' recipe as it is; "best" has an hour.
        metric: What the search compares by, of the validation rows.
        fixed: Options of the recipe that are not up for choice, by dotted name.
        seed: Of the training, and of which rows are held out.
        say: Called with each line of progress.

    Raises:
        KeyboardInterrupt: While the final model trains; while candidates are tried, it ends the search, and
            the best so far is trained.
        XMCError: When data, options or folder cannot work, and with several processes.
    """
    one_of("quality", quality, tuple(BUDGETS))
    one_of("metric", metric, METRICS)
    if current_world().size > 1:
        raise ConfigError("expected one process for a fit, got several: train its recipe.yaml with them")
    given = BUDGETS[quality] if budget is None else budget
    clock = Budget(seconds_of(given, "budget") if isinstance(given, str) else float(given))
    folder = _prepared(Path(out))
    dataset = _dataset(data, folder / "data", labels, test, split, tables, seed)
    work = _Work(dataset, folder, dict(fixed or {}), metric, clock, say)
    rules = work.rules(seed)
    settings = {"data": dataset.fingerprint, "metric": metric, "rules": {c.option: c.value for c in rules}}
    journal = Journal(folder / "trials.jsonl", settings)
    clock.spent = journal.seconds
    choices = read_choices(folder / CHOICES)
    if choices is None:
        choices = [*rules, *work.searched(rules, journal, quality)]
        choices += work.in_time(choices, journal)
        choices.append(Choice("validation.rows", 0, "the chosen recipe is trained on all rows"))
        choices += work.beside(quality)
        head = f"Chosen for {dataset.name} by xmc fit, from rules and {len(journal.trials)} trials."
        write_recipe(folder / "recipe.yaml", of_recipe(choices), head)
        # From here on the recipe is settled: a training that is cut short goes on as what it began as.
        write_choices(folder / CHOICES, choices)
    config = work.config(choices)
    say(f"training on all {work.facts.num_rows:,} rows: {folder / 'recipe.yaml'}")
    resumed = (folder / "run" / "config.yaml").is_file()
    result = train(replace(config, run=replace(config.run, resume=resumed)))
    encoder = DualEncoder.load(folder / "run")
    work.calibrate(encoder)
    evaluations = work.measured(encoder, config) if dataset.num_test else {}
    # By the model's place, which the index remembers: a search finds the model by it.
    index = LabelIndex.build(folder / "run", dataset, progress=False)
    options = ensemble_of(choices)
    if options:
        votes = query_votes(encoder, dataset, progress=False)[0] if options.vote is not None else None
        index.add_ensemble(options, votes)
        if dataset.num_test:
            ensemble = Ensemble(options, votes, lambda: encoder.label_texts(dataset))
            evaluations["ensemble"] = work.scored(rank_test(encoder, dataset, ensemble))
    index.save(folder / "index", overwrite=True)
    if options and work.ensemble is not None:
        calibration = work.ensemble.calibration(dataset, index.manifest.model_fingerprint)
        if calibration is not None:
            calibration.save(folder / "index" / FILE)
    return FitResult(
        folder=folder,
        config=config,
        choices=choices,
        trials=journal.trials,
        evaluations=evaluations,
        run=result,
        index=folder / "index",
        example=_example(dataset),
        seconds=clock.used,
    )


def _example(dataset: Dataset) -> str:
    """The title of a query, of the test split where there is one."""
    titles = dataset.texts("test" if dataset.num_test else "train", ["title"])
    return next((text for text in titles[: min(len(titles), 50)] if text.strip()), "")


def _prepared(folder: Path) -> Path:
    if (folder / "run" / "result.json").is_file():
        raise ConfigError(f"out: expected a new folder, or a fit to go on with, but that in {folder} is done")
    if folder.is_file():
        raise ConfigError(f"out: expected a folder, but {folder} is a file")
    others = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if others and not {"trials.jsonl", "data"} & set(others):
        raise ConfigError(f"out: expected {folder} to be new or empty, but it holds {', '.join(others[:3])}")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _dataset(
    data: Dataset | str | Path | Sequence[str | Path],
    place: Path,
    labels: str | Path | None,
    test: Sequence[str | Path],
    split: float | None,
    tables: TableOptions | None,
    seed: int,
) -> Dataset:
    given = data.path if isinstance(data, Dataset) else data
    source = [given] if isinstance(given, (str, Path)) else list(given)
    if len(source) == 1 and is_prepared(Path(source[0])):
        # What is of files alone is refused with it.
        opened = prepare(source, place, test=test, labels=labels, options=tables)
        return data if isinstance(data, Dataset) else opened
    if place.is_dir():  # of a fit that was cut short
        return Dataset.load(place)
    return prepare(
        source, place, test=test, labels=labels, split=split, keep_test=True, seed=seed, options=tables
    )


@dataclass
class _Work:
    """One fit: what it is of, and its time.

    Attributes:
        dataset: To fit.
        folder: Of all that it leaves.
        fixed: Options that are not up for choice.
        metric: What candidates are compared by.
        clock: The time for all of it.
        say: Called with each line of progress.
        calibration: By the held-out rows, of the recipe that was chosen; None where it was not tried here.
        held_out: Their rankings by it; None likewise.
        ensemble: What is to rank beside the model; None where it was not chosen here.
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
    ensemble: ChosenEnsemble | None = None

    @cached_property
    def facts(self) -> DataFacts:
        return measure_facts(self.dataset, str(self.fixed.get("encoder.model", "embedded")))

    def rules(self, seed: int) -> list[Choice]:
        """The rules' choices, less what is fixed."""
        ruled = choose(self.facts, accelerator=torch.accelerator.is_available())
        choices = [
            Choice("seed", seed, ""),
            Choice("data.path", str(self.dataset.path), ""),
            Choice("run.dir", str(self.folder / "run"), ""),
            *(choice for choice in ruled if choice.option not in self.fixed),
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
        """What the search changes of the rules' recipe."""
        config = self.config(rules)
        if quality == "fast" or config.validation.rows < 2:
            return []
        grown = self.facts.num_rows / (self.facts.num_rows - config.validation.rows)
        finishing = self._finishing(config)
        search = Search(
            config=config,
            dataset=self.dataset,
            candidates=[
                changes
                for changes in neighbours(flat(asdict(config)), self.facts)
                if not set(changes) & set(self.fixed)
            ],
            metric=self.metric,
            folds=3 if self.facts.num_rows <= FEW_ROWS else 2,
            budget=self.clock,
            reserve=lambda whole: whole * grown * 1.1 + finishing,
            journal=journal,
            encoders=self.encoders,
            shorter=EPOCHS not in self.fixed,
            tell=self._tell,
        )
        try:
            found = search.run()
        except KeyboardInterrupt:
            self.say("search stopped: training the best so far (once more, Ctrl-C stops that too)")
            found = search.best()
        name = name_of(found.changes if found is not None else {})
        self.calibration = search.calibrations.get(name)
        self.held_out = search.held_out.get(name)
        if found is None or not found.changes:
            return []
        same = [t.value for t in journal.trials if not t.changes and t.fold < found.folds]
        ruled = mean(value for value in same if value is not None)
        reason = f"search: {self.metric} {found.value:.2f}, {ruled:.2f} by the rules"
        return [Choice(option, value, reason) for option, value in found.changes.items()]

    def in_time(self, choices: Sequence[Choice], journal: Journal) -> list[Choice]:
        """Fewer steps, where the budget does not hold all of them."""
        config, rules = self.config(choices), {choice.option: choice.value for choice in choices}
        # Of the same recipe, or else of the rules' own: a step of another may take another time.
        own = [t for t in journal.trials if t.num_steps and t.changes.items() <= rules.items()]
        if own:
            seconds = max(own, key=lambda trial: len(trial.changes)).step_seconds
        else:
            rows = min(config.validation.rows, self.facts.num_rows - 1)
            measured = replace(config, validation=replace(config.validation, rows=rows))
            seconds = run_trial(
                measured, self.dataset, self.encoders, stop=lambda pace: pace.step == MEASURED_STEPS
            ).step_seconds
        steps = math.ceil(config.training.epochs * self.facts.num_rows / config.training.batch_size)
        left = self.clock.left - self._finishing(config)
        most = max(MEASURED_STEPS, int(left / max(seconds, 1e-6)))
        if steps <= most:
            return []
        self.say(f"the budget leaves time for {most:,} of {steps:,} steps")
        return [Choice("training.max_steps", most, f"what the budget left time for, of {steps:,}")]

    def measured(self, encoder: DualEncoder, config: TrainConfig) -> dict[str, Evaluation]:
        """Word matching, the untrained encoder and the trained one on the test split."""
        dataset = self.dataset
        untrained = self.encoders.copy(config, dataset)
        ranker = LexicalRanker(encoder.label_texts(dataset))
        ids, scores = ranker.rank(encoder.query_texts(dataset, "test"), 100, dataset.filter("test"))
        return {
            "lexical": self.scored((ids, scores)),
            "untrained": evaluate(untrained, dataset, progress=False),
            "trained": evaluate(encoder, dataset, progress=False),
        }

    def beside(self, quality: Quality) -> list[Choice]:
        """What is to rank beside the model, by the held-out rows of the recipe that was chosen."""
        if quality == "fast":
            return []
        chosen = None
        if self.held_out is not None:
            fields = {name: self.fixed.get(f"data.{name}_fields") for name in ("query", "label")}
            queries = self.dataset.texts("train", fields["query"] or self.dataset.manifest.query_fields)
            labels = self.dataset.texts("labels", fields["label"] or self.dataset.manifest.label_fields)
            rows = self.held_out.rows
            chosen = chosen_ensemble(self.held_out, self.dataset, queries[rows], labels, self.metric)
            self.ensemble = chosen
        choices = ensemble_choices(chosen, self.metric)
        for choice in choices:
            self.say(str(choice))
        return choices

    def scored(self, lists: Lists) -> Evaluation:
        """The metrics of lists [N, 100] of the test rows."""
        with tempfile.TemporaryDirectory(prefix="xmc-fit-") as folder:
            path = Path(folder) / "ranking.npz"
            save_predictions(path, *lists)
            return score_predictions(path, self.dataset)

    def calibrate(self, encoder: DualEncoder) -> None:
        """Keep the held-out rows' calibration beside the final model, which was trained on them too."""
        if self.calibration is not None:
            held_out = f"{self.calibration.num_rows:,} held-out rows of {self.dataset.name}"
            replace(
                self.calibration,
                model_fingerprint=encoder.fingerprint,
                rows=f"{held_out}, ranked by the same recipe trained on the others",
            ).save(self.folder / "run" / "model" / FILE)

    def _finishing(self, config: TrainConfig) -> float:
        """Seconds that measuring and indexing will take, by the time that encoding a few labels takes."""
        encoder, texts = self.encoders.copy(config, self.dataset), self.dataset.texts("labels")[:SAMPLE]
        encoder.encode_labels(texts[:1])  # the first call of a process sets libraries up
        started = time.perf_counter()
        encoder.encode_labels(texts)
        each = (time.perf_counter() - started) / len(texts)
        # Labels for three evaluations and the index, test queries for three evaluations, queries that vote.
        dataset = self.dataset
        return each * (4 * dataset.num_labels + 3 * dataset.num_test + self.facts.num_rows)

    def _tell(self, trial: Trial, best: Standing | None) -> None:
        value = "out of time or diverged" if trial.value is None else f"{self.metric} {trial.value:.2f}"
        shown = f"; best {best.value:.2f}" if best is not None else ""
        self.say(f"[{duration(self.clock.used)}] {trial.name}: {value} in {duration(trial.seconds)}{shown}")
