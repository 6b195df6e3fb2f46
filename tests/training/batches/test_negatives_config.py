from __future__ import annotations

from typing import Any

import pytest

from xmc.errors import ConfigError
from xmc.training.batches import ClustersConfig, MemoryConfig, MinedConfig, NegativesConfig, TemperedConfig


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"mode": "some"}, "negatives.mode: expected one of all, sampled, got 'some'"),
        ({"mode": "sampled", "uniform": 0}, "negatives.uniform: expected at least 1 label, got 0"),
        ({"mode": "sampled", "uniform": -3}, "negatives.uniform: expected at least 1 label, got -3"),
        ({"mode": "sampled", "uniform": 3, "strata": 4}, "negatives.strata: expected at most"),
        ({"mode": "sampled", "strata": 0}, "negatives.strata: expected a whole number of at least 1"),
        ({"strata": 2}, "negatives.strata: expected negatives.mode 'sampled', got 'all'"),
        ({"positives": 2}, "negatives.positives: expected negatives.mode 'sampled', got 'all'"),
        ({"mode": "sampled", "positives": 0}, "negatives.positives: expected a whole number of at least 1"),
        (
            {"mode": "sampled", "positives": 2, "clusters": ClustersConfig(largest=8)},
            "negatives.positives: expected null with negatives.clusters, as the positives .*, got 2",
        ),
        ({"tempered": TemperedConfig(count=3)}, "negatives.tempered.count: expected negatives.mode"),
        ({"mined": MinedConfig(count=1)}, "negatives.mined.count: expected negatives.mode 'sampled'"),
        ({"memory": MemoryConfig(enabled=True)}, "negatives.memory.enabled: expected negatives.mode"),
        ({"clusters": ClustersConfig(largest=8)}, "negatives.clusters.largest: expected negatives.mode"),
    ],
)
def test_options_that_cannot_work_are_errors(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        NegativesConfig(**options)


@pytest.mark.parametrize(
    ("section", "options", "text"),
    [
        (TemperedConfig, {"count": -1}, "tempered.count: expected a whole number of at least 0, got -1"),
        (TemperedConfig, {"alpha": 1.5}, r"tempered.alpha: expected a power in \[0, 1\], got 1.5"),
        (MinedConfig, {"count": 3, "first": 4, "last": 6}, "a window of at least count=3 ranks"),
        (MinedConfig, {"draw": "best"}, "mined.draw: expected one of rank, score, got 'best'"),
        (MinedConfig, {"sharpness": 0.0}, "mined.sharpness: expected a number above 0"),
        (MinedConfig, {"every": 0}, "mined.every: expected a whole number of at least 1"),
        (MemoryConfig, {"dtype": "int8"}, "memory.dtype: expected one of float16, bfloat16, float32"),
        (MemoryConfig, {"storage": "cloud"}, "memory.storage: expected one of device, disk"),
        (MemoryConfig, {"refresh": -1}, "memory.refresh: expected a whole number of at least 0"),
        (MemoryConfig, {"sample": 0}, "memory.sample: expected a whole number of at least 1"),
        (ClustersConfig, {"largest": 12, "first": 8}, r"first doubled some times over \(8, 16, 32"),
        (ClustersConfig, {"largest": 8, "first": 1}, "clusters.first: expected a whole number of at least 2"),
        (ClustersConfig, {"largest": 8, "refresh_every": 0}, "clusters.refresh_every: expected a whole"),
    ],
)
def test_sections_that_cannot_work_are_errors(section: Any, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        section(**options)


def test_all_labels_need_no_draw() -> None:
    assert NegativesConfig(mode="all", uniform=0).mode == "all"


def test_cluster_sizes_that_work() -> None:
    for largest, first in ((1, 2), (2, 2), (24, 3), (512, 2), (512, 512)):
        assert ClustersConfig(largest=largest, first=first).largest == largest
