from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.fixtures.tiny_models import SPECIAL, WORDS, tiny_distilbert
from xmc.encoders import DualEncoder, EncoderConfig, flatten_tokens, unpadded
from xmc.encoders.micro_batches import encode_with_cache, gather_rows, pack_by_length
from xmc.encoders.text_groups import group_texts
from xmc.encoders.tower import Tower
from xmc.encoders.unpadded import ATTENTION, layers_of, runs_unpadded_on, use_unpadded

ROWS = [[2, 4, 3], [], [2, 5, 6, 7, 8, 3], [2, 9, 3], [2, 10, 11, 12, 3], [2, 4, 3]]


@pytest.fixture
def bert(bert_folder: Path) -> DualEncoder:
    return DualEncoder.build(EncoderConfig(str(bert_folder), kind="transformer", query_length=16)).eval()


@pytest.fixture
def roberta(bert: DualEncoder) -> DualEncoder:
    """The same library's model around a RoBERTa, whose positions follow its padding id."""
    from transformers import RobertaConfig, RobertaModel

    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=len(SPECIAL + WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        pad_token_id=0,
    )
    bert.query_tower.modules[0].model = RobertaModel(config)
    return DualEncoder(bert.model).eval()


@pytest.fixture
def distilbert(bert: DualEncoder) -> DualEncoder:
    """The same library's model around a DistilBERT, which has no kinds of tokens."""
    bert.query_tower.modules[0].model = tiny_distilbert()
    return DualEncoder(bert.model).eval()


def outcome(
    tower: Tower, rows: list[list[int]], *, unpadded: bool
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The vectors of some texts and the gradients of every weight of the model."""
    assert tower.unpadded
    module = tower.modules[0]
    module.zero_grad()
    tower.unpadded = unpadded
    out = tower(*flatten_tokens(rows))
    torch.manual_seed(5)
    (out * torch.randn(out.shape)).sum().backward()
    tower.unpadded = True
    return out.detach(), gradients_of(tower)


def gradients_of(tower: Tower) -> list[torch.Tensor]:
    """Of every weight of the model."""
    weights = tower.modules[0].parameters()
    return [torch.zeros(1) if p.grad is None else p.grad.clone() for p in weights]


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta"])
@pytest.mark.parametrize("rows", [ROWS, ROWS[:1] * 3, [[]]], ids=["mixed", "equal", "empty"])
def test_vectors_and_gradients_are_those_of_padded_texts(
    kind: str, rows: list[list[int]], request: pytest.FixtureRequest
) -> None:
    tower = request.getfixturevalue(kind).query_tower
    (padded, expected), (out, gradients) = (outcome(tower, rows, unpadded=u) for u in (False, True))
    torch.testing.assert_close(out, padded, atol=2e-6, rtol=0)
    for gradient, other in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, other, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta"])
def test_attention_that_is_padded_as_on_a_gpu_gives_the_same(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    tower = request.getfixturevalue(kind).query_tower
    padded, expected = outcome(tower, ROWS, unpadded=False)
    monkeypatch.setattr(unpadded, "group_texts", lambda *given: group_texts(*given[:2], most=2))
    out, gradients = outcome(tower, ROWS, unpadded=True)
    torch.testing.assert_close(out, padded, atol=2e-6, rtol=0)
    for gradient, other in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, other, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta"])
def test_parts_with_dropout_are_replayed_with_the_same_masks(
    kind: str, request: pytest.FixtureRequest
) -> None:
    tower = request.getfixturevalue(kind).train().query_tower
    rows = flatten_tokens(ROWS)
    torch.manual_seed(3)
    encoding = encode_with_cache(tower, *rows, max_tokens=8)
    encoding.backward(torch.ones_like(encoding.embeddings))
    replayed = gradients_of(tower)
    tower.modules[0].zero_grad()
    torch.manual_seed(3)
    for part in pack_by_length(np.diff(rows[1]), 8, padded=True):
        out = tower(*gather_rows(*rows, part))
        assert torch.equal(out, encoding.embeddings[part])
        out.sum().backward()
    for found, expected in zip(replayed, gradients_of(tower), strict=True):
        assert torch.equal(found, expected)
    assert not torch.equal(tower(*rows), encoding.embeddings), "dropout is on"


def test_a_text_is_not_changed_by_its_neighbours(bert: DualEncoder) -> None:
    tower = bert.query_tower
    together = tower(*flatten_tokens(ROWS))
    for row, vector in zip(ROWS, together, strict=True):
        torch.testing.assert_close(tower(*flatten_tokens([row]))[0], vector, atol=2e-6, rtol=0)


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_no_layer_sees_a_padded_position(kind: str, request: pytest.FixtureRequest) -> None:
    tower, seen = request.getfixturevalue(kind).query_tower, list[int]()
    model = tower.modules[0].model
    for layer in layers_of(model):
        layer.register_forward_hook(lambda module, given, out: seen.append(out.shape[0] * out.shape[1]))
    tower(*flatten_tokens(ROWS[:1] + ROWS[2:]))
    assert seen == [sum(len(row) for row in ROWS)] * 2


def test_other_models_and_accelerators_keep_their_padding(bert: DualEncoder) -> None:
    assert runs_unpadded_on(torch.device("cuda")) and not runs_unpadded_on(torch.device("mps"))
    module = bert.query_tower.modules[0]
    assert module.model.config._attn_implementation == ATTENTION and use_unpadded(module)
    module.model.config.model_type = "mpnet"
    assert not use_unpadded(module)
    module.model.config.model_type = "bert"
    module.tokenizer.padding_side = "left"
    assert not use_unpadded(module)
    module.tokenizer.padding_side = "right"
    text = dict(module.modality_config["text"])
    module.modality_config["text"] = text | {"method_output_name": "pooler_output"}
    assert not use_unpadded(module)
    module.modality_config["text"] = text
    module.model.set_attn_implementation("eager")
    assert not use_unpadded(module)


def test_a_distilbert_that_counts_positions_itself_keeps_its_padding(
    distilbert: DualEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = distilbert.query_tower.modules[0]
    assert use_unpadded(module)
    embeddings = type(module.model.embeddings)
    monkeypatch.setattr(embeddings, "forward", lambda self, input_ids, input_embeds=None: input_ids)
    assert not use_unpadded(module)


def test_a_saved_model_says_nothing_of_it(bert: DualEncoder, tmp_path: Path, texts: list[str]) -> None:
    bert.save(tmp_path / "model")
    assert not any(ATTENTION in path.read_text() for path in (tmp_path / "model").rglob("*.json"))
    again = DualEncoder.load(tmp_path / "model")
    np.testing.assert_array_equal(again.encode_queries(texts), bert.encode_queries(texts))
