"""What can be compared and reported: a run's folder, a model, or predictions, as one kind of thing."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.data import Dataset
from xmc.encoders.metadata import EncoderMetadata
from xmc.errors import ConfigError, DataError
from xmc.evaluation import Evaluation, load_predictions
from xmc.evaluation.hits import Hits, all_hits
from xmc.evaluation.short_lists import warn_of_short_lists
from xmc.fit_folder import RUN, data_beside, part_of_fit
from xmc.received import read_yaml, reading
from xmc.reports.run_model import run_model
from xmc.reports.stored import DEPTH, is_run_folder, load_evaluation, predictions_path, store_evaluation
from xmc.seed_folders import run_of_seeds

if TYPE_CHECKING:
    from xmc.encoders import DualEncoder

__all__ = ["System", "dataset_of", "open_systems", "system_names"]

Split = Literal["train", "test"]

_PREDICTIONS = (".npz", ".trec", ".jsonl")
"""What files of predictions are called; one of another name is told by being a file."""

# Of the metrics that are shown however short the lists are; R@k is left out where no list reaches k.
_CUTS = (1, 3, 5)


@dataclass(frozen=True, eq=False)
class System:
    """A ranking of one split, and where it comes from."""

    name: str
    ids: NDArray[np.int32]
    """[N, K] label ids, best first, -1 pads."""
    scores: NDArray[np.float32]
    """[N, K]."""
    truth: sp.csr_matrix
    """[N, L], the relevance of the split."""
    run: Path | None = None
    """The run's folder, when it is one."""
    evaluation: Evaluation | None = None
    """None for a file of predictions."""
    scale: float | None = None
    """Of the model: its logit is scale x score. None for predictions, or where there is no logit."""

    @cached_property
    def hits(self) -> Hits:
        """The right predictions, found when first asked for: all that a report says of a ranking needs them.

        Raises:
            DataError: When the ranking is malformed.
        """
        return all_hits(self.truth, self.ids)


def open_systems(
    sources: Sequence[str], dataset: Dataset, split: Split, *, progress: bool = True
) -> list[System]:
    """The rankings of ``split`` by each source, with distinct names.

    A run's stored ranking is used where it fits its model and the data; otherwise it is computed, and stored
    in the run's folder. A model's is computed and not kept.

    Args:
        sources: Run folders, model folders or hub names, or files of predictions, of any format that
            `xmc.evaluation.score_predictions` reads.
        dataset: The data set.
        split: Whose queries.
        progress: Show bars.

    Raises:
        DataError: When predictions are of another shape than the split.
        ModelError: When a model cannot be opened.
    """
    names = system_names(sources)
    return [
        replace(_open(source, dataset, split, progress), name=name)
        for source, name in zip(sources, names, strict=True)
    ]


def dataset_of(sources: Sequence[str]) -> str:
    """The data set's folder that the runs among ``sources`` were trained on.

    Where it is gone, that of a fit is taken which was moved together with its run.

    Raises:
        ConfigError: When none of them is a run, or they name different folders.
    """
    for source in sources:
        if (named := part_of_fit(source, RUN) or run_of_seeds(source)) is not None:
            raise ConfigError(f"expected a run, but {named}")
    paths = {_data_path(source) for source in sources if is_run_folder(source)}
    if len(paths) == 1:
        return str(paths.pop())
    came = f"the runs were trained on {' and '.join(sorted(paths))}" if paths else "none of these is a run"
    raise ConfigError(f"expected --dataset to name a data set's folder, as {came}")


def _open(source: str, dataset: Dataset, split: Split, progress: bool) -> System:
    path = Path(source)
    if path.is_file() or path.suffix in _PREDICTIONS:
        return _predicted(path, dataset, split)
    if not is_run_folder(path):
        with tempfile.TemporaryDirectory() as folder:
            return _evaluated(_whole(source), dataset, split, Path(folder) / "ranking.npz", progress)
    model = run_model(path)
    stored = load_evaluation(path, dataset, split, model.fingerprint)
    if stored is None:
        ranking = predictions_path(path, dataset.name, split)
        system = _evaluated(model.opened or _whole(source), dataset, split, ranking, progress)
        assert system.evaluation is not None
        store_evaluation(path, system.evaluation)
        return replace(system, run=path)
    evaluation, ids, scores = stored
    return System(path.name, ids, scores, dataset.relevance(split), path, evaluation, _scale(model.metadata))


def _whole(source: str) -> DualEncoder:
    from xmc.encoders import DualEncoder

    return DualEncoder.load(source)


def _evaluated(model: DualEncoder, dataset: Dataset, split: Split, ranking: Path, progress: bool) -> System:
    from xmc.evaluation import evaluate

    evaluation = evaluate(model, dataset, split=split, predictions=ranking, progress=progress)
    ids, scores = load_predictions(ranking)
    return System("", ids, scores, dataset.relevance(split), None, evaluation, _scale(model.metadata))


def _scale(metadata: EncoderMetadata) -> float | None:
    """None for a model that ranks by magnitude, which a softmax says nothing of."""
    return metadata.scale if metadata.ranking == "score" else None


def _predicted(path: Path, dataset: Dataset, split: Split) -> System:
    """A file of predictions, by the ruler of `xmc score`: equal scores rank by label id."""
    from xmc.evaluation.score import given_lists  # xmc table needs none of it

    if path.suffix == ".npz":
        _check_rows(path, dataset, split)
    excluded = dataset.filter(split)
    lists = given_lists(path, dataset, split=split, depth=DEPTH)
    room = dataset.num_labels - (0 if excluded is None else np.diff(excluded.indptr))
    warn_of_short_lists(str(path), lists.lengths, np.broadcast_to(room, len(lists.ids)), _CUTS)
    # A list of all labels is as deep as any cut-off.
    whole = bool((lists.lengths >= room).any())
    width = DEPTH if whole else min(DEPTH, max(1, int(lists.lengths.max(initial=0))))
    return System(path.stem, lists.ids[:, :width], lists.scores[:, :width], dataset.relevance(split))


def _check_rows(path: Path, dataset: Dataset, split: Split) -> None:
    """Refuse lists by row of another number of rows.

    Raises:
        DataError: Naming both numbers.
    """
    from xmc.evaluation.npy_stream import NpyReader
    from xmc.evaluation.readers import detect_format

    if path.is_file() and detect_format(path) == "npz":
        num_rows = dataset.relevance(split).shape[0]
        with NpyReader(path, "ids") as ids:
            came = ids.shape[0]
        if came != num_rows:
            raise DataError(
                f"{path}: expected predictions for the {num_rows:,} {split} rows of {dataset.name}, got "
                f"{came:,} rows: name the data set and split they were made for"
            )


def system_names(sources: Sequence[str]) -> list[str]:
    """The last part of each path, or as much as was given where that is not distinct.

    Raises:
        ConfigError: When one is named twice.
    """
    paths = [Path(source) for source in sources]
    short = [path.stem if path.suffix in _PREDICTIONS else path.name for path in paths]
    names = [
        name if name and short.count(name) == 1 else source
        for name, source in zip(short, sources, strict=True)
    ]
    if len({os.path.normpath(source) for source in sources}) < len(names):
        raise ConfigError(f"expected different systems, got {', '.join(sources)}: name each once")
    return names


def _data_path(run: str) -> str:
    path = _config(run)["data"]["path"]
    beside = None if Path(path).exists() else data_beside(run)
    return path if beside is None else str(beside)


def _config(run: str) -> dict[str, dict[str, str]]:
    path = Path(run) / "config.yaml"
    with reading(path, "a run's configuration with data.path", error=ConfigError):
        content = read_yaml(path)
        if not isinstance(content["data"]["path"], str):
            raise ValueError(f"data.path is {content['data']['path']!r:.80}")
    return content  # type: ignore[no-any-return]
