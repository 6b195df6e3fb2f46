"""Who may use the kernels, what "auto" takes, and what the errors say.

Without the interpreter: see test_compile.py.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from tests.objectives.functions import FUNCTIONS
from tests.scoring.fused.interpreted import needs_interpreter
from tests.scoring.statistics import SumOfSquares
from xmc.errors import ConfigError, DependencyError
from xmc.objectives.statistics.log_partition import LogPartition
from xmc.scoring import ScoreInputs, as_positives, reduce_scores
from xmc.scoring.fused import availability
from xmc.scoring.fused.availability import chosen_by_auto


def call(
    dtype: torch.dtype = torch.float32, statistic: Any = None, labels: torch.dtype | None = None
) -> None:
    queries, table = torch.zeros(2, 3, dtype=dtype), torch.zeros(4, 3, dtype=labels or dtype)
    pairs = as_positives([[0], [1]], 2, 4)
    reduce_scores(ScoreInputs(queries, table, pairs, implementation="triton"), statistic or LogPartition())


@needs_interpreter
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"dtype": torch.float64}, "serves float32, bfloat16, float16, got queries in float64; use 'tiled'"),
        ({"labels": torch.float64}, "got labels in float64"),
        ({"statistic": SumOfSquares()}, "a statistic with Triton functions, got SumOfSquares; use 'tiled'"),
    ],
)
def test_what_is_not_served_is_an_error_that_says_so(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        call(**changes)


def test_without_triton_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "find_spec", lambda name: None)
    with pytest.raises(DependencyError, match="pip install 'triton.*or use implementation 'tiled'"):
        call()


@needs_interpreter
def test_auto_takes_the_kernels_on_a_gpu_for_what_they_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    from xmc.scoring.fused import kernels

    capability = (8, 0)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    with FakeTensorMode():

        def chosen(dtype: torch.dtype = torch.bfloat16, device: str = "cuda", statistic: Any = None) -> bool:
            tensor = torch.empty(2, 3, dtype=dtype, device=device)
            return chosen_by_auto(tensor, tensor, statistic or LogPartition())

        assert not chosen(), "the interpreter is for tests, and slow"
        monkeypatch.setattr(kernels, "INTERPRETED", False)
        assert chosen() and chosen(torch.float32) and chosen(torch.float16)
        assert not chosen(torch.float64)
        assert not chosen(device="cpu")
        assert not chosen(statistic=SumOfSquares())
        capability = (7, 5)
        assert not chosen()
        capability = (8, 0)
        monkeypatch.setattr(availability, "find_spec", lambda name: None)
        assert not chosen()


@needs_interpreter
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_objective_can_be_asked_for_it(name: str) -> None:
    """The spherical ones walk over no scores, so theirs is the path they have."""
    generator = torch.Generator().manual_seed(0)
    queries, labels = torch.randn(3, 4, generator=generator), torch.randn(7, 4, generator=generator)
    losses = [
        FUNCTIONS[name](queries, labels, [[0], [1, 2], []], scale=2.0, implementation=implementation)
        for implementation in ("triton", "tiled")
    ]
    torch.testing.assert_close(*losses)
