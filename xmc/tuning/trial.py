"""One candidate tried: trained on a part of the training rows and measured on the rest, leaving nothing."""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

from xmc.data import Dataset
from xmc.encoders import DualEncoder
from xmc.errors import NonFiniteError
from xmc.training import TrainConfig, Trainer
from xmc.training.batches.tokens import TrainingTexts
from xmc.training.step import optimise

__all__ = ["EncoderCache", "TrialResult", "run_trial"]


@dataclass(frozen=True)
class TrialResult:
    """What a trial came to.

    Attributes:
        metrics: In percent on the held-out rows; None when it was stopped, or when training diverged.
        seconds: Of all of it.
        num_steps: Taken.
        step_seconds: Of a step, the first few left out where there are more.
    """

    metrics: dict[str, float] | None
    seconds: float
    num_steps: int
    step_seconds: float


class EncoderCache:
    """The encoders that trials start from: learning a vocabulary takes longer than a short trial."""

    def __init__(self, most: int = 3) -> None:
        self._built: dict[str, DualEncoder] = {}
        self._most = most

    def copy(self, config: TrainConfig, dataset: Dataset) -> DualEncoder:
        """A fresh copy of the encoder that the configuration describes."""
        # Dropout and lengths are cheap to build with, yet part of the model: all of the section is the key.
        key = repr((config.encoder, config.data))
        if key not in self._built:
            while len(self._built) >= self._most:
                del self._built[next(iter(self._built))]
            self._built[key] = DualEncoder.build(config.encoder, TrainingTexts(dataset, config.data))
        built = self._built[key]
        return DualEncoder(copy.deepcopy(built.model), built.metadata)


def run_trial(
    config: TrainConfig,
    dataset: Dataset,
    encoders: EncoderCache,
    *,
    stop: Callable[[], bool] = lambda: False,
) -> TrialResult:
    """Train as ``config`` says and validate once, at the end; no model, log or checkpoint is written.

    Args:
        config: Of the trial; its ``seed`` decides which rows are held out.
        dataset: Of ``config.data.path``.
        encoders: Where it starts from.
        stop: Asked between steps.
    """
    started = time.perf_counter()
    times: list[float] = []
    metrics = None
    with tempfile.TemporaryDirectory(prefix="xmc-trial-") as folder:
        run = replace(config.run, dir=str(Path(folder) / "run"), trackers=[], resume=False, overwrite=False)
        encoder = encoders.copy(config, dataset)
        # What a run says of itself would bury what the search says.
        with redirect_stdout(StringIO()):
            trainer = Trainer(replace(config, run=run), dataset=dataset, encoder=encoder)
            inputs = trainer.prepare_inputs()
        with closing(trainer.batches):
            trainer.encoder.train()
            try:
                for step in range(trainer.num_steps):
                    if stop():
                        break
                    before = time.perf_counter()
                    optimise(inputs, step)
                    times.append(time.perf_counter() - before)
                else:
                    metrics = trainer.validator(trainer.learner)
            except NonFiniteError:
                metrics = None
    warm = times[5:] or times
    return TrialResult(metrics, time.perf_counter() - started, len(times), sum(warm) / max(1, len(warm)))
