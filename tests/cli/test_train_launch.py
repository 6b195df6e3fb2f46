"""``accelerate launch scripts/train.py`` on two CPU processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.runs import losses

ROOT = Path(__file__).resolve().parents[2]
CPU_CONFIG = ROOT / "configs" / "accelerate" / "cpu_two_processes.yaml"


@pytest.mark.slow
@pytest.mark.parametrize(
    "program", [[str(ROOT / "scripts" / "train.py")], ["-m", "xmc", "train"]], ids=["script", "module"]
)
def test_accelerate_launch_on_two_cpu_processes_trains_on_two(
    program: list[str], recipe: Path, tmp_path: Path
) -> None:
    accelerate = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(CPU_CONFIG)]
    done = subprocess.run(
        [*accelerate, *program, str(recipe)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "starting 2 with torchrun" in done.stderr
    assert (tmp_path / "run" / "result.json").is_file()
    assert '"processes": 2' in (tmp_path / "run" / "machine.json").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "whole_group"),
    [(signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGINT, True)],  # Ctrl-C goes to the group
    ids=["SIGTERM to the launcher", "SIGTERM to all", "SIGINT to all"],
)
def test_a_signal_to_the_launcher_leaves_a_checkpoint(
    recipe: Path, tmp_path: Path, number: signal.Signals, whole_group: bool
) -> None:
    """Accelerate passes no signal on and ends by it; what it started saves, ends, and can be resumed."""
    accelerate = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(CPU_CONFIG)]
    program = [str(ROOT / "scripts" / "train.py"), str(recipe)]
    longer = ["--training.epochs", "2000", "--validation.rows", "0", "--run.log_every", "1"]
    launched = subprocess.Popen(
        [*accelerate, *program, *longer], cwd=ROOT, start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    log = tmp_path / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 240
    while (not log.is_file() or not log.read_text(encoding="utf-8")) and time.monotonic() < deadline:
        time.sleep(0.2)
    ranks = psutil.Process(launched.pid).children(recursive=True)
    if whole_group:
        os.killpg(launched.pid, number)
    else:
        launched.send_signal(number)
    _, said = launched.communicate(timeout=60)
    assert launched.returncode in (-number, 130, 1), said[-2000:]
    _, left = psutil.wait_procs(ranks, timeout=60)
    assert not left
    (saved,) = (tmp_path / "run" / "checkpoints").iterdir()
    step = int(saved.name.removeprefix("step-"))
    resumed = [
        *program,
        *longer[:2],
        *longer[2:],
        "--run.resume",
        "true",
        "--training.max_steps",
        str(step + 3),
    ]
    again = subprocess.run(
        [*accelerate, *resumed, "--run.resume_with_changes", "true"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert again.returncode == 0, again.stderr[-2000:]
    assert f"resumed after step {step}" in again.stdout
    assert len(losses(tmp_path / "run")) == step + 3
