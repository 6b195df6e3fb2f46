"""How much of the package one optimiser step passes through: what somebody has to read to follow it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import xmc
from xmc.training import TrainConfig, Trainer
from xmc.training.step import optimise

MOST_FILES = 20
ROOT = Path(xmc.__file__).parent


def files_of(work: Callable[[], object]) -> list[Path]:
    """The files of the package whose functions run while ``work`` does, in this thread."""
    seen: set[str] = set()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            seen.add(frame.f_code.co_filename)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return sorted(Path(name) for name in seen if name.startswith(str(ROOT)))


@pytest.mark.parametrize("dense", [False, True], ids=["default", "offsets and scale"])
def test_a_step_passes_through_few_files(
    config: TrainConfig, changed: Callable[..., TrainConfig], dense: bool
) -> None:
    config = changed(config, objective={"label_offsets": dense, "learn_scale": dense})
    trainer = Trainer(config)
    inputs = trainer.prepare_inputs()
    trainer.encoder.train()
    optimise(inputs, 0)  # what is counted or compiled once is done
    files = files_of(lambda: optimise(inputs, 1))
    lines = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    for file, count in lines.items():
        print(f"{count:5} {file.relative_to(ROOT)}")
    print(f"{sum(lines.values()):5} lines in {len(files)} files")
    assert ROOT / "training" / "step.py" in lines and ROOT / "encoders" / "tower.py" in lines
    assert len(files) <= MOST_FILES + dense  # the file of the optimiser of what is not rows of a table
