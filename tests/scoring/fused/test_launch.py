from __future__ import annotations

import os

import pytest

from tests.distributed.ranks import Ranks, run_on_ranks
from tests.scoring.fused.interpreted import needs_interpreter

SETTINGS = {
    "pass": "ieee",
    "torch.set_float32_matmul_precision('high')": "tf32",
    "torch.backends.cuda.matmul.allow_tf32 = True": "tf32",
    "torch.set_float32_matmul_precision('highest')": "ieee",
    "torch.backends.cuda.matmul.fp32_precision = 'tf32'": "tf32",
    "torch.backends.fp32_precision = 'tf32'": "tf32",
}


def precisions() -> list[str]:
    """What each of `SETTINGS` gives in a process of its own, forked from this one."""
    import torch

    from xmc.scoring.fused.launch import float32_precision

    found = []
    for setting in SETTINGS:
        reading, writing = os.pipe()
        if not os.fork():
            exec(setting, {"torch": torch})
            os.write(writing, float32_precision().encode())
            os._exit(0)
        os.close(writing)
        with open(reading, encoding="utf-8") as answer:
            found.append(answer.read())
        os.wait()
    return found


@needs_interpreter
def test_float32_products_are_as_exact_as_torch_is_told_to_be(ranks: Ranks) -> None:
    """Apart from this process, as torch takes no mixture of its older and newer switches.

    ``ranks`` have a server running that forks another process with torch.
    """
    assert run_on_ranks(precisions, 1) == [list(SETTINGS.values())]


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
