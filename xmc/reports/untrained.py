"""The untrained encoder as the baseline of a run, measured anew."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from xmc.data import Dataset, TextColumn
from xmc.encoders import DualEncoder
from xmc.encoders.config import EncoderConfig
from xmc.errors import ConfigError
from xmc.evaluation import evaluate, load_predictions
from xmc.random_streams import Stream, torch_seed
from xmc.received import read_yaml, reading
from xmc.reports.gains import NAME
from xmc.reports.systems import Split, System
from xmc.typed import from_plain

__all__ = ["open_untrained"]


def open_untrained(run: str | Path, dataset: Dataset, split: Split, *, progress: bool = True) -> System:
    """The ranking by the encoder that a run began with, built anew from the run's configuration.

    It ranks by the texts alone, without residuals, offsets or a head, which only training gives a meaning.

    Raises:
        ConfigError: When ``run`` is no run's folder, or its configuration is of another version.
        DataError: When the data set that the run was trained on is gone.
        ModelError: When the model that the run began with cannot be opened any more.
    """
    path = Path(run) / "config.yaml"
    if not path.is_file():
        raise ConfigError(f"--untrained: expected the first of the runs to be a run's folder, got {run}")
    with reading(path, "the configuration of a run", error=ConfigError):
        content = read_yaml(path)
        config = from_plain(EncoderConfig, content["encoder"])
        data, seed = dict(content["data"]), int(content["seed"])
        trained_on = Path(data["path"])
    # A vocabulary, and the fields where none are named, come from what the run was trained on.
    same = dataset.path.resolve() == trained_on.resolve()
    encoder = _built(config, data, seed, dataset if same else Dataset.load(trained_on))
    with tempfile.TemporaryDirectory() as folder:
        ranking = Path(folder) / "ranking.npz"
        evaluation = evaluate(encoder, dataset, split=split, predictions=ranking, progress=progress)
        ids, scores = load_predictions(ranking)
    return System(NAME, ids, scores, dataset.relevance(split), None, evaluation)


@dataclass(frozen=True)
class _Texts:
    """The texts of several columns, one after the other, as often as asked."""

    columns: tuple[TextColumn, ...]

    def __iter__(self) -> Iterator[str]:
        return itertools.chain.from_iterable(self.columns)


def _built(config: EncoderConfig, data: Mapping[str, Any], seed: int, dataset: Dataset) -> DualEncoder:
    """The encoder that the configuration describes, reading the fields that the run read."""
    query_fields = tuple(data.get("query_fields") or dataset.manifest.query_fields)
    label_fields = tuple(data.get("label_fields") or dataset.manifest.label_fields)
    texts = _Texts((dataset.texts("train", query_fields), dataset.texts("labels", label_fields)))
    torch.manual_seed(torch_seed(seed, Stream.INITIAL_WEIGHTS))
    encoder = DualEncoder.build(config, texts)
    if torch.accelerator.is_available():
        encoder.to(torch.accelerator.current_accelerator() or "cpu")
    encoder.metadata = replace(
        encoder.metadata,
        query_fields=query_fields,
        label_fields=label_fields,
        dataset=dataset.name,
        label_fingerprint=dataset.label_fingerprint,
    )
    return encoder
