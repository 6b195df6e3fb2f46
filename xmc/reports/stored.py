"""Evaluations kept in a run's folder: ``evaluations/<data set>-<split>.json`` and the ranking as ``.npz``."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xmc.data import Dataset
from xmc.encoders.card import CARD_FILE
from xmc.errors import DataError
from xmc.evaluation import Evaluation, load_predictions
from xmc.evaluation.card import add_evaluation
from xmc.files import atomic_file
from xmc.received import read_text, reading

__all__ = [
    "DEPTH",
    "is_run_folder",
    "keep_evaluation",
    "load_evaluation",
    "place_to_keep",
    "predictions_path",
    "store_evaluation",
    "stored_evaluations",
]

FOLDER = "evaluations"
DEPTH = 100
"""Labels of each ranking that reports need, as `evaluate` ranks by default."""


def is_run_folder(path: str | Path) -> bool:
    """Whether ``path`` is the folder of a training run."""
    return (Path(path) / "config.yaml").is_file()


def predictions_path(run: str | Path, dataset_name: str, split: str) -> Path:
    """Where a run keeps its ranking of a split; the metrics are beside it, with the ending ``.json``."""
    plain = re.sub(r"[^\w.-]+", "-", dataset_name).strip(".-") or "dataset"
    return Path(run) / FOLDER / f"{plain}-{split}.npz"


def store_evaluation(run: str | Path, evaluation: Evaluation) -> Path:
    """Write the metrics beside the ranking, which must be there already, and into the model's card.

    The metrics are written last, so that where they are the ranking is whole.

    Args:
        run: The run's folder.
        evaluation: Of the model in its ``model/``.

    Returns:
        The JSON file.

    Raises:
        DataError: When the ranking is not there.
        XMCError: When the files cannot be written.
    """
    ranking = predictions_path(run, evaluation.dataset, evaluation.split)
    if not ranking.is_file():
        raise DataError(f"expected the ranking that was evaluated in {ranking}, found none: evaluate again")
    path = ranking.with_suffix(".json")
    with atomic_file(path) as temporary:
        temporary.write_text(evaluation.to_json() + "\n", encoding="utf-8")
    card = Path(run) / "model" / CARD_FILE
    if card.is_file():
        with reading(card, "a model card"):
            before = read_text(card)
        text = add_evaluation(before, evaluation)
        with atomic_file(card) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return path


def place_to_keep(model: str | Path, dataset: str | Path, split: str) -> Path | None:
    """Where the ranking by a run's model is kept, or None for a model that is no run or is read-only.

    Raises:
        DataError: When ``dataset`` is no prepared data set.
    """
    if not is_run_folder(model) or not os.access(model, os.W_OK):
        return None
    return predictions_path(model, Dataset.load(dataset).name, split)


def keep_evaluation(run: str | Path, evaluation: Evaluation, ranking: str | Path) -> Path:
    """Copy the ranking into the run's folder, if it was written elsewhere, then :func:`store_evaluation`."""
    place = predictions_path(run, evaluation.dataset, evaluation.split)
    if Path(ranking).absolute() != place.absolute():
        with atomic_file(place) as temporary:
            shutil.copyfile(ranking, temporary)
    return store_evaluation(run, evaluation)


def stored_evaluations(run: str | Path) -> list[Evaluation]:
    """Every evaluation kept in a run's folder, by file name.

    Raises:
        DataError: When a file there is no evaluation.
    """
    files = sorted((Path(run) / FOLDER).glob("*.json"))
    return [_stored(path) for path in files]


def load_evaluation(
    run: str | Path, dataset: Dataset, split: str, model_fingerprint: str | None
) -> tuple[Evaluation, NDArray[np.int32], NDArray[np.float32]] | None:
    """A run's stored metrics and ranking (ids and scores, [N, K]), or None when there are none that fit.

    They fit when data set, split and model are those they were made with, and lists are long enough: a run
    that was trained on since has another model.

    Args:
        run: The run's folder.
        dataset: To be ranked.
        split: "train" or "test".
        model_fingerprint: Of the run's model; None when it keeps none, and then any fits.

    Raises:
        DataError: When the files are damaged.
    """
    ranking = predictions_path(run, dataset.name, split)
    metrics = ranking.with_suffix(".json")
    if not (ranking.is_file() and metrics.is_file()):
        return None
    evaluation = _stored(metrics)
    if (evaluation.dataset_fingerprint, evaluation.split) != (dataset.fingerprint, split):
        return None
    if evaluation.depth < DEPTH or (len(dataset.unseen_labels) and evaluation.novel is None):
        return None
    if model_fingerprint not in (None, evaluation.model):
        return None
    ids, scores = load_predictions(ranking)
    if len(ids) != evaluation.num_queries:
        raise DataError(f"{ranking}: expected {evaluation.num_queries} rows, got {len(ids)}: evaluate again")
    return evaluation, ids, scores


def _stored(path: Path) -> Evaluation:
    with reading(path, "an evaluation", "evaluate again"):
        text = read_text(path)
    try:
        return Evaluation.from_json(text)
    except DataError as error:
        raise DataError(f"{path}: {error}: evaluate again") from error
