"""Encoders of well-known shapes with random weights."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from benchmarks.gpu_shapes import SHAPES, EncoderShape
from xmc.encoders import DualEncoder, EncoderConfig

__all__ = ["build_encoder", "save_random_encoder", "words"]

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def words(shape: EncoderShape) -> list[str]:
    """What the tokenizer of :func:`save_random_encoder` knows as one token each."""
    return [f"w{number}" for number in range(shape.vocabulary - len(SPECIAL))]


def save_random_encoder(shape: EncoderShape, folder: Path, vocabulary: list[str] | None = None) -> Path:
    """A bare transformer folder of random weights with a tokenizer of whole words.

    Args:
        shape: Of the model.
        folder: Made.
        vocabulary: Words that are tokens; :func:`words` when None. Any other word is one unknown token.
    """
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    known = [*SPECIAL, *(words(shape) if vocabulary is None else vocabulary)][: shape.vocabulary]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(known)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = Lowercase(), Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=4 * shape.width,
        max_position_embeddings=512,
        pad_token_id=0,
    )
    folder.mkdir(parents=True, exist_ok=True)
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), SPECIAL, strict=True))
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **names)
    wrapped.save_pretrained(folder)
    return folder


def build_encoder(
    name: str, folder: Path, *, length: int, vocabulary: list[str] | None = None
) -> DualEncoder:
    """A tied transformer: of random weights for a name of :data:`SHAPES`, else of the folder ``name``."""
    if name in SHAPES:
        name = str(save_random_encoder(SHAPES[name], folder / name, vocabulary))
    config = EncoderConfig(model=name, kind="transformer", query_length=length, label_length=length)
    return DualEncoder.build(config)
