from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from xmc.training.batches import in_batch_inclusion

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


def script(name: str) -> ModuleType:
    import sys

    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def scaling() -> ModuleType:
    return script("scaling")


def test_prints_the_tables_of_the_page_and_writes_every_figure(scaling, tmp_path, capsys) -> None:
    scaling.main(["--json", str(tmp_path / "scaling.json")])
    printed = capsys.readouterr().out
    page = (FOLDER.parent / "docs" / "scaling.md").read_text(encoding="utf-8")
    for table in printed.strip().split("\n\n"):
        assert table in page
        assert len({line.count("|") for line in table.splitlines()}) == 1
    cases = json.loads((tmp_path / "scaling.json").read_text())["cases"]
    assert {(c["ranks"], c["tower"]) for c in cases if c["mode"] == "all labels"} == {
        (ranks, tower) for ranks in (1, 8, 64) for tower in ("DistilBERT", "static")
    }


def test_the_published_epoch(scaling) -> None:
    one = scaling.case(scaling.MODES[1], 48_000, 1)
    labels = one["cost"]["flops"]["encode labels"] + one["cost"]["flops"]["replay labels"]
    assert labels == pytest.approx(14.2e15, rel=0.01) and round(one["steps"]) == 47


def test_in_batch_positives_are_those_of_the_sampler(scaling) -> None:
    # 22.2 positives per row are 38.24 rows per label; the sampler's own formula takes whole numbers.
    low, high = in_batch_inclusion(np.array([38, 39]), scaling.ROWS, 48_000)
    assert low < scaling.distinct_positives(48_000) < high


def test_unequal_labels_bring_fewer_distinct_ones(scaling) -> None:
    counts = np.random.default_rng(0).zipf(1.5, 100_000).clip(max=scaling.ROWS // 2)
    mean = counts.mean()
    bound = scaling.distinct_positives(48_000, mean * scaling.LABELS / scaling.ROWS)
    assert in_batch_inclusion(counts, scaling.ROWS, 48_000).mean() < bound


def test_the_host_s_work_is_measured_at_any_shape(capsys) -> None:
    host = script("scaling_host")
    host.main(["--batch", "50", "--labels", "1000", "--rows", "400", "--uniform", "100"])
    cells = capsys.readouterr().out.splitlines()[-1].strip("| ").split(" | ")
    assert cells[0] == "50" and 100 < int(cells[1]) <= 1000 and len(cells) == 6
