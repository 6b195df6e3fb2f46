"""Fuses the rankings of a data set's test queries by several systems, with weights from held-out rows."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.data import Dataset, inverse_propensity
from xmc.errors import ConfigError
from xmc.evaluation import Evaluation, comparison_table, save_predictions, score_predictions
from xmc.evaluation.weights import ChosenWeights, check_metric, choose_weights, measure_by
from xmc.prediction.score_readings import Reading, as_read, describe_readings, reading_of
from xmc.prediction.sources import LEXICAL, Source, open_sources, validation_rows
from xmc.retrieval.fusion import (
    NORMALISATIONS,
    Lists,
    Normalisation,
    reciprocal_rank_fusion,
    weighted_fusion,
)

__all__ = ["FUSED", "LEXICAL", "METHODS", "Fusion", "fuse"]

Method = Literal["weighted", "rrf"]
METHODS: tuple[Method, ...] = ("weighted", "rrf")
FUSED = "fused"
DEPTH = 100
SHOWN = ("P@1", "P@3", "P@5", "nDCG@5", "PSP@1", "PSP@5", "R@10", "R@100")


@dataclass(frozen=True)
class Fusion:
    """What a fusion came to.

    Attributes:
        names: Of the systems.
        weights: One for each; with "rrf" and none given, 1.
        normalisation: Of scores; None with "rrf".
        readings: What the scores of each system were taken for, where shares were taken of them; else None.
        ids, scores: [N, 100] of the test rows.
        evaluations: Of each system and of the fusion, on the test split.
        chosen: What the weights were chosen by; None where they were given, or need no choice.
        num_validation: Rows that they were chosen on.
    """

    names: tuple[str, ...]
    weights: tuple[float, ...]
    normalisation: Normalisation | None
    readings: tuple[Reading, ...] | None
    ids: NDArray[np.int64]
    scores: NDArray[np.float64]
    evaluations: dict[str, Evaluation]
    chosen: ChosenWeights | None
    num_validation: int

    def table(self) -> str:
        """The metrics of each system and of the fusion on the test split, in percent."""
        return comparison_table(self.evaluations, SHOWN)

    def reason(self) -> str:
        """The weights, and what they were chosen by."""
        shares = ", ".join(f"{name} {w:g}" for name, w in zip(self.names, self.weights, strict=True))
        if self.normalisation is not None:
            shares += f" (of scores normalised by {self.normalisation})"
        if self.readings is not None:
            shares += f"\n{describe_readings(self.names, self.readings)}"
        if self.chosen is None:
            return f"weights: {shares}"
        columns = [*zip(self.names, self.chosen.alone, strict=True), (FUSED, self.chosen.metrics)]
        width = max(9, *(len(name) + 2 for name, _ in columns))
        lines = [
            f"weights: {shares}",
            f"chosen on {self.num_validation:,} held-out training rows; percent",
            f"{'':<10}" + "".join(f"{name:>{width}}" for name, _ in columns),
        ]
        for metric in self.chosen.metrics:
            lines.append(f"{metric:<10}" + "".join(f"{values[metric]:>{width}.2f}" for _, values in columns))
        return "\n".join(lines)


def fuse(
    systems: Sequence[str],
    dataset: Dataset | str | Path,
    *,
    method: Method = "weighted",
    normalisation: Normalisation | None = None,
    weights: Sequence[float] | None = None,
    metric: str = "nDCG@5",
    keep: Sequence[str] = ("P@1",),
    validation: Sequence[str | Path] = (),
    progress: bool = True,
) -> Fusion:
    """Rank the test queries by what several systems say together.

    The test split is measured and decides nothing: weights are chosen on training rows that a run among the
    systems held out, or that the files of ``validation`` are of.

    Args:
        systems: Runs, models, files of predictions as `xmc score` reads them, "lexical" for tf-idf, "bm25".
        dataset: A prepared data set with a test split, or its folder.
        method: "weighted" sums of scores, or "rrf", reciprocal ranks, which need no weights.
        normalisation: Of scores, for "weighted" (see `weighted_fusion`). When None, the better of min_max and
            share on the held-out rows; min_max where weights are given. Shares are of the softmax of a
            model's logits, and of a file that has scores below 0: in its lists for the held-out rows where
            weights are chosen, which says what its test lists are, too.
        weights: One for each system, 0 allowed; chosen when None.
        metric: What they are chosen by.
        keep: Metrics that the choice must not lower on the held-out rows.
        validation: For each file among the systems, in order, a file of its predictions for the training
            split that has the held-out rows, by a model that was not trained on them.
        progress: Show bars.

    Raises:
        ConfigError: When options do not go together, or held-out rows are missing or not known.
        DataError: When predictions cannot be read, do not have the held-out rows, or have scores below 0 for
            the test rows alone and shares are taken of them.
        ModelError: When a model cannot be opened.
    """
    _check(systems, method, normalisation, metric, keep, weights)
    dataset = dataset if isinstance(dataset, Dataset) else Dataset.load(dataset)
    if not dataset.num_test:
        raise ConfigError(
            f"expected a data set with test rows to fuse the rankings of, {dataset.name} has none"
        )
    sources = open_sources(systems, validation)
    names = tuple(source.name for source in sources)
    if FUSED in names:
        raise ConfigError(f"expected no system called {FUSED!r}, as the fusion is: rename the file or folder")
    chosen, num_validation = None, 0
    readings: tuple[Reading, ...] | None = None
    scaling: Normalisation = normalisation or "min_max"
    if weights is None and method == "weighted":
        rows = validation_rows(sources, dataset)
        num_validation = len(rows)
        lists = [source.of_rows(dataset, rows, DEPTH, progress=progress) for source in sources]
        readings = _readings(sources, lists)
        tried: tuple[Normalisation, ...] = (normalisation,) if normalisation else ("min_max", "share")
        ready = {way: _ready(sources, lists, way, readings, [1.0] * len(sources)) for way in tried}
        found = {way: _chosen(ready[way], dataset, rows, metric, keep, way) for way in tried}
        scaling = max(found, key=lambda way: found[way].metrics[metric])
        chosen = found[scaling]
    shares = tuple(chosen.weights if chosen else map(float, weights or [1.0] * len(sources)))
    tested = [source.of_test(dataset, DEPTH, progress=progress) for source in sources]
    readings = _readings(sources, tested) if readings is None else readings
    if method == "rrf":
        ids, scores = reciprocal_rank_fusion([ids for ids, _ in tested], DEPTH, weights=shares)
    else:
        used = _ready(sources, tested, scaling, readings, shares)
        ids, scores = weighted_fusion(used, shares, DEPTH, normalisation=scaling)
    evaluations = {
        source.name: _measured(source, one, dataset) for source, one in zip(sources, tested, strict=True)
    }
    # Lists of it are short where those of the systems are, which is told of them.
    evaluations[FUSED] = _measured_lists(FUSED, (ids, scores), dataset, quiet=True)
    way = None if method == "rrf" else scaling
    told = readings if way == "share" else None
    return Fusion(names, shares, way, told, ids, scores, evaluations, chosen, num_validation)


def _ready(
    sources: Sequence[Source],
    lists: Sequence[Lists],
    normalisation: Normalisation,
    readings: Sequence[Reading],
    weights: Sequence[float],
) -> list[Lists]:
    """The lists with scores that the normalisation can take; as they are of a system of weight 0."""
    if normalisation != "share":
        return list(lists)
    return [
        as_read(source.name, one, reading) if weight else one
        for source, one, reading, weight in zip(sources, lists, readings, weights, strict=True)
    ]


def _readings(sources: Sequence[Source], lists: Sequence[Lists]) -> tuple[Reading, ...]:
    return tuple(
        reading_of(one, are_logits=source.has_logits) for source, one in zip(sources, lists, strict=True)
    )


def _check(
    systems: Sequence[str],
    method: str,
    normalisation: str | None,
    metric: str,
    keep: Sequence[str],
    weights: Sequence[float] | None,
) -> None:
    for option, value, known in (
        ("method", method, METHODS),
        ("normalisation", normalisation, NORMALISATIONS),
    ):
        if value is not None and value not in known:
            raise ConfigError(f"{option}: expected {' or '.join(known)}, got {value!r:.80}")
    if method == "rrf" and normalisation is not None:
        raise ConfigError(
            f"expected no normalisation with reciprocal ranks, which look at no score, got {normalisation}: "
            "leave it out, or take --method weighted"
        )
    if len(systems) < 2:
        raise ConfigError(f"expected two systems or more to fuse, got {len(systems)}")
    check_metric("metric", metric, DEPTH)
    for name in keep:
        check_metric("keep", name, DEPTH)
    if weights is not None and len(weights) != len(systems):
        raise ConfigError(f"weights: expected one for each of {len(systems)} systems, got {len(weights)}")


def _chosen(
    lists: Sequence[Lists],
    dataset: Dataset,
    rows: NDArray[np.int64],
    metric: str,
    keep: Sequence[str],
    normalisation: Normalisation,
) -> ChosenWeights:
    relevance, constants = dataset.relevance("train"), dataset.propensity
    measure = measure_by(
        sp.csr_matrix(relevance[rows]),
        inverse_propensity(relevance, constants.a, constants.b),
        list(dict.fromkeys((metric, *keep, "PSP@5", "R@100"))),
    )
    return choose_weights(lists, measure, metric, keep=keep, k=DEPTH, normalisation=normalisation)


def _measured(source: Source, lists: Lists, dataset: Dataset) -> Evaluation:
    if source.is_file:
        return score_predictions(source.place, dataset, named=source.name)
    return _measured_lists(source.name, lists, dataset)


def _measured_lists(name: str, lists: Lists, dataset: Dataset, *, quiet: bool = False) -> Evaluation:
    with tempfile.TemporaryDirectory(prefix="xmc-fuse-") as folder:
        path = Path(folder) / "ranking.npz"
        save_predictions(path, *lists)
        return score_predictions(path, dataset, named=name, quiet=quiet)
