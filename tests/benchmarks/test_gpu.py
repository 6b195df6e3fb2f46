"""The GPU benchmark runs small on a CPU, and says what went wrong where something does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import gpu, gpu_cases, gpu_stages
from benchmarks.gpu import main, run_stage
from benchmarks.gpu_cases import IMPLEMENTATIONS, CheckCase, TimeCase, run_case
from benchmarks.gpu_parts import PARTS, PartCase
from benchmarks.gpu_report import report
from benchmarks.gpu_stages import STAGES, Choices, Stage, stages
from benchmarks.gpu_steps import StepCase, random_relevance
from tests.scoring.fused.interpreted import needs_interpreter
from xmc.objectives import CATALOGUE, build_objective
from xmc.scoring import ScoreInputs

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning:triton.*")
SMALL = CheckCase("decoupled_softmax", "tiled", "bfloat16", 5, 40, 6)


def test_all_that_was_asked_for_is_measured() -> None:
    planned = {stage.name: stage for stage in stages(Choices())}
    assert tuple(planned) == STAGES
    assert sum(stage.seconds for stage in planned.values()) <= gpu.BUDGET < 480
    checks = [case for case in planned["check"].cases if isinstance(case, CheckCase)]
    for dtype in ("bfloat16", "float32"):
        for name in CATALOGUE:
            ways = {c.implementation for c in checks if c.objective == name and c.dtype == dtype}
            every = set(IMPLEMENTATIONS) - {"compiled tiled"}
            wanted = {"dense", "triton"} if name in gpu_stages.WITHOUT_SCORES else every
            assert ways - {"compiled tiled"} == wanted
    assert {case.part for case in planned["check"].cases if isinstance(case, PartCase)} == set(PARTS)
    times = [case for case in planned["score"].cases if isinstance(case, TimeCase)]
    shapes = {(c.implementation, c.num_queries, c.num_labels, c.dimension, c.dtype) for c in times}
    assert len(times) == len(shapes) == 32 and {shape[0] for shape in shapes} == set(IMPLEMENTATIONS)
    steps = [case for case in planned["step"].cases if isinstance(case, StepCase)]
    assert {(case.tower, case.pool) for case in steps} == {
        (tower, pool) for tower in ("DistilBERT", "MiniLM") for pool in (8_192, 65_536)
    }


def test_a_given_encoder_takes_the_place_of_random_ones() -> None:
    cases = [case for stage in stages(Choices(encoder="folder", data="data")) for case in stage.cases]
    towers = {case.tower for case in cases if hasattr(case, "tower")}
    assert towers == {"folder"} and {c.data for c in cases if hasattr(c, "data")} == {"data"}


@pytest.mark.parametrize("part", PARTS)
def test_parts_agree_with_float64(part: str) -> None:
    found = run_case(PartCase(part, 61, 8), "cpu")
    assert found["error"] is None and found["within_tolerance"] and found["repeatable"]


def test_a_part_that_is_wrong_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(case: PartCase, device: torch.device, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        return {"sum": torch.ones(3, dtype=dtype) * (1.01 if dtype == torch.float32 else 1.0)}

    monkeypatch.setitem(PARTS, "adamw", wrong)
    found = run_case(PartCase("adamw", 61, 8), "cpu")
    assert not found["within_tolerance"] and "adamw: sum 1.0e-02" in report([found])


def test_relevance_has_the_shape_of_the_data_set() -> None:
    relevance = random_relevance(500, 300)
    per_row = np.diff(relevance.indptr)
    assert relevance.shape == (500, 300) and per_row.min() >= 1 and (relevance.data == 1).all()
    counts = np.sort(relevance.getnnz(axis=0))[::-1]
    assert counts[:30].sum() > 2 * counts[-150:].sum(), "frequencies fall with the rank"


@pytest.mark.slow
@needs_interpreter
@pytest.mark.skipif(torch.cuda.is_available(), reason="runs small on a CPU alone")
def test_a_run_on_a_cpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", str(tmp_path / "gpu.json")], isolate=False) == 0
    written = json.loads((tmp_path / "gpu.json").read_text())
    assert written["machine"]["torch"] == torch.__version__
    assert {one["stage"] for one in written["cases"]} == set(STAGES)
    assert all(one["error"] is None and one["taken"] >= 0 for one in written["cases"])
    checks = [one for one in written["cases"] if one["kind"] == "check"]
    times = [one for one in written["cases"] if one["kind"] == "time"]
    assert {one["implementation"] for one in checks} == set(IMPLEMENTATIONS)
    assert all(one["within_tolerance"] and one["repeatable"] for one in checks)
    assert [one["implementation"] for one in times] == ["triton", "tiled", "dense", "compiled tiled"]
    for one in times:
        assert one["milliseconds"] > 0 and one["products"] > 0
        torch.testing.assert_close(one["share_of_rate"] * one["products"], 3.0)
    printed = capsys.readouterr().out
    assert "20 of 20 checks within tolerance" in printed and "hours an epoch" in printed


@needs_interpreter
@pytest.mark.skipif(torch.cuda.is_available(), reason="runs small on a CPU alone")
def test_a_run_that_is_cut_off_keeps_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Stopped(BaseException):
        pass

    def measure(self: TimeCase, device: str) -> dict[str, Any]:
        if self.implementation == "dense":
            raise Stopped
        return gpu_cases._time(self, device)

    monkeypatch.setattr(TimeCase, "measure", measure)
    with pytest.raises(Stopped):
        main(["--miniature", "--stages", "score", "--json", str(tmp_path / "gpu.json")], isolate=False)
    kept = json.loads((tmp_path / "gpu.json").read_text())["cases"]
    assert [one["implementation"] for one in kept] == ["triton", "tiled"]
    assert all(one["error"] is None for one in kept)


def test_an_error_of_one_case_is_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad, large = SMALL, replace(SMALL, options={"alpha": 1}), replace(SMALL, num_labels=41)
    original = gpu_cases._check

    def check(case: CheckCase, device: str) -> dict[str, Any]:
        if case.num_labels == 41:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(case, device)

    monkeypatch.setattr(gpu_cases, "_check", check)
    found = list(run_stage(Stage("check", 1e6, 1e6, [bad, large, good]), "cpu", left=1e6))
    assert found[0]["error"].startswith("ConfigError") and found[1]["error"] == "out of memory"
    assert found[2]["error"] is None and found[2]["within_tolerance"]
    text = report(found)
    assert "1 of 3 checks within tolerance" in text and "out of memory" in text


def test_an_objective_that_is_wrong_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(scored: ScoreInputs) -> torch.Tensor:
        factor = 1.1 if scored.implementation == "tiled" else 1.0
        return factor * build_objective("softmax")(scored)

    monkeypatch.setattr(gpu_cases, "build_objective", lambda *_: wrong)
    found = run_case(SMALL, "cpu")
    assert found["error"] is None and not found["within_tolerance"]
    assert "0 of 1 checks" in report([found]) and "loss 1.0e-01" in report([found])


def test_a_process_that_hangs_is_replaced_and_the_budget_ends_a_run() -> None:
    worker = gpu.Worker("cpu")
    try:
        worker.start()
        assert worker.run(SMALL, 0.05)["error"] == "took longer than 0 s"
        assert worker.pool is None
        assert worker.run(SMALL, 300.0)["error"] is None
    finally:
        worker.end()
    for left, seconds in ((0.0, 1e6), (1e6, 0.0)):
        found = list(run_stage(Stage("check", seconds, 1e6, [SMALL]), "cpu", left=left))
        assert [one["error"] for one in found] == [gpu.NOT_RUN]
