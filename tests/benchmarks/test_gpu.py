"""The GPU benchmark runs small on a CPU, and says what went wrong where something does."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from benchmarks import gpu, gpu_cases, gpu_graph, gpu_stages
from benchmarks.gpu import main, run_stage
from benchmarks.gpu_cases import IMPLEMENTATIONS, CheckCase, TimeCase, run_case
from benchmarks.gpu_files import case_folder
from benchmarks.gpu_parts import PARTS, PartCase
from benchmarks.gpu_report import report
from benchmarks.gpu_stages import STAGES, Choices, Stage, stages
from benchmarks.gpu_steps import StepCase, random_relevance
from tests.scoring.fused.interpreted import needs_interpreter
from xmc.corpora.synthetic import build_synthetic
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
    softmax = [case for case in times if case.objective == "decoupled_softmax"]
    shapes = {(c.implementation, c.num_queries, c.num_labels, c.dimension, c.dtype) for c in softmax}
    assert len(softmax) == len(shapes) == 32 and {shape[0] for shape in shapes} == set(IMPLEMENTATIONS)
    steps = [case for case in planned["step"].cases if isinstance(case, StepCase)]
    plain = [case for case in steps if not case.ragged and case.precision == "fp32"]
    assert {(case.tower, case.pool, case.compile) for case in plain} == {
        (tower, pool, compiled)
        for tower in ("DistilBERT", "MiniLM")
        for pool, compiled in ((8_192, False), (65_536, False), (65_536, True))
    }
    assert [(case.ragged, case.precision) for case in steps if case not in plain] == [
        (False, "bf16"),
        (True, "fp32"),
    ]


def test_a_given_encoder_takes_the_place_of_random_ones() -> None:
    cases = [case for stage in stages(Choices(encoder="folder", data="data")) for case in stage.cases]
    towers = {case.tower for case in cases if hasattr(case, "tower")}
    assert towers == {"folder"} and {c.data for c in cases if hasattr(c, "data")} == {"data"}


@pytest.mark.parametrize("part", PARTS)
def test_parts_agree_with_float64(part: str) -> None:
    found = run_case(PartCase(part, 61, 8), "cpu")
    assert found["error"] is None and found["within_tolerance"] and found["repeatable"]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_the_same_where_moving_a_tensor_copies_it(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU: what is moved shares no memory with what it is a part of."""
    case, device = PartCase(part, 61, 8), torch.device("cpu")
    here = PARTS[part](case, device, torch.float32)
    to = torch.Tensor.to
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, *a, **k: to(tensor, *a, **(k | {"copy": True})))
    there = PARTS[part](case, device, torch.float32)
    assert all(torch.equal(here[name], there[name]) for name in here)


def test_a_part_that_is_wrong_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(case: PartCase, device: torch.device, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        return {"sum": torch.ones(3, dtype=dtype) * (1.01 if dtype == torch.float32 else 1.0)}

    monkeypatch.setitem(PARTS, "adamw", wrong)
    found = run_case(PartCase("adamw", 61, 8), "cpu")
    assert not found["within_tolerance"] and "adamw: sum 1.0e-02" in report([found])


@pytest.mark.parametrize("changes", [{"ragged": True}, {"precision": "bf16"}], ids=["ragged", "bf16"])
def test_other_steps_run_small(changes: dict[str, Any]) -> None:
    small = StepCase("miniature", 60, batch=32, labels=300, rows=200, tokens=8, micro_batch_tokens=256)
    found = run_case(replace(small, steps=1, **changes), "cpu")
    assert found["error"] is None and found["flops"] > 0
    (name,) = (line.split(" | ")[0] for line in report([found]).splitlines() if "60" in line)
    assert ("ragged" in name, "scores in bf16" in name) == ("ragged" in changes, "precision" in changes)


@needs_interpreter
@pytest.mark.parametrize("stale", [False, True], ids=["filled anew", "as it was captured"])
def test_a_graph_that_keeps_old_numbers_is_seen(stale: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def captured(step: Any) -> Any:
        held = step()
        return lambda: held if stale else step()

    monkeypatch.setattr(gpu_graph, "_captured", captured)
    found = gpu_graph.GraphCase(17, 90, 24).measure("cpu")
    assert found["within_tolerance"] is not stale and found["repeatable"]


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
    assert "23 of 23 checks within tolerance" in printed and "hours an epoch" in printed


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


def test_a_long_error_is_whole_in_the_file_and_short_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    told = "word " * 1_000 + "\nand a second line"

    def measure(self: TimeCase, device: str) -> dict[str, Any]:
        raise ValueError(told)

    monkeypatch.setattr(TimeCase, "measure", measure)
    found = run_case(TimeCase("tiled", 5, 40, 6), "cpu")
    assert found["error"] == f"ValueError: {told}"
    (line,) = (line for line in report([found]).splitlines() if "word" in line)
    assert len(line) < 200 and " ... |" in line
    assert " ... " not in report([found | {"error": "out of memory"}])


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        ("AcceleratorError: CUDA error: an illegal memory access was encountered", True),
        ("RuntimeError: Triton Error [CUDA]: an illegal memory access was encountered", True),
        ("RuntimeError: CUDA driver error: device-side assert", True),
        ("out of memory", False),
        ("ConfigError: expected alpha", False),
        (None, False),
    ],
)
def test_a_process_is_replaced_after_a_fault_of_its_device(
    error: str | None, fault: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = gpu.Worker("cpu")
    ended: list[bool] = []
    monkeypatch.setattr(worker, "start", lambda seconds: setattr(worker, "pool", Answers({"error": error})))
    monkeypatch.setattr(worker, "end", lambda: ended.append(True))
    assert worker.run(SMALL, 1.0) == {"error": error}
    assert bool(ended) is fault


class Answers:
    """In place of a pool of processes: each call is answered at once."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer

    def submit(self, *arguments: Any) -> Answers:
        return self

    def result(self, seconds: float) -> dict[str, Any]:
        return self.answer


class PlayedClock:
    """In place of ``time``: it goes on only where something takes time."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_a_stage_pays_for_the_processes_that_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each case breaks its process, and each new one takes 20 s of the stage's 50, and none of the case's."""
    clock = PlayedClock()
    monkeypatch.setattr(gpu, "time", clock)
    worker, given = gpu.Worker("cpu"), []

    def start(seconds: float) -> None:
        clock.now += min(20.0, seconds)

    def run(case: CheckCase, seconds: float) -> dict[str, Any]:
        given.append(seconds)
        clock.now += min(2.0, seconds)
        return {"error": "process died"}

    monkeypatch.setattr(worker, "start", start)
    monkeypatch.setattr(worker, "run", run)
    stage = Stage("check", 50.0, 10.0, [SMALL] * 4)
    errors = [one["error"] for one in run_stage(stage, "cpu", left=1e6, workers=[worker])]
    assert errors == ["process died"] * 2 + [gpu.NOT_RUN] * 2
    assert given == [10.0, 8.0] and clock.now == 50.0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--budget", "0"], "--budget: expected seconds above 0, got 0"),
        (["--budget", "-3"], "--budget: expected seconds above 0, got -3"),
        (["--budget", "nan"], "--budget: expected seconds above 0, got nan"),
        (["--encoder", "nowhere"], "--encoder: expected a model's folder"),
        (["--data", "nowhere"], "--data: "),
    ],
)
def test_what_cannot_work_is_refused_before_the_run(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["--stages", "smoke", *words], isolate=False)
    assert ended.value.code == 2 and said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_folders_that_can_work_are_taken(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").touch()
    build_synthetic(tmp_path / "data", num_labels=20, num_queries=20, num_test=5, progress=False)
    for words in (["--encoder", str(tmp_path / "model")], ["--encoder", "MiniLM"]):
        assert gpu._parse([*words, "--data", str(tmp_path / "data"), "--budget", "0.5"]).budget == 0.5


@dataclass(frozen=True)
class LeavingCase:
    """Makes a file, says where, and is killed."""

    told: str

    kind: ClassVar[str] = "leaving"

    def measure(self, device: str) -> dict[str, Any]:
        with case_folder() as folder:
            (Path(folder) / "file").touch()
            Path(self.told).write_text(folder)
            os.kill(os.getpid(), signal.SIGKILL)
        return {}


def test_a_process_that_hangs_is_replaced_and_the_budget_ends_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    worker = gpu.Worker("cpu")
    try:
        worker.start()
        assert worker.run(SMALL, 0.05)["error"] == "took longer than 0 s"
        assert worker.pool is None and not list(tmp_path.glob("xmc-gpu-*"))
        # Another, begun by the next case as after any end; a start takes seconds.
        assert worker.run(SMALL, 300.0)["error"] is None
        assert len(list(tmp_path.glob("xmc-gpu-*"))) == 1
        assert worker.run(LeavingCase(str(tmp_path / "told")), 300.0)["error"] == "process died"
        left = Path((tmp_path / "told").read_text())
        assert left.parent.parent == tmp_path and not left.parent.exists(), "nothing of it is left"
        assert worker.pool is None and worker.folder is None
    finally:
        worker.end()
    assert not list(tmp_path.glob("xmc-gpu-*"))
    for budget, seconds in ((0.0, 1e6), (1e6, 0.0)):
        found = list(run_stage(Stage("check", seconds, 1e6, [SMALL]), "cpu", left=budget))
        assert [one["error"] for one in found] == [gpu.NOT_RUN]
