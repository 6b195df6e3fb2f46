"""One tower: from token ids to embeddings, on flat ids so that a bag of tokens needs no padding."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from xmc.distributed.world import to_device
from xmc.encoders.frozen_layers import calm_frozen, freeze_layers
from xmc.encoders.micro_batch_size import LEAST_GPU_TOKENS, gpu_tokens, token_bytes
from xmc.encoders.module_kinds import is_pooling, is_static, is_transformer
from xmc.encoders.static_modules import bag_of_rows, plain_bag
from xmc.encoders.tokenizing import check_ids, token_ids, tokens_fingerprint
from xmc.encoders.unpadded import LowerVectors, runs_unpadded_on, token_features, use_unpadded
from xmc.encoders.word_tokens import WORTH, WordTokens, reads_words
from xmc.errors import ConfigError, ModelError

__all__ = ["Tower", "pad_tokens"]


class Tower:
    """A text encoder over an ordered list of sentence-transformers modules.

    Args:
        modules: A ``Transformer`` or a ``StaticEmbedding``, then pooling, dropout, normalisation.
        dimension: Components of an embedding, D.
        task: "query" or "document": which of a tied transformer's two lengths holds.
        prompt: Text put before every text.

    Raises:
        ModelError: When the first module is neither of the two, or has no fast tokenizer.
    """

    def __init__(self, modules: Sequence[nn.Module], dimension: int, *, task: str, prompt: str = "") -> None:
        self.modules = list(modules)
        self._first: Any = self.modules[0]
        self.dimension = dimension
        self.prompt = prompt
        self.task = task
        self.padded = is_transformer(self._first)
        """True: a batch costs rows x longest (transformer). False: it costs its total of tokens (static)."""
        self.row_leaf: Tensor | None = None
        """What gets a sparse gradient of the rows of a bag's table that were touched; None: a dense one."""
        self.max_length = _max_length(self._first, task)
        _check(self.modules)
        self.unpadded = self.padded and use_unpadded(self._first)
        """Whether a transformer runs without padding; what comes after it gets padded vectors."""
        self._compiled = False
        self.kept_layers: LowerVectors | None = None
        """What stands for a transformer's frozen layers in training; what users encode is computed whole."""

    def tokenize(self, texts: list[str]) -> list[list[int]]:
        """Token ids of each text, cut to ``max_length``, with special tokens where the model wants them."""
        return self.tokenize_counting_cuts(texts)[0]

    def tokenize_counting_cuts(self, texts: list[str]) -> tuple[list[list[int]], int]:
        """As :meth:`tokenize`, and how many of the texts were longer than ``max_length``."""
        if len(texts) >= WORTH and self._words is not None:
            whole = [self.prompt + text for text in texts] if self.prompt else texts
            return self._words.ids(whole, self.max_length)
        return token_ids(
            self._tokenizer, texts, prompt=self.prompt, max_length=self.max_length, special=self.padded
        )

    def __call__(self, ids: np.ndarray | Tensor, offsets: np.ndarray | Tensor) -> Tensor:
        """Embeddings float32 [n, D] of n texts, differentiable.

        A static tower gives an empty text the zero vector.

        Args:
            ids: Flat token ids, int32 or int64 [t]; a transformer's are laid out on the host.
            offsets: Where each text starts, int64 [n + 1].
        """
        # No text at all: modules need not be able to work on an empty batch.
        if len(offsets) == 1:
            return torch.zeros(0, self.dimension, device=self.device)
        kept = None if torch.is_inference_mode_enabled() else self.kept_layers
        if kept is not None or (self.unpadded and runs_unpadded_on(self.device)):
            features, rest = self._token_features(_on_host(ids), _on_host(offsets), kept), self.modules[1:]
        elif self.padded:
            features, rest = self._padded_features(_on_host(ids), _on_host(offsets)), self.modules
        else:
            bags = self._bag(to_device(ids, self.device), to_device(offsets, self.device))
            features, rest = {"sentence_embedding": bags}, self.modules[1:]
        for module in rest:
            features = module(features)
        return features["sentence_embedding"].float()

    def replace_modules(self, modules: Sequence[nn.Module]) -> None:
        """Encode with ``modules`` from now on; they must turn texts into tokens as the present ones do."""
        self.modules[:] = modules
        self._first = modules[0]

    @property
    def token_table(self) -> nn.Parameter | None:
        """The token vectors [V, D] of a bag of tokens; None for a transformer."""
        table: nn.Parameter | None = None if self.padded else self._first.embedding.weight
        return table

    def keep_table_in(self, dtype: torch.dtype) -> None:
        """Keep the token vectors in ``dtype``, bfloat16 or float32; embeddings stay float32."""
        self._first.embedding.to(dtype)

    def freeze_layers(self, count: int) -> None:
        """Keep a transformer's embeddings and its first ``count`` layers as they are.

        Raises:
            ConfigError: When it has no such layers.
        """
        if not self.unpadded:
            raise ConfigError(
                "encoder.frozen_layers: expected a transformer of BERT's, DistilBERT's or RoBERTa's kind "
                f"(encoder.kind transformer), got {type(self._first).__name__}: leave it out"
            )
        freeze_layers(self._first.model, count)

    def compile_layers(self) -> None:
        """Compile, of training's passes from now on, what a transformer's layers do after their attention.

        Raises:
            ConfigError: When it has no such layers, or runs where they are not run without padding.
        """
        if not (self.unpadded and runs_unpadded_on(self.device)):
            raise ConfigError(
                "training.compile: expected a transformer of BERT's, DistilBERT's or RoBERTa's kind "
                f"(encoder.kind transformer) on a CUDA GPU, got {type(self._first).__name__} on "
                f"{self.device.type}: leave it false"
            )
        self._compiled = True

    def calm_frozen(self) -> None:
        """Switch off dropout in frozen layers, as they were switched on with all others."""
        if self.unpadded:
            calm_frozen(self._first.model)

    def check_ids(self) -> None:
        """Refuse a tokenizer that gives ids which the table of token vectors does not have.

        Raises:
            ModelError: Saying how many it has.
        """
        if not self.padded:
            rows = len(self._first.embedding.weight)
        elif self._first.backend == "torch":
            rows = len(self._first.model.get_input_embeddings().weight)
        else:  # another runtime hands out no tables
            rows = self._first.model.config.vocab_size
        check_ids(self._tokenizer, rows)

    def check_prompt(self, prompt: str, length: str) -> None:
        """Refuse a prompt that leaves no room for a text, naming the options.

        Raises:
            ConfigError: Saying how many tokens it has.
        """
        if not self.prompt or self.max_length is None:
            return
        # With a token more for the text, and one that closes it.
        if self.prompt_tokens + 1 + self.padded > self.max_length:
            raise ConfigError(
                f"{length}: expected more than the tokens of {prompt} {self.prompt!r:.60}, got "
                f"{self.max_length}, which leaves no room for a text"
            )

    @property
    def micro_batch_tokens(self) -> int:
        """Tokens of a micro-batch with gradients: of a transformer as suits its device, and its memory."""
        if not self.padded:
            return 1 << 20
        device = self.device
        if device.type == "cpu":
            return 4_096  # larger ones leave its caches, and are slower
        if device.type != "cuda" or self.token_bytes is None:
            return LEAST_GPU_TOKENS
        return gpu_tokens(torch.cuda.get_device_properties(device).total_memory, self.token_bytes)

    @property
    def token_bytes(self) -> int | None:
        """What autograd keeps of each token, in bytes: by the layers of a transformer that tells of them."""
        if not self.padded:
            return 40
        config: Any = getattr(self._first.model, "config", None)
        layers, width = (getattr(config, name, None) for name in ("num_hidden_layers", "hidden_size"))
        return token_bytes(layers, width) if isinstance(layers, int) and isinstance(width, int) else None

    @property
    def device(self) -> torch.device:
        """Where the weights are; of another runtime than torch, where it takes and gives numbers: the CPU."""
        weights: torch.Tensor | None = next(self._first.parameters(), None)
        return torch.device("cpu") if weights is None else weights.device

    @cached_property
    def fingerprint(self) -> str:
        """Names the way texts become tokens: tokenizer, length, prompt."""
        return tokens_fingerprint(
            self._tokenizer, prompt=self.prompt, max_length=self.max_length, padded=self.padded
        )

    @property
    def prompt_tokens(self) -> int:
        """Tokens at the beginning of every text that are of the prompt, special ones before it included."""
        if not self.prompt:
            return 0
        [ids] = self.tokenize([""])
        closing = self._first.tokenizer.all_special_ids if self.padded else []
        return len(ids) - (len(ids) > 0 and ids[-1] in closing)

    @cached_property
    def _unpooled(self) -> int:
        """How many of the first tokens a pooling leaves out."""
        left_out = any(is_pooling(module) and not module.include_prompt for module in self.modules)
        return self.prompt_tokens if left_out else 0

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        """A private copy: the model's own tokenizer changes its truncation and padding from call to call."""
        shared = self._first.tokenizer.backend_tokenizer if self.padded else self._first.tokenizer
        tokenizer = Tokenizer.from_str(shared.to_str())
        tokenizer.no_padding()
        if self.padded and self.max_length is not None:
            tokenizer.enable_truncation(self.max_length, direction=self._first.tokenizer.truncation_side)
        elif self.padded:
            tokenizer.no_truncation()
        return tokenizer

    @cached_property
    def _words(self) -> WordTokens | None:
        """Looks up the tokens of words, where a text's are those of its words: mostly in a bag of tokens."""
        whole = not self.padded and reads_words(self._tokenizer)
        return WordTokens(self._tokenizer) if whole else None

    def _bag(self, ids: Tensor, offsets: Tensor) -> Tensor:
        # embedding_bag wants ids and offsets of one integer type.
        bag, offsets = self._first.embedding, offsets.to(ids.dtype)
        if self.row_leaf is not None and torch.is_grad_enabled() and bag.weight.requires_grad:
            return bag_of_rows(bag.weight, ids, offsets, bag.mode, leaf=self.row_leaf)
        return plain_bag(bag.weight, ids, offsets, bag.mode)

    def _token_features(
        self, ids: np.ndarray, offsets: np.ndarray, kept: LowerVectors | None
    ) -> dict[str, Tensor]:
        # What is encoded without dropout, as in a validation, need not be compiled for that too.
        compiled = self._compiled and self._first.model.training
        features = token_features(self._first, ids, offsets, kept, compiled=compiled)
        if self._unpooled:
            features["prompt_length"] = torch.full((1,), self._unpooled)
        return features

    def _padded_features(self, ids: np.ndarray, offsets: np.ndarray) -> dict[str, Tensor]:
        tokenizer = self._first.tokenizer
        padded = pad_tokens(ids, offsets, tokenizer.pad_token_id or 0, tokenizer.padding_side)
        input_ids, mask = (to_device(part, self.device) for part in padded)
        features = {"input_ids": input_ids, "attention_mask": mask}
        if "token_type_ids" in tokenizer.model_input_names:
            features["token_type_ids"] = torch.zeros_like(input_ids)
        if self._unpooled:
            features["prompt_length"] = torch.full((1,), self._unpooled)
        return features


def pad_tokens(ids: np.ndarray, offsets: np.ndarray, pad_id: int, side: str) -> tuple[np.ndarray, np.ndarray]:
    """Flat ids [t] and offsets [n + 1] as a padded batch and its attention mask, both int64 [n, longest].

    A text without tokens attends to one pad token, so that no softmax runs over nothing. On the host, which
    has the lengths: a GPU would have to be waited for to learn the longest.
    """
    lengths = np.diff(offsets)[:, None]  # [n, 1]
    width = max(1, int(lengths.max()))
    column = np.arange(width)  # [longest]
    # Flat ids are row after row, which is the order in which a boolean mask is filled.
    filled = column < lengths if side == "right" else column >= width - lengths
    input_ids = np.full(filled.shape, pad_id, dtype=np.int64)
    input_ids[filled] = ids
    edge = 0 if side == "right" else -1
    filled[:, edge] = True
    return input_ids, filled.astype(np.int64)


def _max_length(first: Any, task: str) -> int | None:
    if is_transformer(first):
        length = (first.query_length if task == "query" else first.document_length) or first.max_seq_length
        return int(length) if length is not None and length < 1 << 30 else None
    if is_static(first):
        # A static module's tokenizer cuts by itself, or does not cut.
        return first.tokenizer.truncation["max_length"] if first.tokenizer.truncation else None
    raise ModelError(
        f"expected a model that begins with a Transformer or StaticEmbedding, got {type(first).__name__}: "
        "choose another sentence-transformers text model"
    )


def _check(modules: Sequence[Any]) -> None:
    first = modules[0]
    if is_transformer(first) and not getattr(first.tokenizer, "is_fast", False):
        raise ModelError(f"expected a model with a fast tokenizer, got {type(first.tokenizer).__name__}")


def _on_host(values: np.ndarray | Tensor) -> np.ndarray:
    return values.cpu().numpy() if isinstance(values, Tensor) else values
