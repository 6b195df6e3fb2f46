from __future__ import annotations

from pathlib import Path

import torch

from xmc.machine import read_machine, save_machine, this_machine


def test_this_machine() -> None:
    found = this_machine(processes=3)
    assert found.cpu and found.cores >= 1 and found.memory_bytes > 2**20 and found.processes == 3
    assert found.torch == torch.__version__ and found.threads == torch.get_num_threads()
    assert found.peak_memory_bytes is None or 2**20 < found.peak_memory_bytes < 2**44


def test_saved_and_read(tmp_path: Path) -> None:
    assert read_machine(tmp_path) is None
    save_machine(tmp_path, 2)
    found = read_machine(tmp_path)
    assert found is not None and found.processes == 2 and found.cpu == this_machine().cpu
