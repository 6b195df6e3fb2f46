from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.fixtures.tiny_models import tiny_distilbert
from xmc.encoders import DualEncoder, EncoderConfig, compiled_layers, flatten_tokens
from xmc.encoders.micro_batches import encode_with_cache, gather_rows, pack_by_length
from xmc.encoders.tower import Tower
from xmc.errors import ConfigError

ROWS = [[2] + [5] * length + [3] for length in (9, 1, 6, 6, 2, 12, 0, 3, 8, 11)]


def build(folder: Path, kind: str, **options: Any) -> DualEncoder:
    config = EncoderConfig(str(folder), kind="transformer", query_length=16, label_length=16, **options)
    encoder = DualEncoder.build(config)
    if kind == "distilbert":
        module: Any = encoder.query_tower.modules[0]
        module.model = tiny_distilbert()
        encoder = DualEncoder(encoder.model)
    return encoder.train()


def gradients(tower: Tower) -> list[torch.Tensor]:
    weights = tower.modules[0].parameters()
    return [w.grad.clone() for w in weights if w.grad is not None]


def run_plainly(function: Callable[..., torch.Tensor], backend: str) -> Callable[..., torch.Tensor]:
    """In the place of `compiled`."""
    assert backend == "inductor"
    return function


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_a_layer_in_two_parts_is_the_layer(
    kind: str, bert_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled_layers, "compiled", run_plainly)
    tower = build(bert_folder, kind).query_tower
    found = []
    for _ in range(2):
        tower.modules[0].zero_grad()
        torch.manual_seed(3)
        out = tower(*flatten_tokens(ROWS))  # with dropout
        out.sum().backward()
        found.append((out.detach(), gradients(tower)))
        tower.compile_layers()
    (whole, expected), (parts, got) = found
    assert torch.equal(whole, parts) and len(expected) > 20
    assert all(torch.equal(a, b) for a, b in zip(expected, got, strict=True))


def test_only_passes_of_training_are_compiled(bert_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def noting(function: Callable[..., torch.Tensor], backend: str) -> Callable[..., torch.Tensor]:
        asked.append(function.__name__)
        return run_plainly(function, backend)

    monkeypatch.setattr(compiled_layers, "compiled", noting)
    encoder = build(bert_folder, "bert")
    encoder.query_tower.compile_layers()
    encoder.encode_queries(["the red house", "a bird"])
    assert not asked
    encoder.query_tower(*flatten_tokens(ROWS))
    assert asked == ["_after_bert"] * 2


def replays_alike(tower: Tower, tokens: int) -> None:
    """A pass without gradients and its replay with them give the same vectors, and those gradients."""
    rows = flatten_tokens(ROWS)
    tower.modules[0].zero_grad()
    torch.manual_seed(3)
    encoding = encode_with_cache(tower, *rows, max_tokens=tokens)
    encoding.backward(torch.ones_like(encoding.embeddings))
    replayed = gradients(tower)
    tower.modules[0].zero_grad()
    torch.manual_seed(3)
    for part in pack_by_length(np.diff(rows[1]), tokens, padded=True):
        out = tower(*gather_rows(*rows, part))
        # Of two compilations, so that they are equal up to rounding; with other masks they differ by more.
        torch.testing.assert_close(out, encoding.embeddings[part], atol=5e-6, rtol=0)
        out.sum().backward()
    for found, expected in zip(replayed, gradients(tower), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    torch.manual_seed(4)
    other = encode_with_cache(tower, *rows, max_tokens=tokens).embeddings
    assert (other - encoding.embeddings).abs().max() > 5e-4, "dropout is on"


@pytest.mark.parametrize(
    ("kind", "backend", "frozen"),
    [
        ("bert", "aot_eager", 1),
        ("distilbert", "aot_eager", 0),
        # What the default makes of the graphs; that they are right the others show in less time.
        ("bert", "inductor", 0),
    ],
)
def test_a_replay_draws_the_same_dropout(
    kind: str, backend: str, frozen: int, bert_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled_layers, "BACKEND", backend)
    tower = build(bert_folder, kind, frozen_layers=frozen).query_tower
    tower.compile_layers()
    for tokens in (30, 45):  # other lengths, and no other compilation
        replays_alike(tower, tokens)


def test_layers_share_a_compilation_for_all_numbers_of_tokens(
    bert_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []

    def counting(graph: torch.fx.GraphModule, inputs: object) -> Callable[..., Any]:
        made.append(graph)
        return graph.forward

    monkeypatch.setattr(compiled_layers, "BACKEND", counting)
    tower = build(bert_folder, "bert").query_tower
    tower.compile_layers()
    texts = [ROWS, ROWS[:7], ROWS[:4], ROWS[:1] * 3, ROWS[2:4], ROWS[:1]]  # many groups of a length, and one
    for rows in texts:
        with torch.no_grad():
            tower(*flatten_tokens(rows))
    assert len(made) == 1  # of two layers
    for rows in texts:
        tower(*flatten_tokens(rows)).sum().backward()
    assert len(made) == 2


def test_a_machine_that_cannot_compile_is_told(bert_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_compiler(graph: object, inputs: object) -> Callable[..., Any]:
        raise RuntimeError("no C compiler was found")

    monkeypatch.setattr(compiled_layers, "BACKEND", without_compiler)
    tower = build(bert_folder, "bert").query_tower
    tower.compile_layers()
    with pytest.raises(ConfigError, match=r"(?s)training\.compile: .*no C compiler.*: leave it false"):
        tower(*flatten_tokens(ROWS))


def test_other_encoders_are_refused(static_folder: Path, bert_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"training\.compile: expected a transformer .* on cpu: leave"):
        DualEncoder.build(EncoderConfig(str(static_folder))).query_tower.compile_layers()
    tower = build(bert_folder, "bert").query_tower
    tower.unpadded = False
    with pytest.raises(ConfigError, match="Transformer on cpu"):
        tower.compile_layers()
