"""From a data set to a model and an index of its labels: chosen by rules, searched for, trained, measured."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from xmc.data import Dataset, labelled_rows
from xmc.data.leaks import advice_on, advice_on_names
from xmc.data.preparing import is_prepared, prepare
from xmc.data.tables import TableOptions
from xmc.distributed import current_world
from xmc.durations import seconds_of
from xmc.encoders import DualEncoder
from xmc.errors import ConfigError
from xmc.evaluation import Evaluation, comparison_table
from xmc.fit_folder import CHOICES, INDEX, RUN
from xmc.prediction.calibration import FILE
from xmc.prediction.classifying import confused_labels
from xmc.prediction.encoded import EncodedData
from xmc.prediction.ensembling import query_votes, rank_test
from xmc.retrieval import LabelIndex
from xmc.retrieval.ensemble import Ensemble
from xmc.retrieval.ensemble_options import EnsembleOptions
from xmc.training import TrainConfig, TrainResult
from xmc.training.config import ValidationConfig
from xmc.training.options import one_of
from xmc.training.run.result import is_trained
from xmc.tuning.arguments import check_fixed, check_plain, given_data, given_files
from xmc.tuning.budget import Budget
from xmc.tuning.choice import Choice, read_choices, write_choices
from xmc.tuning.ending import is_done, train_once, write_end
from xmc.tuning.ensemble import ensemble_of, of_recipe, of_rows
from xmc.tuning.fit_work import FitWork, Quality
from xmc.tuning.journal import Journal, Trial, counted
from xmc.tuning.notes import below_note, calibration_note
from xmc.tuning.recipe import write_recipe
from xmc.tuning.sources import check_sources, write_sources
from xmc.tuning.trial_files import TrialFiles

__all__ = ["BUDGETS", "FitResult", "Quality", "fit"]

SOURCES = "sources.json"
"""What the data were made of, in the folder of a fit of files."""

EXAMPLE = 80
"""Characters of a query that a search for is shown, at most."""

BUDGETS: dict[str, str] = {"fast": "10m", "good": "10m", "best": "1h"}
"""The time of each quality, where none is given."""

METRICS: tuple[str, ...] = get_args(get_type_hints(ValidationConfig)["metric"])
SHOWN = ("P@1", "P@3", "P@5", "nDCG@5", "PSP@1", "PSP@5", "R@10", "R@100")

HELD_OUT = "validation.rows"


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
        sampled: trained and ensemble on some of the test queries alone, where the budget has no time for all
            of them to be ranked by the ensemble; else empty.
        run: The final training.
        index: The folder of the label index.
        example: The text of a query, to search for.
        seconds: All of it took, the trials of earlier sessions included.
        budget: Seconds that it was given.
        notes: What it could not reach, and what to do about it.
    """

    folder: Path
    config: TrainConfig
    choices: list[Choice]
    trials: list[Trial]
    evaluations: dict[str, Evaluation]
    sampled: dict[str, Evaluation]
    run: TrainResult
    index: Path
    example: str
    seconds: float
    budget: float
    notes: list[str]

    def table(self) -> str:
        """The metrics of the systems side by side; empty where there is no test split."""
        tables = [comparison_table(those, SHOWN) for those in (self.evaluations, self.sampled) if those]
        return "\n\n".join(tables)


def fit(
    data: Dataset | str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    labels: str | Path | None = None,
    test: str | Path | Sequence[str | Path] = (),
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
    ``recipe.yaml``, which ``xmc train`` repeats; ``choices.json``; ``trials.jsonl``; the run; the index; at
    last ``fit.json`` with the metrics. A fit that was cut short goes on when it is called again.

    Args:
        data: A prepared data set or its folder, or files; see :func:`xmc.data.prepare`.
        out: Folder to make, or that of a fit to go on with.
        labels: A table of labels, for clicks alone.
        test: Files of test clicks.
        split: Share of the query texts that becomes the test split where none is there; None for none.
        tables: How tables are read.
        budget: Time for everything, as "10m" or in seconds; by default the quality's.
        quality: "fast" takes the rules' recipe as it is, which it tries once on up to 5,000 rows, to see what
            is to rank beside it; "best" has an hour.
        metric: What the search compares by, of the validation rows.
        fixed: Options of the recipe that are not up for choice, by dotted name; none of those that a fit sets
            itself (`xmc.tuning.arguments.OWN`).
        seed: Of the training, and of which rows are held out.
        say: Called with each line of progress.

    Raises:
        KeyboardInterrupt: While the final model trains, is measured or indexed; while candidates are tried,
            it ends the search, and the best so far is trained.
        XMCError: When data, options or folder cannot work, and with several processes.
    """
    check_plain(out=out, labels=labels, split=split, tables=tables, budget=budget, seed=seed, say=say)
    source, test, seed = given_data(data), given_files("test", test), int(seed)
    fixed = check_fixed(fixed)
    one_of("quality", quality, tuple(BUDGETS))
    one_of("metric", metric, METRICS)
    if current_world().size > 1:
        raise ConfigError("expected one process for a fit, got several: train its recipe.yaml with them")
    given = BUDGETS[quality] if budget is None else budget
    clock = Budget(seconds_of(given, "budget") if isinstance(given, str) else float(given))
    if not clock.seconds > 0:
        raise ConfigError(f"budget: expected more than 0 seconds, got {given}")
    new = not Path(out).exists()
    folder = _prepared(Path(out))
    try:
        dataset = _dataset(source, folder / "data", labels, test, split, tables, seed)
    except BaseException:
        if new and not any(folder.iterdir()):
            folder.rmdir()
        raise
    said = advice_on_names(dataset)
    for line in said:
        say(f"note: {line}")
    work = FitWork(dataset, folder, fixed, metric, clock, say)
    rules = work.rules(seed)
    rules_of = {choice.option: choice.value for choice in rules}
    settings = {"data": dataset.fingerprint, "metric": metric, "judged": "seen labels", "rules": rules_of}
    journal = Journal(folder / "trials.jsonl", settings)
    clock.spent = journal.seconds
    choices = _chosen(work, rules, journal, quality)
    config = work.config(choices)
    say(f"training on all {work.facts.num_rows:,} rows: {folder / 'recipe.yaml'}")
    with _saying_how_to_go_on(say):
        before = is_trained(folder / RUN)
        result = train_once(config)
        clock.spent += result.seconds if before else 0.0
        # Only now, as the test split is not looked at before.
        for line in advice_on(dataset):
            if line not in said:
                say(f"note: {line}")
        encoder = DualEncoder.load(folder / RUN)
        work.calibrate(encoder)
        evaluations = work.measured(encoder, config) if dataset.num_test else {}
        sampled = _indexed(work, encoder, ensemble_of(choices), evaluations)
        write_end(folder, evaluations, clock.used, clock.seconds)
    work.kept.remove()
    return FitResult(
        folder=folder,
        config=config,
        choices=choices,
        trials=journal.trials,
        evaluations=evaluations,
        sampled=sampled,
        run=result,
        index=folder / INDEX,
        example=_example(dataset),
        seconds=clock.used,
        budget=clock.seconds,
        notes=_notes(work, choices, journal.trials, evaluations, quality),
    )


def _chosen(work: FitWork, rules: Sequence[Choice], journal: Journal, quality: Quality) -> list[Choice]:
    """What a fit that was cut short had chosen, or what the search chooses now, which is written."""
    place = work.folder / CHOICES
    choices = read_choices(place)
    if choices is not None:
        work.resume()
        return choices
    choices = [*rules, *work.searched(rules, journal, quality)]
    choices += work.in_time(choices, journal)
    choices.append(Choice(HELD_OUT, 0, "the chosen recipe is trained on all rows"))
    choices += work.beside(quality)
    head = f"Chosen for {work.dataset.name} by xmc fit, from rules and {counted(len(journal.trials))}."
    write_recipe(work.folder / "recipe.yaml", of_recipe(choices), head)
    # From here on the recipe is settled: a training that is cut short goes on as what it began as.
    work.settle()
    write_choices(place, choices)
    return choices


def _notes(
    work: FitWork,
    choices: Sequence[Choice],
    trials: Sequence[Trial],
    evaluations: dict[str, Evaluation],
    quality: Quality,
) -> list[str]:
    notes = [below_note(evaluations, work.metric, quality, choices, trials)]
    if work.calibration is None:
        ruled = [choice.value for choice in choices if choice.option == HELD_OUT]
        has_test, run = bool(work.dataset.num_test), work.folder / RUN
        notes.append(calibration_note(run, quality, trials, held_out=ruled[0], has_test=has_test))
    return [note for note in notes if note is not None]


@contextmanager
def _saying_how_to_go_on(say: Callable[[str], object]) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        say("interrupted: the same command, or call of xmc.fit, goes on")
        raise


def _indexed(
    work: FitWork, encoder: DualEncoder, options: EnsembleOptions, evaluations: dict[str, Evaluation]
) -> dict[str, Evaluation]:
    """Save the index of the labels with what ranks beside the model, whose metrics join the evaluations.

    Returns:
        Those of some test rows, where there is no time for all.
    """
    dataset, folder = work.dataset, work.folder
    sampled: dict[str, Evaluation] = {}
    # By the model's place, which the index remembers: a search finds the model by it.
    index = LabelIndex.build(folder / RUN, dataset, progress=False)
    if options:
        encoded = EncodedData(encoder, dataset, labels=_vectors(index), progress=False)
        votes = query_votes(encoded)[0] if options.vote is not None else None
        classifiers = None
        if options.classifiers:
            rows = labelled_rows(dataset.relevance("train"))
            classifiers = work.words.classifiers(rows, confused_labels(encoded, rows))
        index.add_ensemble(options, votes, classifiers)
        if dataset.num_test:
            ensemble = Ensemble(options, votes, lambda: encoder.label_texts(dataset), classifiers)
            rows, alone, together = rank_test(encoded, ensemble, seconds=work.beside_seconds)
            if len(rows) == dataset.num_test:
                evaluations["ensemble"] = work.scored(together, "what the index ranks")
            else:
                names = {"trained": alone, "ensemble": together}
                trained = evaluations["trained"]
                sampled = {n: of_rows(trained, dataset, rows, lists, SHOWN) for n, lists in names.items()}
    index.save(folder / INDEX, overwrite=True)
    if options and work.index_calibration is not None:
        known = replace(work.index_calibration, model_fingerprint=index.manifest.model_fingerprint)
        known.save(folder / INDEX / FILE)
    return sampled


def _vectors(index: LabelIndex) -> NDArray[np.float32] | None:
    """The labels' vectors [L, D] as the model gave them; None of labels of several texts."""
    found = None if index.manifest.has_several_texts else index.vectors(index.live_ids)
    return None if found is None else np.ascontiguousarray(found[:, : index.manifest.dimension])


def _example(dataset: Dataset) -> str:
    """The title of a query, of the test split where there is one; the first words of a long one."""
    titles = dataset.texts("test" if dataset.num_test else "train", ["title"])
    first = next((text for text in titles[: min(len(titles), 50)] if text.strip()), "")
    return textwrap.shorten(first, EXAMPLE, placeholder="") or first[:EXAMPLE]


def _prepared(folder: Path) -> Path:
    if is_done(folder):
        TrialFiles(folder / "held-out").remove()  # which a fit leaves that was killed while it removed them
        raise ConfigError(f"out: expected a new folder, or a fit to go on with, but that in {folder} is done")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"out: expected a folder to make, or that of a fit, but {folder} is no folder")
    others = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if others and not {"trials.jsonl", "data"} & set(others):
        raise ConfigError(f"out: expected {folder} to be new or empty, but it holds {', '.join(others[:3])}")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _dataset(
    data: Dataset | list[str | Path],
    place: Path,
    labels: str | Path | None,
    test: Sequence[str | Path],
    split: float | None,
    tables: TableOptions | None,
    seed: int,
) -> Dataset:
    source = [data.path] if isinstance(data, Dataset) else data
    if len(source) == 1 and is_prepared(Path(source[0])):
        # What is of files alone is refused with it.
        opened = prepare(source, place, test=test, labels=labels, options=tables)
        return data if isinstance(data, Dataset) else opened
    record = place.parent / SOURCES
    files = {"source": source, "labels": [] if labels is None else [labels], "test": test}
    options = {"split": split, "seed": seed, "tables": None if tables is None else asdict(tables)}
    if place.is_dir():  # of a fit that was cut short
        check_sources(record, files, options)
        return Dataset.load(place)
    made = prepare(
        source, place, test=test, labels=labels, split=split, keep_test=True, seed=seed, options=tables
    )
    write_sources(record, files, options)
    return made
