"""Fits a calibration on rows that a model was not trained on."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.counted import counted
from xmc.data import Dataset, train_validation_split
from xmc.encoders import DualEncoder, EncoderMetadata, resolve_model
from xmc.errors import ConfigError, DataError
from xmc.evaluation.hits import all_hits
from xmc.prediction.calibrating import fit_calibration
from xmc.prediction.calibration import Calibration
from xmc.prediction.encoded import EncodedData
from xmc.received import read_yaml, reading
from xmc.reports import dataset_of
from xmc.reports.stored import is_run_folder

__all__ = ["calibrate", "held_out_rows"]

_log = logging.getLogger(__name__)

OTHER_ROWS = "name rows that it was not trained on (--dataset DATASET --split test)"


def calibrate(
    model: str | Path,
    dataset: str | Path | None = None,
    *,
    split: str = "validation",
    depth: int = 100,
    progress: bool = True,
) -> Calibration:
    """Rank all labels for held-out rows, and fit probabilities and thresholds on what is right.

    Args:
        model: A run's folder, or a model.
        dataset: A prepared data set's folder; the one the run was trained on when None.
        split: "validation" are the rows that the run held out of training; "train" or "test" all rows.
        depth: Labels ranked of each row.
        progress: Show bars.

    Raises:
        ConfigError: When there is no data set, no validation rows, or the data set is not the one whose rows
            the run held out.
        DataError: When the rows cannot be calibrated on.
        ModelError: When the model cannot be opened.
    """
    if split not in ("validation", "train", "test"):
        raise ConfigError(f"expected a split of validation, train or test, got {split}")
    if depth < 1:
        raise ConfigError(f"expected a depth of at least 1, got {depth}")
    opened = Dataset.load(dataset or dataset_of([str(model)]))
    rows = held_out_rows(model, opened) if split == "validation" else None
    half = "test" if split == "test" else "train"
    truth = opened.relevance(half)
    rows = np.arange(truth.shape[0]) if rows is None else rows
    if not len(rows):
        raise DataError(f"expected {split} rows to calibrate on, {opened.name} has none: name another split")
    encoder = DualEncoder.load(model)
    if split == "train":
        _log.warning(
            "calibrated on all training rows: if the model was trained on them, probabilities are too high"
        )
    ids, scores = EncodedData(encoder, opened, progress=progress).ranked(half, rows, depth)
    named = counted(len(rows), f"{split} row")
    what = named if split == "validation" else f"the {named}"
    return fit_calibration(
        all_hits(sp.csr_matrix(truth[rows]), ids),
        ids,
        scores,
        model_fingerprint=encoder.fingerprint,
        num_labels=opened.num_labels,
        rows=f"{what} of {opened.name}",
    )


def held_out_rows(run: str | Path, dataset: Dataset, *, mend: str = OTHER_ROWS) -> NDArray[np.int64]:
    """The training rows that a run held out, int64 [V] ascending, which its configuration says.

    Args:
        run: Its folder.
        dataset: That it was trained on.
        mend: What errors say to do where there are none.

    Raises:
        ConfigError: When it is no run, held none out, or was trained on another data set.
        ModelError: When it has no model.
    """
    if not is_run_folder(run):
        raise ConfigError(f"expected a run's folder, whose validation rows are known, got {run}: {mend}")
    file = Path(run) / "config.yaml"
    with reading(file, "a run's configuration", error=ConfigError):
        content = read_yaml(file)
        count, seed = int(content["validation"]["rows"]), int(content["seed"])
        place = Path(content["data"]["path"])
    if not count:
        raise ConfigError(
            f"expected the run {run} to have held out rows (validation.rows), but it held out none: {mend}"
        )
    if not _was_trained_on(run, place, dataset):
        raise ConfigError(
            f"expected the data set that {run} was trained on ({place}), for its validation rows, but "
            f"{dataset.path} is another, or was imported again since: rows drawn of it may be rows that the "
            f"run was trained on: {mend}"
        )
    return train_validation_split(dataset.relevance("train"), count, seed)[1]


def _was_trained_on(run: str | Path, place: Path, dataset: Dataset) -> bool:
    """Whether a data set is the one that a run was trained on, which its configuration has at ``place``."""
    metadata = EncoderMetadata.load(resolve_model(run)) or EncoderMetadata()
    if metadata.dataset_fingerprint is not None:
        return metadata.dataset_fingerprint == dataset.fingerprint
    same = dataset.path.resolve() == place.resolve()
    return same and metadata.label_fingerprint in (None, dataset.label_fingerprint)
