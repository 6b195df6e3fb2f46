from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from tests.fixtures.libraries import sbert
from xmc.encoders import DualEncoder, EncoderConfig, LabelOffsets
from xmc.encoders.lora_config import LoraConfig
from xmc.errors import ConfigError, ModelError, XMCError

EMBEDDING = "embeddings.word_embeddings.weight"

SHAPES: list[dict[str, Any]] = [
    {"kind": "static", "tied": True, "query_length": 5, "label_length": 5},
    {"kind": "static", "tied": True, "query_length": 5, "label_length": 2, "dropout": 0.2},
    {
        "kind": "static",
        "tied": False,
        "query_length": 5,
        "label_length": 2,
        "dropout": 0.2,
        "label_dropout": 0.0,
    },
    {"kind": "static", "tied": True, "query_length": 5, "label_length": 5, "normalize": False},
    {"kind": "transformer", "tied": True, "query_length": 6, "label_length": 4, "dropout": 0.2},
    {
        "kind": "transformer",
        "tied": True,
        "query_length": 6,
        "label_length": 4,
        "dropout": 0.2,
        "label_dropout": 0,
    },
    {"kind": "transformer", "tied": False, "query_length": 6, "label_length": 4},
    {"kind": "transformer", "tied": True, "query_length": 6, "label_length": 6, "pooling": "cls"},
]


def name(shape: dict[str, Any]) -> str:
    return " ".join(str(value) for value in shape.values())


@pytest.fixture(params=SHAPES, ids=name)
def shape(request: pytest.FixtureRequest) -> dict[str, Any]:
    return request.param


@pytest.fixture
def encoder(shape: dict[str, Any], static_folder: Path, bert_folder: Path) -> DualEncoder:
    folder = static_folder if shape["kind"] == "static" else bert_folder
    encoder = DualEncoder.build(EncoderConfig(str(folder), **shape))
    if not encoder.tied:  # as training would
        torch.manual_seed(5)
        with torch.no_grad():
            for parameter in encoder.label_tower.modules[0].parameters():
                parameter += 0.1 * torch.randn_like(parameter)
    return encoder


def test_the_saved_folder_opens_without_this_package(
    encoder: DualEncoder, tmp_path: Path, texts: list[str]
) -> None:
    encoder.train()
    encoder.save(tmp_path / "m")
    plain = sbert.SentenceTransformer(str(tmp_path / "m"), device="cpu")
    close = {"atol": 1e-6, "rtol": 1e-5}
    np.testing.assert_allclose(plain.encode_query(texts), encoder.encode_queries(texts), **close)
    np.testing.assert_allclose(plain.encode_document(texts), encoder.encode_labels(texts), **close)
    assert encoder.model.training


def test_a_loaded_encoder_is_the_saved_one(
    encoder: DualEncoder, shape: dict[str, Any], tmp_path: Path, texts: list[str]
) -> None:
    encoder.save(tmp_path / "m")
    loaded = DualEncoder.load(tmp_path / "m", device="cpu")
    assert loaded.tied == encoder.tied == shape["tied"]
    assert loaded.fingerprint == encoder.fingerprint
    assert loaded.metadata == encoder.metadata
    assert (loaded.metadata.query_length, loaded.metadata.label_length) == (
        shape["query_length"],
        shape["label_length"],
    )
    assert loaded.query_tower.fingerprint == encoder.query_tower.fingerprint
    assert len(list(loaded.parameters())) == len(list(encoder.parameters()))
    np.testing.assert_array_equal(loaded.encode_labels(texts), encoder.encode_labels(texts))


def test_fingerprint_follows_one_weight(encoder: DualEncoder) -> None:
    before = encoder.fingerprint
    with torch.no_grad():
        next(iter(encoder.parameters()))[0, 0] += 1e-3
    assert encoder.fingerprint != before


def test_each_side_keeps_its_own_number_of_tokens(encoder: DualEncoder, shape: dict[str, Any]) -> None:
    words = "red green blue bird night day".split()
    special = 2 if shape["kind"] == "transformer" else 0
    for encode, side in ((encoder.encode_queries, "query_length"), (encoder.encode_labels, "label_length")):
        kept = shape[side] - special
        whole, cut, less = encode([" ".join(words), " ".join(words[:kept]), " ".join(words[: kept - 1])])
        np.testing.assert_allclose(whole, cut, atol=1e-6)
        assert not np.allclose(cut, less, atol=1e-4)


@pytest.mark.parametrize("batch_tokens", [1, 7, 1000])
def test_encoding_keeps_the_order(static_folder: Path, texts: list[str], batch_tokens: int) -> None:
    encoder = DualEncoder.load(static_folder, device="cpu")
    one_by_one = np.concatenate([encoder.encode_queries([text]) for text in texts])
    np.testing.assert_allclose(
        encoder.encode_queries(texts, batch_tokens=batch_tokens), one_by_one, atol=1e-6
    )
    assert encoder.encode_queries([]).shape == (0, encoder.dimension)


def test_windows_do_not_change_the_vectors(
    bert_folder: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = DualEncoder.load(bert_folder, device="cpu")
    whole = encoder.encode_queries(texts)
    monkeypatch.setattr("xmc.encoders.encoding.WINDOW", 4)
    np.testing.assert_allclose(encoder.encode_queries(texts, progress=True), whole, atol=1e-6)
    captured = capsys.readouterr()
    assert "encoding queries" in captured.err and not captured.out


def test_unit_length_unless_raw(encoder: DualEncoder, shape: dict[str, Any]) -> None:
    norm = np.linalg.norm(encoder.encode_queries(["the red house"]))
    assert (abs(norm - 1) < 1e-5) == shape.get("normalize", True)
    assert encoder.model.similarity_fn_name == ("cosine" if shape.get("normalize", True) else "dot")


def test_dropout_can_be_kept_to_the_queries(static_folder: Path) -> None:
    config = EncoderConfig(str(static_folder), kind="static", dropout=0.5, label_dropout=0.0)
    encoder = DualEncoder.build(config).train()
    kinds = [[m.saved_as for m in t.modules] for t in (encoder.query_tower, encoder.label_tower)]
    assert kinds == [["StaticEmbedding", "Dropout", "Normalize"], ["StaticEmbedding", "Normalize"]]
    assert encoder.tied


def test_prompts_are_put_before_texts(bert_folder: Path, texts: list[str]) -> None:
    model = sbert.SentenceTransformer(
        str(bert_folder), device="cpu", prompts={"query": "the bird: ", "passage": "a "}
    )
    encoder = DualEncoder(model)
    np.testing.assert_allclose(encoder.encode_queries(texts), model.encode_query(texts), atol=1e-6)
    np.testing.assert_allclose(encoder.encode_labels(texts), model.encode_document(texts), atol=1e-6)
    assert not np.allclose(encoder.encode_queries(texts), encoder.encode_labels(texts))


def test_offsets_and_metadata_travel_with_the_model(static_folder: Path, tmp_path: Path) -> None:
    encoder = DualEncoder.load(static_folder, device="cpu")
    bare = encoder.fingerprint
    encoder.label_offsets = LabelOffsets(["a", "é"], np.array([0.5, -1.25]))
    encoder.metadata = replace(encoder.metadata, scale=33.0, dataset="toy", label_fingerprint="f" * 16)
    assert encoder.fingerprint != bare
    encoder.save(tmp_path / "run" / "model")
    loaded = DualEncoder.load(tmp_path / "run", device="cpu")
    assert loaded.metadata.scale == 33.0 and loaded.metadata.dataset == "toy" and loaded.metadata.has_offsets
    assert loaded.label_offsets is not None
    assert loaded.label_offsets.uids == ["a", "é"]
    assert loaded.label_offsets.offsets.tolist() == [0.5, -1.25]
    assert loaded.fingerprint == encoder.fingerprint


def test_saving_over_a_folder_is_asked_for(static_folder: Path, tmp_path: Path) -> None:
    encoder = DualEncoder.load(static_folder, device="cpu")
    encoder.save(tmp_path / "m")
    with pytest.raises(XMCError, match="overwrite"):
        encoder.save(tmp_path / "m")
    encoder.save(tmp_path / "m", overwrite=True)
    assert not list(tmp_path.glob(".*"))
    assert not list((tmp_path / "m").rglob("*.bin"))


@pytest.mark.parametrize("accelerator", [False, True])
def test_the_kind_that_is_left_open_suits_the_model_and_the_machine(
    accelerator: bool, static_folder: Path, bert_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: accelerator)
    fits = "transformer" if accelerator else "static"
    for folder, kind in (
        (bert_folder, fits),
        (static_folder, "static"),
    ):
        config = EncoderConfig(str(folder), query_length=8, label_length=4)
        assert DualEncoder.build(config).kind == kind


def test_what_cannot_be_built_says_why(static_folder: Path, bert_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='kind to "static"'):
        DualEncoder.build(EncoderConfig(str(static_folder), kind="transformer"))
    with pytest.raises(ConfigError, match="query_length of at most 32"):
        DualEncoder.build(EncoderConfig(str(bert_folder), kind="transformer", query_length=33))
    separate = DualEncoder.build(EncoderConfig(str(static_folder), kind="static", tied=False))
    with torch.no_grad():
        separate.label_tower.modules[0].embedding.weight += 1
    separate.save(tmp_path / "separate")
    with pytest.raises(ConfigError, match="separate towers"):
        DualEncoder.build(EncoderConfig(str(tmp_path / "separate"), kind="static"))
    again = DualEncoder.build(EncoderConfig(str(tmp_path / "separate"), kind="static", tied=False))
    np.testing.assert_array_equal(again.encode_labels(["a bird"]), separate.encode_labels(["a bird"]))


def test_a_tied_model_of_two_lengths_can_be_trained_further(static_folder: Path, tmp_path: Path) -> None:
    config = EncoderConfig(str(static_folder), kind="static", query_length=5, label_length=2)
    DualEncoder.build(config).save(tmp_path / "m")
    again = DualEncoder.build(replace(config, model=str(tmp_path / "m"), label_length=3))
    assert again.tied and again.label_tower.max_length == 3 and len(list(again.parameters())) == 1


def test_a_full_disk_is_told_and_leaves_nothing(
    static_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    encoder = DualEncoder.load(static_folder)
    monkeypatch.setattr(type(encoder.model), "save_pretrained", full)
    with pytest.raises(XMCError, match="could not write the weights of .*/out .*No space left"):
        encoder.save(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_damaged_weights_are_told(static_folder: Path, tmp_path: Path) -> None:
    DualEncoder.load(static_folder).save(tmp_path / "model")
    weights = next((tmp_path / "model").rglob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-9])
    with pytest.raises(ModelError, match="(?i)model: expected a sentence-transformers model .*incomplete"):
        DualEncoder.load(tmp_path / "model")


def rewritten(path: Path, change: Callable[[Any], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.fixture
def saved(static_folder: Path, tmp_path: Path) -> Path:
    DualEncoder.load(static_folder).save(tmp_path / "model")
    return tmp_path / "model"


def test_weights_that_are_not_finite_are_named(saved: Path) -> None:
    path = next(saved.rglob("model.safetensors"))
    path.write_bytes(path.read_bytes()[:-4] + b"\xff\xff\xff\x7f")
    with pytest.raises(ModelError, match=r"its weights .*embedding.weight hold NaN"):
        DualEncoder.load(saved)


def test_a_configuration_of_more_layers_than_there_are_weights(bert_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(bert_folder, tmp_path / "bert")
    for layers in (2**31, 10_000):
        rewritten(tmp_path / "bert" / "config.json", lambda c: c.update(num_hidden_layers=layers))  # noqa: B023
        with pytest.raises(
            ModelError, match=rf"config.json asks for num_hidden_layers {layers}, more than its"
        ):
            DualEncoder.load(tmp_path / "bert")


def test_a_tokenizer_of_more_tokens_than_the_table_has(saved: Path) -> None:
    rewritten(next(saved.rglob("tokenizer.json")), lambda c: c["model"]["vocab"].update(zebra=50))
    with pytest.raises(ModelError, match="expected token ids below 22, the rows of its table, got 50"):
        DualEncoder.load(saved)


def test_a_tokenizer_of_ids_far_beyond_its_tokens(saved: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rewritten(next(saved.rglob("tokenizer.json")), lambda c: c["model"]["vocab"].update(zebra=2**31))
    with pytest.raises(ModelError, match="tokenizer.json gives 23 tokens ids up to 2147483648"):
        DualEncoder.load(saved)
    assert len(capfd.readouterr().out) < 1000  # the tokenizers library lists every id between


def test_settings_that_break_a_module_when_it_is_used(bert_folder: Path, tmp_path: Path) -> None:
    sbert.SentenceTransformer(str(bert_folder), device="cpu").save_pretrained(str(tmp_path / "model"))
    rewritten(
        tmp_path / "model" / "sentence_bert_config.json",
        lambda c: c["modality_config"]["text"].update(method_output_name="nothing"),
    )
    with pytest.raises(ModelError, match="expected a model of two text towers .*'nothing'"):
        DualEncoder.load(tmp_path / "model")


@pytest.mark.parametrize(
    "text", ["{", '{"model": {"type": "Nothing"}}', "[" * 100_000, '{"version": "1.0", "model": 3}']
)
def test_a_tokenizer_that_is_none(saved: Path, text: str) -> None:
    next(saved.rglob("tokenizer.json")).write_text(text)
    with pytest.raises(ModelError, match="expected a sentence-transformers model"):
        DualEncoder.load(saved)


@pytest.mark.parametrize("name", ["modules.json", "xmc.json", "tokenizer.json"])
def test_a_pipe_in_a_model_folder_is_not_waited_for(saved: Path, name: str) -> None:
    path = next(saved.rglob(name))
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ModelError, match="a pipe or a device"):
        DualEncoder.load(saved)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scale": "20"}, "scale: expected a number"),
        ({"scale": float("inf")}, "scale: expected a finite number"),
        ({"has_offsets": 1}, "has_offsets: expected true or false"),
        ({"query_fields": "title"}, "query_fields: expected a list"),
        ({"ranking": "luck"}, "ranking: expected score or magnitude"),
    ],
)
def test_values_of_other_types_in_xmc_json_are_named(
    saved: Path, change: dict[str, object], said: str
) -> None:
    rewritten(saved / "xmc.json", lambda content: content.update(change))
    with pytest.raises(ModelError, match=rf"xmc.json: expected .*{said}"):
        DualEncoder.load(saved)


@pytest.mark.parametrize("changed", [False, True])
def test_a_tied_transformer_written_twice_is_one_while_it_is_equal(
    bert_folder: Path, tmp_path: Path, changed: bool
) -> None:
    """sentence-transformers 6.0 writes a module of two routes once for each."""
    shape = {
        "kind": "transformer",
        "query_length": 6,
        "label_length": 4,
        "dropout": 0.2,
        "label_dropout": 0.0,
    }
    DualEncoder.build(EncoderConfig(str(bert_folder), tied=True, **shape)).save(tmp_path / "m")
    config = json.loads((tmp_path / "m" / "router_config.json").read_text())
    mine, yours = "query_0_Transformer", "document_0_Transformer"
    assert config["structure"]["document"][0] == mine
    config["structure"]["document"][0] = yours
    config["types"][yours] = config["types"][mine]
    (tmp_path / "m" / "router_config.json").write_text(json.dumps(config))
    shutil.copytree(tmp_path / "m" / mine, tmp_path / "m" / yours)
    if changed:
        weights = load_file(tmp_path / "m" / yours / "model.safetensors")
        weights[next(iter(weights))] += 1
        save_file(weights, tmp_path / "m" / yours / "model.safetensors", {"format": "pt"})
    assert DualEncoder.load(tmp_path / "m").tied is not changed


@pytest.mark.parametrize("rank", [0, 2])
def test_weights_kept_in_half_precision_are_trained_in_float32(
    bert_folder: Path, tmp_path: Path, rank: int
) -> None:
    shutil.copytree(bert_folder, tmp_path / "half")
    weights = load_file(tmp_path / "half" / "model.safetensors")
    halves = {name: tensor.bfloat16() for name, tensor in weights.items()}
    save_file(halves, tmp_path / "half" / "model.safetensors", {"format": "pt"})
    config = json.loads((tmp_path / "half" / "config.json").read_text())
    (tmp_path / "half" / "config.json").write_text(json.dumps({**config, "dtype": "bfloat16"}))
    settings = EncoderConfig(
        str(tmp_path / "half"), kind="transformer", query_length=6, label_length=4, lora=LoraConfig(rank=rank)
    )
    parameters = list(DualEncoder.build(settings).parameters())
    assert {parameter.dtype for parameter in parameters} == {torch.float32}
    assert any(torch.equal(parameter, halves[EMBEDDING].float()) for parameter in parameters)
