"""``accelerate launch scripts/train.py`` on two CPU processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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
