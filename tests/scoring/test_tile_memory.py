"""What score tiles may take where nobody says."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from xmc.scoring import ScoreInputs, default_memory_bytes


@pytest.mark.parametrize(
    ("gigabytes", "megabytes"), [(8, 256), (24, 384), (80, 1024), (141, 1024)], ids=lambda value: f"{value}"
)
def test_a_gpu_gives_a_share_of_its_memory(
    gigabytes: int, megabytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    properties = SimpleNamespace(total_memory=gigabytes << 30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    assert default_memory_bytes(torch.device("cuda", 0)) == megabytes << 20


def test_what_is_given_is_taken() -> None:
    queries, labels = torch.zeros(2, 3), torch.zeros(4, 3)
    assert ScoreInputs(queries, labels, [[], []]).tile_bytes == 256 << 20
    assert ScoreInputs(queries, labels, [[], []], memory_bytes=5).tile_bytes == 5
