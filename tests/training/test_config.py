from __future__ import annotations

import pytest

from xmc.errors import ConfigError
from xmc.training.config import (
    DataConfig,
    ObjectiveConfig,
    OptimisationConfig,
    RunOptions,
    ScoringConfig,
    ValidationConfig,
)


@pytest.mark.parametrize(
    "make",
    [
        lambda: OptimisationConfig(epochs=0),
        lambda: OptimisationConfig(warmup=1.0),
        lambda: OptimisationConfig(clip_norm=0.0),
        lambda: ObjectiveConfig(scale=-1.0),
        lambda: ObjectiveConfig(name="triplet"),  # type: ignore[arg-type]
        lambda: ScoringConfig(implementation="fast"),  # type: ignore[arg-type]
        lambda: ScoringConfig(memory_mb=0),
        lambda: ValidationConfig(rows=-1),
        lambda: RunOptions(dir="x", resume=True, overwrite=True),
        lambda: DataConfig(path="x", query_fields=["titel"]),
        lambda: DataConfig(path="x", query_fields="title"),
        lambda: DataConfig(path="x", label_fields=[]),
    ],
)
def test_options_that_cannot_work_are_refused(make):
    with pytest.raises(ConfigError, match="expected"):
        make()
