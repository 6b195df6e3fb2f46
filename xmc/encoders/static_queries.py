"""The query side of a saved static model with numpy and tokenizers alone: a search need not import torch.

Importing torch takes longer than a search of a million labels. A bag of tokens is a mean of rows: its vectors
are those of `DualEncoder` but for the order in which a norm is summed, 1e-7 of their length.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer

from xmc.encoders.cut_count import CutCount
from xmc.encoders.metadata import EncoderMetadata
from xmc.encoders.model_files import digest_files, digest_in_background
from xmc.encoders.needed_tokens import NeededTokens
from xmc.encoders.prefixes import check_cut, cut
from xmc.encoders.resolve import resolve_model
from xmc.encoders.static_folder import (
    NORMALISED,
    SIDES,
    WEIGHT,
    StaticFolder,
    StaticPart,
    prompt_of,
    read_folder,
)
from xmc.encoders.text_input import TextInput, as_texts, check_texts
from xmc.encoders.tokenizing import check_ids, token_ids, tokens_fingerprint
from xmc.encoders.word_tokens import WORTH, WordTokens, reads_words
from xmc.errors import ModelError
from xmc.received import reading

if TYPE_CHECKING:
    from xmc.encoders.model_fingerprint import Weights

__all__ = ["StaticQueries", "bags_of_tokens"]

_TOKENIZER = "tokenizer.json"

_WINDOW = 16_384
"""Texts that are tokenised at a time."""


def bags_of_tokens(table: NDArray[np.float32], rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """The mean of the vectors of each text's tokens, float32 [n, D]; zeros for a text without one.

    A text's vector is the same to the bit whatever texts are beside it.

    Args:
        table: float32 [V, D].
        rows: Token ids of n texts.
    """
    ends = np.cumsum(np.fromiter(map(len, rows), dtype=np.int64, count=len(rows)))
    ids = np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=int(ends[-1]) if len(rows) else 0)
    bags = np.zeros((len(rows), table.shape[1]), dtype=np.float32)
    start = 0
    for bag, end in zip(bags, ends.tolist(), strict=True):
        # One text at a time stays in the core's cache: a third of the time of many at once.
        if end > start:
            np.add.reduce(table[ids[start:end]], axis=0, out=bag)
            bag /= np.float32(end - start)
        start = end
    return bags


class StaticQueries:
    """Encodes queries as the `DualEncoder` of the same folder does, and goes by the same fingerprint.

    Args:
        folder: Of the model.
        layout: What it holds.
        metadata: What its ``xmc.json`` says, or the defaults.
        checked: The first text may be cut into tokens before the whole tokenizer is made, which is known to
            be as it should.
    """

    truncated_to: int | None = None
    """As of `DualEncoder`."""
    _used = False

    def __init__(
        self, folder: Path, layout: StaticFolder, metadata: EncoderMetadata, *, checked: bool = False
    ) -> None:
        self._folder, self._layout = folder, layout
        bag = layout.sides["query"][0]
        self._needed = NeededTokens.read(bag.place / _TOKENIZER) if checked else None
        if self._needed is None:
            self._tokenizer = _tokenizer(bag)
        self._table = _table(bag)
        self._prompt = self._prompt_of("query")
        self.dimension = int(self._table.shape[1])
        self.max_length = _max_length(self._tokenizer) if self._needed is None else self._needed.max_length
        self.metadata = replace(metadata, query_length=self.max_length)

    @classmethod
    def load(cls, path_or_name: str | Path, *, checked: bool = False) -> StaticQueries | None:
        """Open a model folder or a run folder; None for what `DualEncoder.load` must open.

        That is every model but a static one of float32 numbers.

        Args:
            path_or_name: Of the model.
            checked: What takes long is not looked at: for a folder that :meth:`load_known` knows.

        Raises:
            ModelError: When it cannot be found, or what is read here is damaged.
        """
        folder = resolve_model(path_or_name)
        metadata = EncoderMetadata.load(folder)
        try:
            layout = read_folder(folder)
            tables = [] if layout is None else [_header(side[0]) for side in layout.sides.values()]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError):
            return None  # the library says what is wrong with it
        if layout is None or any(table != "F32" for table in tables):
            return None
        with reading(folder, "a model of two text towers", error=ModelError):
            if not checked:
                from xmc.encoders.folder_checks import check_vocabularies

                check_vocabularies(folder)
            queries = cls(folder, layout, metadata or EncoderMetadata(tied=False), checked=checked)
            if not checked:
                check_ids(queries._tokenizer, len(queries._table))
                if not np.isfinite(queries._table).all():
                    raise ValueError("its weights hold NaN or infinity")
        return queries

    @classmethod
    def load_known(cls, path_or_name: str | Path, digest: str) -> StaticQueries | None:
        """The same of a folder that has been opened before; None unless it is as it was then.

        Args:
            path_or_name: Of the model.
            digest: Its :meth:`digest` at that time, which is taken again while the model is opened.

        Raises:
            ModelError: When it cannot be found.
        """
        folder = resolve_model(path_or_name)
        try:
            with digest_in_background(folder) as found:
                queries = cls.load(folder, checked=True)
                return queries if found() == digest else None
        except (ModelError, OSError):
            return None  # whatever opens it with all checks says what is wrong

    @staticmethod
    def digest(path_or_name: str | Path) -> str:
        """`digest_files` of a model's folder; "" where it cannot be read as one of static towers."""
        try:
            folder = resolve_model(path_or_name)
            return "" if read_folder(folder) is None else digest_files(folder)
        except (ModelError, OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError):
            return ""  # whatever opens it says what is wrong with it

    def truncated(self, dimension: int) -> StaticQueries:
        """The same, giving the first ``dimension`` components of each vector; see `DualEncoder.truncated`.

        Raises:
            ConfigError: When the model has fewer.
        """
        check_cut(dimension, self.dimension, "dimensions")
        view = copy.copy(self)
        view.dimension = view.truncated_to = dimension
        return view

    def encode_queries(self, texts: TextInput, *, cuts: CutCount | None = None) -> NDArray[np.float32]:
        """Embeddings float32 [N, D] of N queries in their order, or [D] of one string.

        Args:
            texts: A query, or queries in order.
            cuts: Counts the texts that are longer than the model reads.

        Raises:
            DataError: When they are not strings.
        """
        texts, one = as_texts(texts, "queries")
        if self._used and not self._table.flags.owndata:
            # Who goes on searching must not depend on a file that others may write over in place.
            self._table = np.array(self._table)
        out = np.empty((len(texts), self.dimension), dtype=np.float32)
        for start in range(0, len(texts), _WINDOW):
            window = list(texts[start : start + _WINDOW])
            check_texts(window, start, "queries")
            rows, num_cut = self._tokens(window)
            if cuts is not None:
                cuts.add(num_cut, len(window), self.max_length)
            out[start : start + len(window)] = self._embed(rows)
        self._used = True
        return out[0] if one else out

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        assert self._needed is not None
        return self._needed.whole()

    @cached_property
    def fingerprint(self) -> str:
        """That of the `DualEncoder`: the label side is read for it, and let go."""
        from xmc.encoders.label_residuals import LabelResiduals
        from xmc.encoders.label_vectors import LabelVectors
        from xmc.encoders.metadata import LabelOffsets
        from xmc.encoders.model_fingerprint import described, digest, model_fingerprint

        folder, metadata = self._folder, self.metadata
        bags = [self._layout.sides[side][0] for side in SIDES]
        prompts = [self._prompt_of(side) for side in SIDES]
        one = bags[0] == bags[1]
        label = self._tokenizer if one else _tokenizer(bags[1])
        tokens = [_tokens_of(self._tokenizer, prompts[0])]
        tokens.append(tokens[0] if one and prompts[0] == prompts[1] else _tokens_of(label, prompts[1]))
        modules = [described(_names(self._layout.sides[side])) for side in SIDES]
        weights = [digest(_weights(self._table))]
        if not one:
            table = _table(bags[1])
            if not (metadata.tied and np.array_equal(table, self._table)):
                weights.append(digest(_weights(table)))
        return model_fingerprint(
            list(zip(tokens, modules, strict=True)),
            weights,
            metadata,
            LabelOffsets.load(folder) if metadata.has_offsets else None,
            LabelResiduals.load(folder) if metadata.has_residuals else None,
            LabelVectors.load(folder) if metadata.has_label_table else None,
        )

    def _tokens(self, texts: list[str]) -> tuple[list[list[int]], int]:
        if len(texts) >= WORTH and self._words is not None:
            return self._words.ids([self._prompt + text for text in texts], self.max_length)
        # Of one text at first: who asks for more, or again, goes on asking.
        tokenizer = None
        if self._needed is not None and not self._used and len(texts) == 1:
            tokenizer = self._needed.tokenizer([self._prompt + texts[0]])
        tokenizer = tokenizer or self._tokenizer
        return token_ids(tokenizer, texts, prompt=self._prompt, max_length=self.max_length, special=False)

    @cached_property
    def _words(self) -> WordTokens | None:
        return WordTokens(self._tokenizer) if reads_words(self._tokenizer) else None

    def _embed(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        bags = bags_of_tokens(self._table, rows)
        normalised = any(part.kind == "Normalize" for part in self._layout.sides["query"])
        if normalised:
            bags /= np.maximum(np.linalg.norm(bags, axis=1, keepdims=True), np.float32(1e-12))
        return bags if self.truncated_to is None else cut(bags, self.truncated_to, normalised=normalised)

    def _prompt_of(self, side: str) -> str:
        return prompt_of(side, self._layout.prompts, self._layout.default_prompt_name)


def _tokenizer(bag: StaticPart) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(bag.place / _TOKENIZER))
    tokenizer.no_padding()
    return tokenizer


def _max_length(tokenizer: Tokenizer) -> int | None:
    return int(tokenizer.truncation["max_length"]) if tokenizer.truncation else None


def _tokens_of(tokenizer: Tokenizer, prompt: str) -> str:
    return tokens_fingerprint(tokenizer, prompt=prompt, max_length=_max_length(tokenizer), padded=False)


def _header(bag: StaticPart) -> str:
    """The type of the numbers of a table; "" where the weights are others."""
    with safe_open(bag.place / "model.safetensors", "np") as file:
        return str(file.get_slice(WEIGHT).get_dtype()) if set(file.keys()) == {WEIGHT} else ""


def _table(bag: StaticPart) -> NDArray[np.float32]:
    """The table on disk, memory-mapped: one search needs a few of its rows."""
    path = bag.place / "model.safetensors"
    with safe_open(path, "np") as file:
        shape = tuple(file.get_slice(WEIGHT).get_shape())
    if len(shape) != 2:
        raise ModelError(f"expected a table of token vectors [V, D], got the shape {shape}")
    # Its numbers are the end of the file, which holds nothing else (safetensors sees to that).
    begin = path.stat().st_size - 4 * math.prod(shape)
    return np.asarray(np.memmap(path, dtype="<f4", mode="r", offset=begin, shape=shape))


def _weights(table: NDArray[np.float32]) -> list[Weights]:
    from xmc.encoders.model_fingerprint import Weights

    return [Weights(0, WEIGHT, "torch.float32", table.shape, np.ascontiguousarray(table).data)]


def _names(parts: Sequence[StaticPart]) -> list[tuple[str, dict[str, str]]]:
    kept = (part.kind for part in parts if part.kind != "Dropout")
    return [(kind, dict(NORMALISED) if kind == "Normalize" else {}) for kind in kept]
