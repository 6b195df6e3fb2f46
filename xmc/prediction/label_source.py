"""Opens what ``xmc predict`` predicts with: an index, or a run or model and the labels of a data set."""

from __future__ import annotations

import logging
from pathlib import Path

from xmc.counted import agreeing, counted
from xmc.encoders import resolve_model
from xmc.errors import ConfigError
from xmc.fit_folder import INDEX, RUN, part_of_fit
from xmc.prediction.calibration import FILE, Calibration
from xmc.retrieval.label_index import INDEX_MARKS, LabelIndex

__all__ = ["calibration_file", "find_calibration", "open_labels", "ranks_by_itself"]

_log = logging.getLogger(__name__)


def open_labels(model: str | Path, labels: str | None = None, *, progress: bool = True) -> LabelIndex:
    """The labels that texts are ranked against.

    Args:
        model: An index folder; or a run's folder or a model, whose labels are encoded now.
        labels: A prepared data set's folder; the one the run was trained on when None. Not for an index.
        progress: Show a bar over the labels.

    Raises:
        ConfigError: When labels are given for an index, or not for a model that is no run.
        XMCError: When any of it cannot be opened.
    """
    if any((Path(model) / mark).is_file() for mark in INDEX_MARKS):
        if labels is not None:
            raise ConfigError(
                "--labels: expected none for an index, which has its own: give a run or a model"
            )
        return LabelIndex.load(model, with_queries=True)
    # Only here: they load torch, for which a search in an index has no time.
    from xmc.reports import dataset_of
    from xmc.reports.stored import is_run_folder

    if labels is None and not is_run_folder(model):
        if (named := part_of_fit(model, INDEX, RUN)) is not None:
            raise ConfigError(f"expected an index or a run's folder, which know their labels, but {named}")
        # Before the hub is asked for a model of that name.
        raise ConfigError(
            f"expected an index or a run's folder, which know their labels, got {model}: name the data set "
            "with the labels (--labels DATASET)"
        )
    index = LabelIndex.build(str(model), labels or dataset_of([str(model)]), progress=progress)
    # Queries are encoded as those of a saved index: their scores are the same to the bit.
    index.release_model()
    return index


def find_calibration(index: LabelIndex, file: str | Path | None = None) -> Calibration | None:
    """The calibration of an index's model: the one given, else the one beside the model, else None.

    For an index that ranks with more than its model, or by some components of its vectors, the one in its own
    folder takes the model's place.

    One that was fitted with other labels, or whose scores the index only approximates, is taken with a
    warning.

    Raises:
        ConfigError: When the one given was fitted for another model.
        DataError: When it cannot be read.
    """
    place = file or calibration_file(index)
    if place is None:
        return None
    found = Calibration.load(place)
    if found.model_fingerprint != index.manifest.model_fingerprint:
        told = (
            f"{place} was fitted for the model {found.model_fingerprint}, and this one is "
            f"{index.manifest.model_fingerprint}"
        )
        if file is not None:
            raise ConfigError(f"{told}: fit it again with xmc calibrate")
        _log.warning("%s: it is not used; fit it again with xmc calibrate", told)
        return None
    if found.num_labels != len(index):
        _log.warning(
            "probabilities were fitted with %s, and here %s %s: they are about right at best",
            *(counted(found.num_labels, "label"), agreeing(len(index), "is", "are"), f"{len(index):,}"),
        )
    if not index.manifest.exact_scores:
        _log.warning(
            "probabilities and thresholds were fitted on exact scores, and those of the index %s are "
            "approximate: they are about right at best; an index whose vectors are not compressed (Flat, "
            "IVF256,Flat, HNSW32) has exact ones",
            index.manifest.factory,
        )
    return found


def calibration_file(index: LabelIndex) -> Path | None:
    """Where the calibration of an index's own ranking is; None where there is none."""
    if ranks_by_itself(index):
        inside = None if index.folder is None else index.folder / FILE
        return inside if inside is not None and inside.is_file() else None
    place = index.model_place
    if place is None or not Path(place).exists():
        return None
    file = resolve_model(place) / FILE
    return file if file.is_file() else None


def ranks_by_itself(index: LabelIndex) -> bool:
    """Whether its scores are not those of the model alone, so that its calibration is in its own folder."""
    return bool(index.manifest.ensemble) or index.manifest.truncated_to is not None
