from __future__ import annotations

import subprocess
import sys

import pytest

from tests.scoring.fused.interpreted import needs_interpreter

SETTINGS = {
    "pass": "ieee",
    "torch.set_float32_matmul_precision('high')": "tf32",
    "torch.backends.cuda.matmul.allow_tf32 = True": "tf32",
    "torch.set_float32_matmul_precision('highest')": "ieee",
    "torch.backends.cuda.matmul.fp32_precision = 'tf32'": "tf32",
    "torch.backends.fp32_precision = 'tf32'": "tf32",
}


@needs_interpreter
def test_float32_products_are_as_exact_as_torch_is_told_to_be() -> None:
    """In a process of its own, as torch takes no mixture of its older and newer switches."""
    checks = [
        f"pid = os.fork()\nif not pid:\n    {setting}\n    print(float32_precision(), flush=True)\n"
        "    os._exit(0)\n"
        "os.waitpid(pid, 0)\n"
        for setting in SETTINGS
    ]
    script = "import os, torch\nfrom xmc.scoring.fused.launch import float32_precision\n" + "".join(checks)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.split() == list(SETTINGS.values()), done.stderr


@needs_interpreter
@pytest.mark.parametrize("rows", [1, 40])
def test_every_tile_is_in_one_part_of_the_labels(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from xmc.objectives.statistics.log_partition import LogPartition
    from xmc.scoring import ScoreInputs, as_positives, reduce_scores
    from xmc.scoring.fused import launch
    from xmc.scoring.fused.blocks import Blocks

    monkeypatch.setattr(launch, "block_sizes", lambda *_, **__: Blocks(16, 16, 16, 4, 1))
    queries, labels = torch.zeros(rows, 2), torch.zeros(100, 2)
    none = as_positives([[]] * rows, rows, 100)
    for programs in (1, 5, 1000):
        monkeypatch.setattr(launch, "TARGET_PROGRAMS", programs)
        _, value = reduce_scores(ScoreInputs(queries, labels, none, implementation="triton"), LogPartition())
        torch.testing.assert_close(value.exp(), torch.full((rows,), 100.0))
