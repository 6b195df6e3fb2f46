"""The GPU benchmark runs small on a CPU, and says what went wrong where something does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import gpu, gpu_cases
from benchmarks.gpu import cases_for, main, report, run_all
from benchmarks.gpu_cases import IMPLEMENTATIONS, CheckCase, TimeCase, run_case
from tests.scoring.fused.interpreted import needs_interpreter
from xmc.objectives import CATALOGUE, build_objective
from xmc.scoring import ScoreInputs

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning:triton.*")
SMALL = CheckCase("decoupled_softmax", "tiled", "bfloat16", 5, 40, 6)


def test_all_that_was_asked_for_is_measured() -> None:
    cases = cases_for([1024, 4096], [131_072, 1_305_265], 384, quick=False)
    checks = [case for case in cases if isinstance(case, CheckCase)]
    for name in CATALOGUE:
        ways = {case.implementation for case in checks if case.objective == name}
        assert ways == ({"dense", "triton"} if name in gpu.WITHOUT_SCORES else set(IMPLEMENTATIONS))
    times = {(c.implementation, c.num_queries, c.num_labels) for c in cases if isinstance(c, TimeCase)}
    assert len(times) == 16 and {way for way, _, _ in times} == set(IMPLEMENTATIONS)


@pytest.mark.slow
@needs_interpreter
@pytest.mark.skipif(torch.cuda.is_available(), reason="runs small on a CPU alone")
def test_a_run_on_a_cpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", str(tmp_path / "gpu.json")], isolate=False) == 0
    written = json.loads((tmp_path / "gpu.json").read_text())
    assert written["machine"]["torch"] == torch.__version__
    checks = [one for one in written["cases"] if one["kind"] == "check"]
    times = [one for one in written["cases"] if one["kind"] == "time"]
    assert all(one["error"] is None for one in written["cases"])
    assert {one["implementation"] for one in checks} == set(IMPLEMENTATIONS)
    assert all(one["within_tolerance"] and one["repeatable"] for one in checks)
    assert [one["implementation"] for one in times] == ["triton", "dense", "tiled", "compiled tiled"]
    for one in times:
        assert one["milliseconds"] > 0 and one["products"] > 0
        torch.testing.assert_close(one["share_of_rate"] * one["products"], 3.0)
    printed = capsys.readouterr().out
    assert printed.count("\n| ") >= len(times) and "12 of 12 checks within tolerance" in printed


def test_an_error_of_one_case_is_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad, large = SMALL, replace(SMALL, options={"alpha": 1}), replace(SMALL, num_labels=41)
    original = gpu_cases._check

    def check(case: CheckCase, device: str) -> dict[str, Any]:
        if case.num_labels == 41:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(case, device)

    monkeypatch.setattr(gpu_cases, "_check", check)
    found = list(run_all([bad, large, good], "cpu", budget=1e6, isolate=False))
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
    worker = gpu._Worker("cpu")
    try:
        assert worker.run(SMALL, 0.05)["error"] == "took longer than 0 s"
        assert worker.pool is None
        assert worker.run(SMALL, 300.0)["error"] is None
    finally:
        worker.end()
    assert [one["error"] for one in run_all([SMALL], "cpu", budget=0.0)] == ["not run: out of time"]
