from __future__ import annotations

import pytest

from xmc.errors import ConfigError
from xmc.training.config import (
    DataConfig,
    ObjectiveConfig,
    OptimisationConfig,
    RunOptions,
    ScoringConfig,
    TrainConfig,
    ValidationConfig,
    least_share,
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


def test_label_queries_of_which_a_batch_has_none_are_refused() -> None:
    def config(share: float, size: int = 32) -> TrainConfig:
        data = DataConfig(path="x", label_queries=share)
        return TrainConfig(data, RunOptions("y"), training=OptimisationConfig(batch_size=size))

    expected = "data.label_queries: .* batch of training.batch_size 32, got 0.001: give 0.031 or more"
    with pytest.raises(ConfigError, match=expected):
        config(0.001)
    assert config(0.031).data.num_label_queries(32) == 1
    assert config(0.001, 1000).data.num_label_queries(1000) == 1
    assert config(0.0).data.num_label_queries(32) == 0
    for size in range(1, 2000):  # what is asked for is enough
        assert DataConfig("x", label_queries=least_share(size)).num_label_queries(size) == 1
