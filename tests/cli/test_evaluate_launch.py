"""``accelerate launch scripts/evaluate.py`` on two CPU processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from xmc.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
CPU_CONFIG = ROOT / "configs" / "accelerate" / "cpu_two_processes.yaml"


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher",
    [
        ["-m", "accelerate.commands.launch", "--config_file", str(CPU_CONFIG)],
        ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"],
    ],
    ids=["accelerate", "torchrun"],
)
def test_two_processes_write_what_one_writes(
    launcher: list[str], model_folder: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    def words(name: str) -> list[str]:
        files = ["--json", str(tmp_path / f"{name}.json"), "--predictions", str(tmp_path / f"{name}.npz")]
        return [str(model_folder), str(dataset_folder), *files]

    assert main(["evaluate", *words("one")]) == 0
    done = subprocess.run(
        [sys.executable, *launcher, str(ROOT / "scripts" / "evaluate.py"), *words("two")],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("queries, 20 labels") == 1
    one, two = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two"))
    assert (one["processes"], two["processes"]) == (1, 2)
    assert one["metrics"] == pytest.approx(two["metrics"], rel=1e-12)
    with np.load(tmp_path / "one.npz") as first, np.load(tmp_path / "two.npz") as second:
        np.testing.assert_array_equal(first["ids"], second["ids"])
        np.testing.assert_array_equal(first["scores"], second["scores"])
