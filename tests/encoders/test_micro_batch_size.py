from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from xmc.bench.known_towers import DISTILBERT
from xmc.encoders import DualEncoder, EncoderConfig
from xmc.encoders.micro_batch_size import LEAST_GPU_TOKENS, gpu_tokens, token_bytes
from xmc.encoders.tower import Tower

GIB = 1 << 30


@pytest.mark.parametrize(
    ("gib", "layers", "width", "tokens"),
    [
        (139, 6, 768, 131_072),  # DistilBERT
        (79, 6, 768, 65_536),
        (39, 6, 768, 32_768),
        (24, 6, 768, 16_384),
        (8, 6, 768, 16_384),  # the least, also where it is more than a quarter
        (79, 6, 384, 131_072),  # MiniLM
        (139, 3, 64, 131_072),  # the most
        (139, 12, 768, 65_536),  # BERT-base
    ],
)
def test_activations_fit_a_quarter_of_a_card(gib: int, layers: int, width: int, tokens: int) -> None:
    kept = token_bytes(layers, width)
    assert gpu_tokens(gib * GIB, kept) == tokens
    assert tokens == LEAST_GPU_TOKENS or tokens * kept * 4 <= gib * GIB


def test_a_distilbert_keeps_what_the_cost_on_paper_counts() -> None:
    assert token_bytes(6, 768) == DISTILBERT.activation_bytes == 255_000


@pytest.fixture
def bert(bert_folder: Path) -> Tower:
    return DualEncoder.build(EncoderConfig(str(bert_folder), kind="transformer", query_length=16)).query_tower


def test_a_tower_asks_its_card(bert: Tower, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bert.micro_batch_tokens == 4_096
    asked: list[torch.device] = []

    def properties(device: torch.device) -> SimpleNamespace:
        asked.append(device)
        return SimpleNamespace(total_memory=4 * 40_000 * token_bytes(2, 16))

    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    monkeypatch.setattr(Tower, "device", torch.device("cuda", 1))
    assert bert.micro_batch_tokens == 32_768 and asked == [torch.device("cuda", 1)]
    # A model that does not say how large it is, and another accelerator.
    monkeypatch.setattr(bert.modules[0].model, "config", SimpleNamespace())
    assert bert.token_bytes is None and bert.micro_batch_tokens == LEAST_GPU_TOKENS
    monkeypatch.setattr(Tower, "device", torch.device("mps"))
    assert bert.micro_batch_tokens == LEAST_GPU_TOKENS and len(asked) == 1


def test_a_bag_of_tokens_is_one_micro_batch(static_folder: Path) -> None:
    tower = DualEncoder.build(EncoderConfig(str(static_folder))).query_tower
    assert tower.micro_batch_tokens == 1 << 20 and tower.token_bytes == 40
