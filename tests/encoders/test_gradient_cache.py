from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from xmc.encoders import (
    DualEncoder,
    EncoderConfig,
    encode_with_cache,
    flatten_tokens,
    gather_rows,
    pack_by_length,
)


@pytest.fixture(params=["static", "transformer"])
def encoder(request: pytest.FixtureRequest, static_folder: Path, bert_folder: Path) -> DualEncoder:
    folder = static_folder if request.param == "static" else bert_folder
    config = EncoderConfig(str(folder), kind=request.param, query_length=16, label_length=16, dropout=0.3)
    return DualEncoder.build(config).train()


def tokens(n: int = 9) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    return flatten_tokens(
        [generator.integers(4, 20, size=generator.integers(0, 8)).tolist() for _ in range(n)]
    )


def gradients(encoder: DualEncoder) -> list[torch.Tensor]:
    found = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in encoder.parameters()]
    encoder.model.zero_grad()
    return found


@pytest.mark.parametrize("max_tokens", [4, 16, 10_000])
def test_gradients_equal_the_whole_graph(encoder: DualEncoder, max_tokens: int) -> None:
    tower = encoder.query_tower
    ids, offsets = tokens()
    weight = torch.randn(len(offsets) - 1, encoder.dimension)

    torch.manual_seed(3)
    batches = pack_by_length(np.diff(offsets), max_tokens, tower.padded)
    if len(batches) == 1:
        whole = tower(ids, offsets)
    else:
        parts = torch.cat([tower(*gather_rows(ids, offsets, rows)) for rows in batches])
        whole = parts[torch.from_numpy(np.argsort(np.concatenate(batches)))]
    (weight * whole).sum().backward()
    expected = gradients(encoder)

    torch.manual_seed(3)
    cached = encode_with_cache(tower, ids, offsets, max_tokens=max_tokens)
    assert not cached.embeddings.requires_grad
    torch.testing.assert_close(cached.embeddings, whole.detach(), atol=1e-6, rtol=0)
    torch.rand(17)  # the loss may draw numbers too
    cached.backward(weight)
    for got, want in zip(gradients(encoder), expected, strict=True):
        torch.testing.assert_close(got, want, atol=1e-6, rtol=1e-5)
    assert any(want.abs().max() > 1e-3 for want in expected)


def test_dropout_is_active_and_backward_leaves_the_generator_alone(encoder: DualEncoder) -> None:
    ids, offsets = tokens()
    first = encode_with_cache(encoder.query_tower, ids, offsets, max_tokens=8)
    second = encode_with_cache(encoder.query_tower, ids, offsets, max_tokens=8)
    assert not torch.equal(first.embeddings, second.embeddings)
    before = torch.get_rng_state()
    first.backward(torch.ones_like(first.embeddings))
    assert torch.equal(before, torch.get_rng_state())


def test_autocast_holds_in_both_passes(encoder: DualEncoder) -> None:
    entered = []

    def autocast() -> torch.autocast:
        entered.append(1)
        return torch.autocast("cpu", torch.bfloat16)

    ids, offsets = tokens()
    cached = encode_with_cache(encoder.query_tower, ids, offsets, max_tokens=8, autocast=autocast)
    passes = len(entered)
    cached.backward(torch.ones_like(cached.embeddings))
    assert passes > 1 and len(entered) == 2 * passes
    assert cached.embeddings.dtype == torch.float32


def test_a_frozen_tower_has_no_way_back(encoder: DualEncoder) -> None:
    encoder.model.requires_grad_(False)
    for max_tokens in (8, 10_000):
        cached = encode_with_cache(encoder.query_tower, *tokens(), max_tokens=max_tokens)
        cached.backward(torch.ones_like(cached.embeddings))
    assert all(p.grad is None for p in encoder.parameters())


def test_no_rows(encoder: DualEncoder) -> None:
    cached = encode_with_cache(encoder.query_tower, *flatten_tokens([]))
    cached.backward(torch.zeros(0, encoder.dimension))
    assert cached.embeddings.shape == (0, encoder.dimension)


def test_a_gradient_of_another_shape_is_refused(encoder: DualEncoder) -> None:
    cached = encode_with_cache(encoder.query_tower, *tokens())
    with pytest.raises(ValueError, match="shape"):
        cached.backward(torch.zeros(2, 2))
