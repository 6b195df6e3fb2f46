"""The dual encoder: one model that embeds queries and labels, and the folder it is kept in."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from xmc.data import Dataset, TextColumn
from xmc.data.label_texts import FlatTexts, SeveralTexts
from xmc.encoders.adapters import merged
from xmc.encoders.backend import chosen_backend
from xmc.encoders.card import CARD_FILE, plain_card
from xmc.encoders.config import EncoderConfig
from xmc.encoders.cut_count import CutCount
from xmc.encoders.label_residuals import LabelResiduals
from xmc.encoders.label_vectors import LabelVectors
from xmc.encoders.metadata import EncoderMetadata, LabelOffsets
from xmc.encoders.model_fingerprint import model_fingerprint
from xmc.encoders.module_digest import describe_modules, digest_weights
from xmc.encoders.opening import open_folder
from xmc.encoders.own import as_sentence_transformer, call_builder, check_encoding, check_towers
from xmc.encoders.resolve import resolve_model
from xmc.encoders.static_model import StaticModel, write_static
from xmc.encoders.text_input import TextInput, as_texts
from xmc.encoders.two_towers import TwoTowers
from xmc.errors import ConfigError, DataError, ModelError
from xmc.files import atomic_folder
from xmc.received import reading

__all__ = ["DualEncoder"]

_log = logging.getLogger(__name__)


class DualEncoder(TwoTowers):
    """A ``SentenceTransformer`` seen as two towers; queries and labels meet in one space of D dimensions.

    Args:
        model: A model of one pipeline, or one whose ``Router`` has the routes "query" and "document"; or a
            static model of modules of our own, which the library's are made of when `model` is asked for.
        metadata: What ``xmc.json`` says; None for a model of other making.
        label_offsets: A number per label that is added to its score.
        label_residuals: A vector per label that is added to its encoded text.
        label_vectors: A vector per label that stands for its encoded text.

    Raises:
        ModelError: When the model cannot serve as two text towers.
    """

    @classmethod
    def load(
        cls, path_or_name: str | Path, *, device: str | None = None, backend: str | None = None
    ) -> DualEncoder:
        """Open a model folder, a run folder, a hub name or "embedded".

        Args:
            path_or_name: What ``resolve_model`` takes.
            device: As in sentence-transformers: None takes an accelerator where there is one.
            backend: What computes a transformer: "torch", or "onnx" or "openvino", which only encode; None is
                ``$XMC_BACKEND``, or torch.

        Raises:
            ConfigError: When there is no such backend.
            ModelError: When it cannot be found or opened, or the backend is not installed.
        """
        backend = chosen_backend(backend)
        folder = resolve_model(path_or_name)
        metadata = EncoderMetadata.load(folder)
        offsets = LabelOffsets.load(folder) if metadata is not None and metadata.has_offsets else None
        residuals = LabelResiduals.load(folder) if metadata is not None and metadata.has_residuals else None
        vectors = LabelVectors.load(folder) if metadata is not None and metadata.has_label_table else None
        model = open_folder(folder, device, tied=metadata is not None and metadata.tied, backend=backend)
        with reading(folder, "a model of two text towers", error=ModelError):
            encoder = cls(model, metadata, offsets, residuals, vectors)
            # What a module's settings break shows when it is used.
            check_encoding(encoder, str(folder))
        if backend != "torch":
            encoder._exported_from = folder
        return encoder

    @classmethod
    def build(cls, config: EncoderConfig, texts: Iterable[str] | None = None) -> DualEncoder:
        """Make the model ``config`` describes, on the CPU.

        Args:
            config: What to make.
            texts: Queries and labels that ``config.vocabulary`` and ``config.projection`` are learned from,
                or that ``config.builder`` is handed; read as often as that takes.

        Raises:
            ConfigError: When the model cannot be what the configuration asks for.
            ModelError: When it cannot be found or opened.
        """
        if config.builder is None:
            from xmc.encoders.build import build_model

            encoder = cls(build_model(config, texts), EncoderMetadata(tied=config.tied))
            for name, tower in zip(("query", "label"), encoder.towers, strict=True):
                tower.check_prompt(f"{name}_prompt", f"{name}_length")
        else:
            encoder = cls.checked(call_builder(config, texts), f"encoder.builder: {config.builder}")
        if config.frozen_layers:
            for tower in encoder.towers:
                tower.freeze_layers(config.frozen_layers)
        return encoder

    @classmethod
    def checked(cls, made: object, name: str) -> DualEncoder:
        """A model of the user's own making, a ``SentenceTransformer`` or a dual encoder already.

        Raises:
            ModelError: When it cannot serve as two towers that meet in one space, or be opened once saved;
                the text begins with ``name``.
        """
        try:
            encoder = made if isinstance(made, cls) else cls(as_sentence_transformer(made, name))
        except ModelError as error:
            raise ModelError(f"{name}: {str(error).removeprefix(f'{name}: ')}") from error
        check_towers(encoder, name)
        return encoder

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write a plain sentence-transformers folder, ``xmc.json`` and the labels' parameters beside it.

        ``SentenceTransformer(path)`` opens it; its ``encode_query`` and ``encode_document`` give the vectors
        of ``encode_queries`` and ``encode_labels``. Adapters are merged there, and stay apart here. The
        folder appears whole or not at all.

        Raises:
            XMCError: When the folder is there already and ``overwrite`` is false, or the disk is full.
            ModelError: When another backend than torch has the model.
        """
        if self.truncated_to is not None:
            raise ModelError("expected the whole model to save, got one whose vectors are truncated")
        if self._exported_from is not None:
            raise ModelError(
                f"expected a model opened with the backend torch, got one that was exported from "
                f"{self._exported_from}: save that one"
            )
        with atomic_folder(path, overwrite=overwrite) as folder:
            try:
                if isinstance(self._model, StaticModel):
                    write_static(self._model, folder)
                else:
                    with merged(self._model):
                        self._model.save_pretrained(str(folder), create_model_card=False)
            except SafetensorError as error:  # a full disk comes as this, not as an OSError
                raise ModelError(
                    f"could not write the weights of {path} ({error}): is the disk full?"
                ) from error
            self.metadata = replace(
                self.metadata,
                has_offsets=self.label_offsets is not None,
                has_residuals=self.label_residuals is not None,
                has_label_table=self.label_vectors is not None,
            )
            self.metadata.save(folder)
            (folder / CARD_FILE).write_text(plain_card(self.dimension), encoding="utf-8")
            if self.label_offsets is not None:
                self.label_offsets.save(folder)
            if self.label_residuals is not None:
                self.label_residuals.save(folder)
            if self.label_vectors is not None:
                self.label_vectors.save(folder)

    def query_texts(self, dataset: Dataset, split: str) -> TextColumn:
        """The [N] queries of "train" or "test" as this model reads them: of the fields it was trained on.

        A model that was not trained on a data set takes the fields that ``dataset`` reads by default.
        """
        return dataset.texts(split, self.metadata.query_fields)

    def label_texts(self, dataset: Dataset) -> TextColumn | SeveralTexts:
        """The [L] labels of a data set as this model reads them; see :meth:`query_texts`.

        Of a model of several texts a label, a string holds them as lines (:meth:`encode_label_texts`).
        """
        return dataset.label_texts(self.metadata.label_fields, self.metadata.label_texts)

    @property
    def has_several_texts(self) -> bool:
        """Whether a label has a vector for each of its texts."""
        return self.metadata.label_texts != "joint"

    def encode_label_texts(
        self, labels: Sequence[str], *, uids: Sequence[str] | None = None, **options: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings of all texts of labels, float32 [T, D], and the bounds of each label's, int64 [n + 1].

        Args:
            labels: Texts [n] as :meth:`label_texts` gives them; one text each for a model of one.
            uids: Of the labels, [n], for their residuals.
            **options: As of :meth:`encode_labels`.
        """
        if not self.has_several_texts:
            return self.encode_labels(labels, uids=uids, **options), np.arange(len(labels) + 1)
        flat = FlatTexts.of(labels)
        names = None if uids is None else flat.repeated(uids)
        return self.encode_labels(flat.texts, uids=names, **options), flat.bounds

    def encode_queries(
        self,
        texts: TextInput | Dataset,
        split: str | None = None,
        *,
        batch_tokens: int | None = None,
        progress: bool = False,
        cuts: CutCount | None = None,
    ) -> np.ndarray:
        """Embeddings float32 [N, D] of N queries in their order, or [D] of one string.

        In eval mode and without gradients.

        Args:
            texts: A query, or queries: a list, an array, a Series of strings; or a data set, whose ``split``
                is read by :meth:`query_texts`.
            split: "train" or "test", of a data set.
            batch_tokens: Most tokens of a micro-batch, padding included; None suits the tower.
            progress: Show a bar on stderr.
            cuts: Counts the texts that are longer than the model reads.

        Raises:
            ConfigError: When a data set comes without a split, or texts with one.
            DataError: When ``texts`` are not strings.
        """
        if isinstance(texts, Dataset) != (split is not None):
            raise ConfigError(
                'expected a split ("train" or "test") for a data set and none for texts, got '
                f"{type(texts).__name__} and split={split!r}: encode_queries(dataset, 'test')"
            )
        if isinstance(texts, Dataset):
            texts = self.query_texts(texts, str(split))
        _warn_of_other_fields(texts, self.metadata.query_fields, "queries")
        vectors = self._encode(
            self.query_tower, texts, batch_tokens=batch_tokens, progress=progress, name="queries", cuts=cuts
        )
        return self._truncated(vectors, self.query_tower)

    def encode_labels(
        self,
        texts: TextInput | Dataset,
        *,
        batch_tokens: int | None = None,
        progress: bool = False,
        cuts: CutCount | None = None,
        uids: TextInput | None = None,
    ) -> np.ndarray:
        """Embeddings float32 [L, D] of L labels in their order, or [D] of one string.

        Arguments are those of ``encode_queries``; ``uids`` are one string for one text.

        A data set stands for its labels as :meth:`label_texts` reads them, and brings their uids: this is
        what evaluation and the label index score with. With ``uids`` of the labels, the learned residuals of
        those the model was trained with are added. A model with label vectors gives those instead of encoding
        the texts.

        Raises:
            ConfigError: When ``uids`` come with a data set, which has its own.
            DataError: When texts or uids are not strings, or not as many uids as texts.
            ModelError: When the model has label vectors, and ``uids`` is None or has others than theirs.
        """
        if isinstance(texts, Dataset):
            if uids is not None:
                raise ConfigError("expected uids only with texts: a data set's labels have their own")
            if self.has_several_texts:
                raise ModelError(
                    "expected a model of one text a label, got one that scores a label by several texts: "
                    "`encode_label_texts` gives the vectors of all; evaluation and the label index fold them"
                )
            dataset = texts
            texts, uids = self.label_texts(dataset), dataset.uids("labels")
        _warn_of_other_fields(texts, self.metadata.label_fields, "labels")
        texts, one = as_texts(texts, "labels")
        names = None if uids is None else _names(uids, len(texts), one)
        if self.label_vectors is not None:
            if names is None:
                raise ModelError(
                    "expected uids of labels, as this model has a trained vector for each of its labels and "
                    "does not encode their texts: give the uids of the data set it was trained on"
                )
            vectors = self.label_vectors.of(names)
        else:
            vectors = self._encode(
                self.label_tower,
                texts,
                batch_tokens=batch_tokens,
                progress=progress,
                name="labels",
                cuts=cuts,
            )
            if names is not None:
                vectors = self.with_residuals(vectors, names)
        # After the residuals, which belong to whole vectors.
        vectors = self._truncated(vectors, self.label_tower)
        return vectors[0] if one else vectors

    def with_residuals(self, vectors: np.ndarray, uids: Sequence[str]) -> np.ndarray:
        """Vectors [n, D] of encoded label texts, with the learned residuals of the labels that have one."""
        return vectors if self.label_residuals is None else self.label_residuals.add_to(vectors, uids)

    @property
    def fingerprint(self) -> str:
        """Names weights, tokenizers, lengths and offsets; equal after save and load, whatever the backend."""
        if self._exported_from is not None:  # another runtime keeps the weights in its own form
            return DualEncoder.load(self._exported_from, device="cpu", backend="torch").fingerprint
        towers = (self.query_tower, self.label_tower)
        # A tied model's weights are read once; all that makes its sides differ is told by the towers.
        with merged(self._model):
            weights = [digest_weights(tower.modules) for tower in (towers[:1] if self.tied else towers)]
        return model_fingerprint(
            [(tower.fingerprint, describe_modules(tower.modules)) for tower in towers],
            weights,
            self.metadata,
            self.label_offsets,
            self.label_residuals,
            self.label_vectors,
        )


def _names(uids: TextInput, num_texts: int, one: bool) -> Sequence[str]:
    """Uids [num_texts]: one string for one text, a collection for a collection."""
    names, one_name = as_texts(uids, "uids")
    if one_name != one or len(names) != num_texts:
        got = "one string" if one_name else f"{len(names)} uids"
        raise DataError(f"expected a uid for every text, got {got} for {'one' if one else num_texts} texts")
    return names


def _warn_of_other_fields(texts: TextInput, fields: tuple[str, ...] | None, name: str) -> None:
    """Log a line when a data set's column is made of other fields than the model was trained on."""
    if isinstance(texts, TextColumn) and fields is not None and texts.fields != fields:
        _log.warning(
            "these %s are their %s, but the model was trained on their %s: give it the data set instead of "
            "texts, and it takes its own fields",
            *(name, " + ".join(texts.fields), " + ".join(fields)),
        )
