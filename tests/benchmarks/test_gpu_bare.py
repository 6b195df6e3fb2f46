"""On a machine without jsonargparse, datasets, FAISS, TensorBoard and pandas."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

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
raise SystemExit(main(["--miniature", "--stages", "smoke", "train", "--json", sys.argv[1]], isolate=False))
'''


@needs_interpreter
@pytest.mark.skipif(torch.cuda.is_available(), reason="runs small on a CPU alone")
def test_the_smoke_test_and_a_training_run(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "gpu.json")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"TRITON_INTERPRET": "1", "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    smoke, trained = json.loads((tmp_path / "gpu.json").read_text())["cases"]
    assert smoke["error"] is None and smoke["versions"]["transformers"]
    assert trained["error"] is None and trained["after"]["P@1"] > trained["before"]["P@1"]
