"""From a data set to a model and an index of its labels: chosen by rules, searched for, trained, measured."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import torch
from tqdm.auto import tqdm

from xmc.data import Dataset
from xmc.data.prepare import prepare
from xmc.data.tables import TableOptions
from xmc.durations import duration, seconds_of
from xmc.encoders import DualEncoder
from xmc.errors import ConfigError
from xmc.evaluation import Evaluation, comparison_table, evaluate, save_predictions, score_predictions
from xmc.nested import flat
from xmc.retrieval import LabelIndex, LexicalRanker
from xmc.training import TrainConfig, TrainResult, train
from xmc.training.config import DataConfig, RunOptions, ValidationConfig
from xmc.training.options import one_of
from xmc.tuning.budget import Budget
from xmc.tuning.candidates import neighbours
from xmc.tuning.choice import Choice, with_options
from xmc.tuning.facts import DataFacts, measure_facts
from xmc.tuning.journal import Journal, Trial
from xmc.tuning.recipe import write_recipe
from xmc.tuning.rules import choose
from xmc.tuning.search import Search, Standing
from xmc.tuning.trial import EncoderCache, run_trial

__all__ = ["BUDGETS", "FitResult", "Quality", "fit"]

Quality = Literal["fast", "good", "best"]

BUDGETS: dict[str, str] = {"fast": "10m", "good": "10m", "best": "1h"}
"""The time of each quality, where none is given."""

METRICS: tuple[str, ...] = get_args(get_type_hints(ValidationConfig)["metric"])
SHOWN = ("P@1", "P@3", "P@5", "nDCG@5", "PSP@1", "PSP@5", "R@10", "R@100")
FEW_ROWS = 5_000
"""Up to here candidates are measured on three ways of holding rows out, above on two."""
MEASURED_STEPS = 20


@dataclass(frozen=True)
class FitResult:
    """What a fit leaves.

    Attributes:
        folder: Of all of it.
        config: The recipe as trained.
        choices: Every option that was chosen, with its reason.
        trials: What the search tried.
        evaluations: By name: untrained, lexical and trained, on the test split; empty where there is none.
        run: The final training.
        index: The folder of the label index.
        example: The text of a query, to search for.
        seconds: All of it took, earlier sessions included.
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
        """The metrics of the three systems side by side; empty where there is no test split."""
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
    ``recipe.yaml``, which ``xmc train`` repeats; ``trials.jsonl``; the run; the index. A fit that was cut
    short goes on when it is called again.

    Args:
        data: A prepared data set or its folder, or files; see :func:`xmc.data.prepare.prepare`.
        out: Folder to make, or that of a fit to go on with.
        labels: A table of labels, for clicks alone.
        test: Files of test clicks.
        split: Share of the query texts that becomes the test split where there is none; None for none.
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
        XMCError: When data, options or folder cannot work.
    """
    if quality not in BUDGETS:
        raise ConfigError(f"quality: expected one of {', '.join(BUDGETS)}, got {quality!r}")
    one_of("metric", metric, METRICS)
    given = BUDGETS[quality] if budget is None else budget
    limit = seconds_of(given, "budget") if isinstance(given, str) else float(given)
    clock = Budget(limit)
    folder = _prepared(Path(out))
    dataset = _dataset(data, folder / "data", labels, test, split, tables, seed)
    fixed = dict(fixed or {})
    facts = measure_facts(dataset, str(fixed.get("encoder.model", "embedded")))
    choices = _choices(dataset, facts, folder, seed, fixed)
    for choice in choices:
        if choice.reason:
            say(str(choice))
    config = _config(choices, metric)
    settings = {"data": dataset.fingerprint, "metric": metric, "rules": {c.option: c.value for c in choices}}
    journal = Journal(folder / "trials.jsonl", settings)
    clock.spent = journal.seconds
    encoders = EncoderCache()
    found = _searched(config, dataset, facts, fixed, clock, journal, encoders, quality, metric, say)
    choices += _found(found, journal, metric)
    choices += _in_time(_config(choices, metric), dataset, facts, clock, journal, encoders, say)
    choices.append(Choice("validation.rows", 0, "the chosen recipe is trained on all rows"))
    config = _config(choices, metric)
    write_recipe(
        folder / "recipe.yaml",
        choices,
        f"Chosen for {dataset.name} by xmc fit, from rules and {len(journal.trials)} trials.",
    )
    say(f"training on all {facts.num_rows:,} rows: {folder / 'recipe.yaml'}")
    resumed = (folder / "run" / "config.yaml").is_file()
    result = train(replace(config, run=replace(config.run, resume=resumed)), dataset=None)
    encoder = DualEncoder.load(folder / "run")
    evaluations = _measured(encoder, config, dataset, encoders) if dataset.num_test else {}
    index = LabelIndex.build(encoder, dataset, progress=False)
    index.save(folder / "index")
    return FitResult(
        folder,
        config,
        choices,
        journal.trials,
        evaluations,
        result,
        folder / "index",
        _example(dataset),
        clock.used,
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
    if isinstance(data, Dataset):
        return data
    if place.is_dir():  # of a fit that was cut short
        return Dataset.load(place)
    source = [data] if isinstance(data, (str, Path)) else list(data)
    if len(source) == 1 and (Path(source[0]) / "dataset.json").is_file():
        return Dataset.load(source[0])
    return prepare(source, place, test=test, labels=labels, split=split, seed=seed, options=tables)


def _choices(
    dataset: Dataset, facts: DataFacts, folder: Path, seed: int, fixed: Mapping[str, Any]
) -> list[Choice]:
    """The rules' choices, less what is fixed."""
    ruled = choose(facts, accelerator=torch.accelerator.is_available())
    return [
        Choice("seed", seed, ""),
        Choice("data.path", str(dataset.path), ""),
        Choice("run.dir", str(folder / "run"), ""),
        *(choice for choice in ruled if choice.option not in fixed),
        *(Choice(option, value, "as asked for") for option, value in fixed.items()),
    ]


def _config(choices: list[Choice], metric: str) -> TrainConfig:
    options = {choice.option: choice.value for choice in choices}
    start = TrainConfig(DataConfig(options["data.path"]), RunOptions(options["run.dir"]))
    return with_options(start, {"validation.metric": metric, **options})


def _searched(
    config: TrainConfig,
    dataset: Dataset,
    facts: DataFacts,
    fixed: Mapping[str, Any],
    clock: Budget,
    journal: Journal,
    encoders: EncoderCache,
    quality: Quality,
    metric: str,
    say: Callable[[str], object],
) -> Standing | None:
    """The winner of the search; None where there was none."""
    if quality == "fast" or config.validation.rows < 2:
        return None
    candidates = [
        changes for changes in neighbours(flat(asdict(config)), facts) if not set(changes) & set(fixed)
    ]
    grown = facts.num_rows / max(1, facts.num_rows - config.validation.rows)
    overhead = 10 + (dataset.num_labels + 2 * dataset.num_test) / 5_000

    def tell(trial: Trial, best: Standing | None) -> None:
        value = "out of time or diverged" if trial.value is None else f"{metric} {trial.value:.2f}"
        part = "" if trial.share == 1 else f" of {trial.share:.2f} of the epochs"
        say(
            f"[{duration(clock.used)}] {trial.name}: {value}{part} in {duration(trial.seconds)}"
            + (f"; best {best.value:.2f}" if best is not None else "")
        )

    search = Search(
        config=config,
        dataset=dataset,
        candidates=candidates,
        metric=metric,
        folds=3 if facts.num_rows <= FEW_ROWS else 2,
        budget=clock,
        reserve=lambda whole: whole * grown * 1.1 + overhead,
        journal=journal,
        tell=tell,
        _encoders=encoders,
    )
    try:
        return search.run()
    except KeyboardInterrupt:
        say("search stopped: training the best so far (once more, Ctrl-C stops that too)")
        return search.best()


def _found(found: Standing | None, journal: Journal, metric: str) -> list[Choice]:
    """What the search changes of the rules' recipe."""
    if found is None or not found.changes:
        return []
    rules = next(t.value for t in journal.trials if not t.changes and t.share == 1)
    reason = f"search: {metric} {found.value:.2f}, {rules:.2f} by the rules"
    return [Choice(option, value, reason) for option, value in found.changes.items()]


def _in_time(
    config: TrainConfig,
    dataset: Dataset,
    facts: DataFacts,
    clock: Budget,
    journal: Journal,
    encoders: EncoderCache,
    say: Callable[[str], object],
) -> list[Choice]:
    """Fewer steps, where the budget does not hold all of them."""
    trials = [t for t in journal.trials if t.num_steps]
    if not trials:
        measured = run_trial(config, dataset, encoders, stop=lambda pace: pace.step == MEASURED_STEPS)
        seconds = measured.step_seconds
    else:
        seconds = trials[-1].step_seconds
    steps = math.ceil(config.training.epochs * facts.num_rows / config.training.batch_size)
    overhead = 10 + (dataset.num_labels + 2 * dataset.num_test) / 5_000
    most = max(MEASURED_STEPS, int((clock.left - overhead) / max(seconds, 1e-6)))
    if steps <= most:
        return []
    say(f"the budget leaves time for {most:,} of {steps:,} steps")
    return [Choice("training.max_steps", most, f"what the budget left time for, of {steps:,}")]


def _measured(
    encoder: DualEncoder, config: TrainConfig, dataset: Dataset, encoders: EncoderCache
) -> dict[str, Evaluation]:
    """Untrained, lexical and trained on the test split."""
    untrained = encoders.copy(config, dataset)
    queries, labels = dataset.texts("test", encoder.metadata.query_fields), encoder.label_texts(dataset)
    ids, scores = LexicalRanker(labels).rank(queries, 100, dataset.filter("test"))
    with tempfile.TemporaryDirectory(prefix="xmc-lexical-") as folder:
        path = Path(folder) / "lexical.npz"
        save_predictions(path, ids, scores)
        lexical = score_predictions(path, dataset)
    return {
        "lexical": lexical,
        "untrained": evaluate(untrained, dataset, progress=False),
        "trained": evaluate(encoder, dataset, progress=False),
    }
