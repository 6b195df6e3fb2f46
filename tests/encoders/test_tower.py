from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.fixtures.libraries import sbert, text_modules
from xmc.encoders import DualEncoder, EncoderConfig, flatten_tokens
from xmc.encoders.tower import pad_tokens
from xmc.errors import ModelError


@pytest.mark.parametrize("side", ["right", "left"])
def test_pad_tokens(side: str) -> None:
    ids, mask = pad_tokens(np.array([5, 6, 7]), np.array([0, 2, 2, 3]), 9, side)
    right = [[5, 6], [9, 9], [7, 9]], [[1, 1], [1, 0], [1, 0]]
    left = [[5, 6], [9, 9], [9, 7]], [[1, 1], [0, 1], [0, 1]]
    assert (ids.tolist(), mask.tolist()) == (right if side == "right" else left)


def test_static_tower_is_the_mean_of_its_rows(static_folder: Path) -> None:
    encoder = DualEncoder.build(EncoderConfig(str(static_folder), kind="static", normalize=False))
    tower = encoder.query_tower
    rows = [[4, 5, 5], [], [7]]
    table = tower.modules[0].embedding.weight
    out = tower(*flatten_tokens(rows))
    torch.testing.assert_close(out[0], table[[4, 5, 5]].mean(0))
    torch.testing.assert_close(out[2], table[7])
    assert not out[1].any()


@pytest.mark.parametrize("kind", ["static", "transformer"])
def test_empty_texts_have_finite_vectors_and_gradients(
    kind: str, static_folder: Path, bert_folder: Path
) -> None:
    folder = static_folder if kind == "static" else bert_folder
    encoder = DualEncoder.build(
        EncoderConfig(str(folder), kind=kind, query_length=16, label_length=16)
    ).train()  # type: ignore[arg-type]
    out = encoder.query_tower(*flatten_tokens([[], [4, 5], []]))
    out.sum().backward()
    assert torch.isfinite(out).all()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters() if p.grad is not None)
    assert encoder.query_tower(*flatten_tokens([])).shape == (0, encoder.dimension)


def test_tokens_are_cut_and_special_where_wanted(static_folder: Path, bert_folder: Path) -> None:
    settings = {"query_length": 3, "label_length": 5}
    text = ["the red house of stone"]
    static = DualEncoder.build(EncoderConfig(str(static_folder), kind="static", **settings))  # type: ignore[arg-type]
    bert = DualEncoder.build(EncoderConfig(str(bert_folder), kind="transformer", **settings))  # type: ignore[arg-type]
    assert [len(t.tokenize(text)[0]) for t in (static.query_tower, static.label_tower)] == [3, 5]
    assert [len(t.tokenize(text)[0]) for t in (bert.query_tower, bert.label_tower)] == [3, 5]
    assert bert.query_tower.tokenize(text)[0][::2] == [2, 3]
    assert 2 not in static.label_tower.tokenize(text)[0]


@pytest.mark.parametrize("kind", ["static", "transformer"])
def test_one_text_has_the_tokens_it_has_among_others(
    kind: str, static_folder: Path, bert_folder: Path
) -> None:
    folder = static_folder if kind == "static" else bert_folder
    encoder = DualEncoder.build(EncoderConfig(str(folder), kind=kind, query_length=4))  # type: ignore[arg-type]
    texts = ["the red house and the small bird", "a bird", "", "the red house and"]
    rows, num_cut = encoder.query_tower.tokenize_counting_cuts(texts)
    alone = [encoder.query_tower.tokenize_counting_cuts([text]) for text in texts]
    assert [own for (own,), _ in alone] == rows and sum(cut for _, cut in alone) == num_cut > 0


def test_tower_takes_read_only_arrays_and_tensors(static_folder: Path) -> None:
    tower = DualEncoder.load(static_folder).query_tower
    ids, offsets = flatten_tokens([[4, 5], [6]])
    ids.flags.writeable = False
    torch.testing.assert_close(
        tower(ids, offsets), tower(torch.from_numpy(ids.copy()).long(), torch.tensor([0, 2, 3]))
    )


def test_fingerprint_names_tokenizer_length_and_prompt(static_folder: Path) -> None:
    def fingerprint(length: int, prompt: str = "") -> str:
        encoder = DualEncoder.build(EncoderConfig(str(static_folder), kind="static", query_length=length))
        encoder.model.prompts["query"] = prompt
        return DualEncoder(encoder.model).query_tower.fingerprint

    assert fingerprint(4) == fingerprint(4)
    assert len({fingerprint(4), fingerprint(5), fingerprint(4, "query: ")}) == 3


def test_a_model_of_another_kind_is_refused() -> None:
    model = sbert.SentenceTransformer(modules=[text_modules.BoW(["a", "b"])], device="cpu")
    with pytest.raises(ModelError, match="BoW"):
        DualEncoder(model)


def test_bf16_weights_give_float32(bert_folder: Path) -> None:
    encoder = DualEncoder.load(bert_folder, device="cpu")
    encoder.model.to(torch.bfloat16)
    assert encoder.query_tower(*flatten_tokens([[2, 5, 3]])).dtype == torch.float32
    assert encoder.encode_queries(["a bird"]).dtype == np.float32
