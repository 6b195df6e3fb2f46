"""On a machine without jsonargparse, datasets, FAISS, TensorBoard and pandas."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.gpu_stages import STAGES, WAYS
from tests.scoring.fused.interpreted import needs_interpreter

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = '''
import sys

HIDDEN = {"jsonargparse", "datasets", "faiss", "faiss-cpu", "tensorboard", "pandas"}

class Without:
    """Another finder, that does not know some packages: they are looked for, and are not there."""

    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in HIDDEN else self.finder.find_spec(name, path, target)

    def find_distributions(self, *context):
        if context and context[0].name in HIDDEN or not hasattr(self.finder, "find_distributions"):
            return []
        return self.finder.find_distributions(*context)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
for name in ("jsonargparse", "datasets", "faiss"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    raise SystemExit(f"expected {name} to be hidden")
from benchmarks.gpu import main
raise SystemExit(main(["--miniature", "--json", sys.argv[1], "--stages", *sys.argv[2:]], isolate=False))
'''


pytestmark = [
    needs_interpreter,
    pytest.mark.skipif(torch.cuda.is_available(), reason="runs small on a CPU alone"),
]


def run_bare(folder: Path, *stages: str) -> dict[str, list[dict[str, Any]]]:
    """What each stage found on such a machine; every case of it worked."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder / "gpu.json"), *stages],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"TRITON_INTERPRET": "1", "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    cases = json.loads((folder / "gpu.json").read_text())["cases"]
    assert all(one["error"] is None for one in cases)
    found = {stage: [one for one in cases if one["stage"] == stage] for stage in stages}
    assert sum(map(len, found.values())) == len(cases) and all(found.values())
    return found


def test_the_smoke_test_and_a_training_run(tmp_path: Path) -> None:
    found = run_bare(tmp_path, "smoke", "train")
    (smoke,), (trained,) = found["smoke"], found["train"]
    assert smoke["versions"]["transformers"]
    assert trained["after"]["P@1"] > trained["before"]["P@1"] and trained["stopped"] is None


@pytest.mark.slow
def test_every_other_stage(tmp_path: Path) -> None:
    found = run_bare(tmp_path, *(stage for stage in STAGES if stage not in ("smoke", "train")))
    assert all(one["within_tolerance"] and one["repeatable"] for one in found["check"])
    assert {one["implementation"] for one in found["score"]} == set(WAYS)
    (step,), (search, index), (encode,) = found["step"], found["search"], found["encode"]
    assert step["texts_per_second"] > 0 and search["within_tolerance"] and encode["within_tolerance"]
    assert index["within_tolerance"]
