"""The label index: a model's label embeddings in FAISS, with their texts and a manifest, in one folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from xmc.data import Dataset
from xmc.encoders import CutCount, DualEncoder
from xmc.encoders.text_input import TextInput, as_texts, check_texts
from xmc.errors import ConfigError, DataError, ModelError
from xmc.files import atomic_folder, check_replaceable, sha256_file
from xmc.progress import Bar
from xmc.retrieval.ensemble import FILES as VOTE_FILES
from xmc.retrieval.ensemble import Ensemble, EnsembleOptions
from xmc.retrieval.faiss_index import (
    add_vectors,
    make_index,
    read_index,
    remove_ids,
    score_error,
    search_index,
    write_index,
)
from xmc.retrieval.faiss_module import import_faiss
from xmc.retrieval.faiss_training import train_index
from xmc.retrieval.label_table import LabelTable
from xmc.retrieval.manifest import IndexManifest
from xmc.retrieval.offsets import default_offset, warn_of_other_labels
from xmc.retrieval.ranker import Ranker, search_by
from xmc.retrieval.vote import DEPTH, QueryVotes

__all__ = ["INDEX_MARKS", "Hit", "LabelIndex"]

INDEX_MARKS = ("index.faiss", "manifest.json")
"""An index folder has both; a damaged one, one of them. Nothing else is ever overwritten by an index."""

_CHUNK = 65_536
_TRAINING_VECTORS = 262_144
# Relative: float32 sums of some hundred products differ by 1e-6, half precision by 1e-4.
_EXACT = 1e-5
_FILES = ("index.faiss", "labels.parquet")


@dataclass(frozen=True)
class Hit:
    """One found label."""

    label: int
    """Its id: for a data set's labels their row there."""
    uid: str
    text: str
    score: float
    """``q.e + offset / scale``: a cosine for normalised embeddings without offsets."""
    approximate: bool = False
    """True where the index compresses vectors (PQ, SQ, PCA to fewer dimensions): so does the score."""


class LabelIndex:
    """Labels that can be searched by text or by query embedding; made by `build` or `load`.

    Learned label offsets are one more dimension: a label is ``[e, offset / scale]`` and a query ``[q, 1]``,
    so that one inner product ranks as the model was trained to.
    """

    def __init__(
        self, index: Any, table: LabelTable, manifest: IndexManifest, encoder: DualEncoder | None
    ) -> None:
        self._index = index
        self._table = table
        self._encoder = encoder
        self._folder: Path | None = None
        self._ensemble: Ensemble | None = None
        self.manifest = manifest

    @classmethod
    def build(
        cls,
        encoder: DualEncoder | str | Path,
        labels: Dataset | str | Path | Iterable[str],
        *,
        uids: Iterable[str] | None = None,
        factory: str = "Flat",
        progress: bool = True,
    ) -> LabelIndex:
        """Encode labels, at most 65,536 at a time, and index them.

        Args:
            encoder: The model, or where it is: then the index remembers that, and `search` loads it.
            labels: A prepared data set (or its folder: one string names that), or a list, an array, a Series
                of label texts.
            uids: Of the texts; their positions by default. Not for a data set, which has its own.
            factory: FAISS factory string: "Flat" is exact; "IVF256,Flat", "HNSW32" and the like are faster,
                and their scores exact; "PQ48", "SQ8", "PCA64,Flat" are smaller, and their scores approximate
                (`IndexManifest.exact_scores`).
            progress: Show a bar over the labels.

        Raises:
            ConfigError: When FAISS cannot make the index, or there are too few labels to train it.
            DataError: When there are no labels, a uid appears twice, or texts or uids are not strings.
        """
        model = None if isinstance(encoder, DualEncoder) else str(encoder)
        loaded = encoder if isinstance(encoder, DualEncoder) else DualEncoder.load(encoder)
        texts, names = _texts_and_uids(loaded, labels, uids)
        if not len(texts):
            raise DataError("expected at least one label to index, got none")
        with_offsets = Ranker.of_model(loaded, names).offsets is not None
        index = make_index(loaded.dimension + with_offsets, factory)
        manifest = IndexManifest(
            model_fingerprint=loaded.fingerprint,
            model=model,
            dimension=loaded.dimension,
            count=0,
            factory=factory,
            offset_dimension=with_offsets,
            scale=float(loaded.metadata.scale),
            default_offset=default_offset(loaded),
            normalised=True,
            ranking=loaded.metadata.ranking,
            faiss_version=import_faiss().__version__,
        )
        built = cls(index, LabelTable(), manifest, loaded)
        built._train(texts, names)
        built._append(loaded, texts, names, progress)
        return built

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write a folder of ``index.faiss``, ``labels.parquet``, ``manifest.json``, whole or not at all.

        Raises:
            XMCError: When ``path`` is taken and ``overwrite`` is false, when it holds something other than a
                label index, or when the disk is full.
        """
        check_replaceable(path, *INDEX_MARKS, overwrite=overwrite)
        model = _relative(self.model_place, Path(path))
        with atomic_folder(path, overwrite=overwrite) as folder:
            write_index(self._index, folder / "index.faiss")
            self._table.write(folder / "labels.parquet")
            more = self._ensemble.write(folder) if self._ensemble is not None else ()
            checksums = {name: sha256_file(folder / name) for name in (*_FILES, *more)}
            replace(self.manifest, checksums=checksums, model=model).write(folder)

    @classmethod
    def load(cls, path: str | Path, encoder: DualEncoder | str | Path | None = None) -> LabelIndex:
        """Open an index folder, for one model when given.

        Raises:
            DataError: When the folder is not a whole and unchanged label index.
            IndexMismatchError: When the index was not built with ``encoder``.
        """
        folder = Path(path)
        manifest = IndexManifest.read(folder)
        if encoder is not None and not isinstance(encoder, DualEncoder):
            encoder = DualEncoder.load(encoder)
        if encoder is not None:
            manifest.check_model(encoder.fingerprint, f"the index {folder}")
        index, table = read_index(folder / "index.faiss"), LabelTable.read(folder / "labels.parquet")
        width = manifest.dimension + manifest.offset_dimension
        if (index.d, index.ntotal, len(table)) != (width, manifest.count, manifest.count):
            raise DataError(
                f"the index {folder} does not fit its manifest: expected {manifest.count} labels of {width} "
                f"numbers, got {index.ntotal} of {index.d} and {len(table)} texts: build the index again"
            )
        loaded = cls(index, table, manifest, encoder)
        loaded._folder = folder
        options = manifest.ensemble
        if options:
            if options.vote is not None and not set(VOTE_FILES) <= set(manifest.checksums):
                raise DataError(f"the index {folder} lacks the queries that vote: build the index again")
            loaded._ensemble = Ensemble.read(options, folder, manifest.dimension, loaded._searched_texts)
        return loaded

    def __len__(self) -> int:
        """Labels in the index."""
        return len(self._table)

    @property
    def uids(self) -> Sequence[str]:
        """Label uids by label id; those of removed labels stay."""
        return self._table.uids

    @property
    def texts(self) -> Sequence[str]:
        """Label texts by label id; those of removed labels stay."""
        return self._table.texts

    def search(
        self, texts: TextInput, k: int = 10, encoder: DualEncoder | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Label ids and scores of the k best labels of query texts (see `search_vectors`).

        Both are [N, k] for N texts, and [k] for one string.

        Raises:
            DataError: When a text is empty, which fits every label alike, or no string.
            IndexMismatchError: When ``encoder`` is not the model the index was built with.
            ModelError: When no model is given and the index does not know where its own is.
        """
        queries, one = as_texts(texts, "queries")
        check_texts(queries, what="queries")
        empty = next((position for position, text in enumerate(queries) if not text.strip()), None)
        if empty is not None:
            raise DataError(
                f"expected a text to search for, got an empty one at position {empty}, which fits every "
                "label alike: leave it out"
            )
        cuts = CutCount()
        ids, scores = self.ranked(queries, k, self._model(encoder), cuts)
        cuts.warn("queries")
        return (ids[0], scores[0]) if one else (ids, scores)

    def add_ensemble(self, options: EnsembleOptions, votes: QueryVotes | None = None) -> None:
        """From here on rank with a vote of training queries, or words, or both; the index keeps it.

        Args:
            options: What is added; see `xmc.prediction.choose_ensemble` for a choice by held-out rows.
            votes: Embeddings by this index's model, and labels by this index's label ids; for a vote.

        Raises:
            ConfigError: When a vote comes without queries, or with those of another size of embedding.
        """
        if votes is not None and votes.vectors.shape[1] != self.manifest.dimension:
            raise ConfigError(
                f"expected embeddings of {self.manifest.dimension} numbers of the queries that vote, got "
                f"{votes.vectors.shape[1]}"
            )
        kept = votes if options.vote is not None else None
        self._ensemble = Ensemble(options, kept, self._searched_texts) if options else None
        if self._ensemble is not None:
            self._ensemble.labels_changed(np.flatnonzero(self._table.removed))
        self.manifest = replace(self.manifest, ensemble=options if options else None)

    def ranked(
        self, texts: Sequence[str], k: int, encoder: DualEncoder, cuts: CutCount | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Ids and scores, both [N, k], of texts that are not blank, by the model and what ranks beside it."""
        vectors = encoder.encode_queries(texts, cuts=cuts)
        if self._ensemble is None:
            return self.search_vectors(vectors, k)
        lists = self.search_vectors(vectors, min(max(k, DEPTH), max(1, len(self))))
        return self._ensemble.rank(lists, vectors, texts, k)

    def _searched_texts(self) -> list[str]:
        """The labels' texts by label id, nothing for those removed."""
        pairs = zip(self._table.texts, self._table.removed, strict=True)
        return ["" if gone else text for text, gone in pairs]

    @overload  # a string is an Iterable[str] too; the first signature that fits holds
    def hits(  # type: ignore[overload-overlap]
        self, texts: str, k: int = 10, encoder: DualEncoder | None = None
    ) -> list[Hit]: ...
    @overload
    def hits(
        self, texts: Iterable[str], k: int = 10, encoder: DualEncoder | None = None
    ) -> list[list[Hit]]: ...
    def hits(
        self, texts: TextInput, k: int = 10, encoder: DualEncoder | None = None
    ) -> list[Hit] | list[list[Hit]]:
        """As `search`, with uid and text of the labels: at most k hits of one string, or a list of them each.

        Raises:
            XMCError: As `search` does.
        """
        ids, scores = self.search(texts, k, encoder)
        if ids.ndim == 1:
            return self.hits_of(ids, scores)
        return [self.hits_of(*row) for row in zip(ids, scores, strict=True)]

    def hits_of(self, ids: NDArray[np.int64], scores: NDArray[np.float32]) -> list[Hit]:
        """The labels of one query's ids and scores, both [k], as `search` gives them; pads are left out."""
        pairs = zip(ids.tolist(), scores.tolist(), strict=True)
        about = not self.manifest.exact_scores
        if ids.max(initial=-1) >= self._table.next_id:
            raise DataError(
                f"the index names label {ids.max()}, expected ids below {self._table.next_id}: build it again"
            )
        return [Hit(i, self.uids[i], self.texts[i], score, about) for i, score in pairs if i >= 0]

    def search_vectors(self, queries: NDArray[Any], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Label ids and scores, both [N, k], of the k best labels of query embeddings [N, D]; [k] of a [D].

        Best first, ties by label id ascending; -1 and -inf where the index gives fewer than k. A model that
        ranks by magnitude gives the scores' magnitudes, from two searches.

        Raises:
            ConfigError: When k or the shape cannot be right.
        """
        if k < 1:
            raise ConfigError(f"expected k to be at least 1, got {k}")
        dimension = self.manifest.dimension
        queries = np.asarray(queries)
        if queries.ndim == 1 and len(queries) == dimension:
            ids, scores = self.search_vectors(queries[None], k)
            return ids[0], scores[0]
        if queries.ndim != 2 or queries.shape[1] != dimension or queries.dtype.kind not in "fiu":
            raise ConfigError(
                f"expected query embeddings [N, {dimension}] or [{dimension}] of numbers, got "
                f"{list(queries.shape)} of {queries.dtype}"
            )
        if self.manifest.offset_dimension:
            queries = np.hstack([queries, np.ones((len(queries), 1), dtype=np.float32)])
        # The negative of [q, 1] also negates the offset, which is the label's last dimension.
        return search_by(self.manifest.ranking, lambda sign: search_index(self._index, sign * queries, k))

    def add(self, texts: TextInput, uids: TextInput, encoder: DualEncoder | None = None) -> NDArray[np.int64]:
        """Add labels, without training anything, and return their ids [n]; one label as two strings, too.

        A label the model has learned an offset for gets that; any other gets the median of those learned.

        Raises:
            DataError: When a uid is in the index already, there are not as many uids as texts, or one of
                either is no string; nothing is added then.
            IndexMismatchError: When ``encoder`` is not the model the index was built with.
        """
        (new, one), (names, one_name) = as_texts(texts, "labels"), as_texts(uids, "uids")
        if one != one_name:
            got = f"{'one string' if one else 'a list'} and {'one string' if one_name else 'a list'}"
            raise DataError(f"expected a text and its uid, or a list of texts and a list of uids, got {got}")
        check_texts(new, what="labels")
        return self._append(self._model(encoder), new, names, progress=False)

    def remove(self, uids: TextInput) -> None:
        """Remove labels by their uids, one string or several; the ids of the others stay as they are.

        Raises:
            ConfigError: When this kind of FAISS index cannot remove (HNSW).
            DataError: When a uid is not in the index; nothing is removed then.
        """
        ids = self._table.ids(as_texts(uids, "uids")[0])
        remove_ids(self._index, ids, self.manifest.factory)
        self._table.remove(ids)
        if self._ensemble is not None:
            self._ensemble.labels_changed(ids)
        self.manifest = replace(self.manifest, count=len(self._table))

    def _train(self, texts: Sequence[str], uids: Sequence[str]) -> None:
        if self._index.is_trained or self._encoder is None:
            return
        rows = np.unique(np.linspace(0, len(texts) - 1, min(len(texts), _TRAINING_VECTORS)).astype(np.int64))
        vectors = self._vectors(
            self._encoder, [texts[i] for i in rows.tolist()], [uids[i] for i in rows.tolist()]
        )
        train_index(self._index, vectors, self.manifest.factory)

    def _append(
        self, encoder: DualEncoder, texts: Sequence[str], uids: Sequence[str], progress: bool
    ) -> NDArray[np.int64]:
        self._table.check_new(uids, texts)
        cuts = CutCount()
        first, normalised = self._table.next_id, self.manifest.normalised
        with Bar(len(uids), "indexing labels", "label", shown=progress) as bar:
            for start in range(0, len(uids), _CHUNK):
                part_texts, part_uids = texts[start : start + _CHUNK], list(uids[start : start + _CHUNK])
                vectors = self._vectors(encoder, part_texts, part_uids, cuts)
                add_vectors(self._index, vectors, self._table.next_id + np.arange(len(vectors)))
                # Of the first labels there ever were: ids go on after all have been removed.
                if not self._table.next_id:
                    exact = score_error(self._index, vectors) <= _EXACT
                    self.manifest = replace(self.manifest, exact_scores=exact)
                self._table.append(part_uids, part_texts)
                lengths = np.linalg.norm(vectors[:, : self.manifest.dimension], axis=1)
                normalised = normalised and bool(np.allclose(lengths, 1.0, atol=1e-3))
                bar.update(len(vectors))
        cuts.warn("labels")
        if self._ensemble is not None:
            self._ensemble.labels_changed()
        self.manifest = replace(self.manifest, count=len(self._table), normalised=normalised)
        return np.arange(first, self._table.next_id)

    def _vectors(
        self, encoder: DualEncoder, texts: Sequence[str], uids: Sequence[str], cuts: CutCount | None = None
    ) -> NDArray[np.float32]:
        embeddings = encoder.encode_labels(texts, cuts=cuts, uids=uids)
        if not self.manifest.offset_dimension:
            return embeddings
        offsets = Ranker.of_model(encoder, uids).offsets
        if offsets is None:
            offsets = np.full(len(uids), self.manifest.default_offset, dtype=np.float32)
        return np.hstack([embeddings, offsets[:, None]])

    @property
    def encoder(self) -> DualEncoder:
        """The model that the index was built with, loaded when first asked for.

        Raises:
            IndexMismatchError: When another model is where it was.
            ModelError: When it cannot be opened, or the index was not told where it is.
        """
        return self._model(None)

    def _model(self, encoder: DualEncoder | None) -> DualEncoder:
        if encoder is not None:
            if encoder is not self._encoder:
                self.manifest.check_model(encoder.fingerprint, "the index")
                self._encoder = encoder
            return encoder
        if self._encoder is None:
            place = self.model_place
            if place is None:
                raise ModelError(
                    "the index does not know where its model is: give the model it was built with"
                )
            try:
                loaded = DualEncoder.load(place)
            except ModelError as error:
                raise ModelError(
                    f"the index {self._folder} was built with the model {place}, which cannot be opened "
                    f"({error}); if it was moved, say where it is now (--model, in Python encoder)"
                ) from error
            self.manifest.check_model(loaded.fingerprint, f"the index {self._folder}")
            self._encoder = loaded
        return self._encoder

    @property
    def folder(self) -> Path | None:
        """Where the index was opened; None for one that was built here."""
        return self._folder

    @property
    def model_place(self) -> str | None:
        """Where the model is: a path from here, or a name; None when the index was not told."""
        model = self.manifest.model
        if model is None or self._folder is None:
            return model
        beside = Path(os.path.normpath(self._folder.absolute() / model))
        return str(beside) if beside.exists() else model


def _texts_and_uids(
    encoder: DualEncoder, labels: Dataset | str | Path | Iterable[str], uids: Iterable[str] | None
) -> tuple[Sequence[str], Sequence[str]]:
    if isinstance(labels, (str, Path)):
        labels = Dataset.load(labels)
    if not isinstance(labels, Dataset):
        texts = as_texts(labels, "labels")[0]
        if isinstance(uids, str):
            raise DataError(f"expected a uid for every text, got the one string {uids!r}")
        return texts, [str(i) for i in range(len(texts))] if uids is None else as_texts(uids, "uids")[0]
    if uids is not None:
        raise ConfigError("expected uids only with a list of texts: a data set's labels have their own")
    warn_of_other_labels(encoder, labels)
    return encoder.label_texts(labels), labels.uids("labels")


def _relative(model: str | None, folder: Path) -> str | None:
    """A model folder as seen from the index folder, so that both can be moved together; a name as it is."""
    if model is None or not Path(model).exists():
        return model
    return os.path.relpath(Path(model).absolute(), folder.absolute())
