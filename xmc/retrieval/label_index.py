"""The label index: a model's label embeddings, with their texts and a manifest, in one folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from xmc.errors import ConfigError, DataError
from xmc.retrieval.faiss_module import faiss_version
from xmc.retrieval.generations import current_generation, locked
from xmc.retrieval.hit import Hit
from xmc.retrieval.index_editing import EditableIndex
from xmc.retrieval.index_files import INDEX_MARKS, is_index, read_parts, write_parts
from xmc.retrieval.kinds import choose_kind
from xmc.retrieval.known_queries import opening_queries
from xmc.retrieval.label_table import LabelTable
from xmc.retrieval.manifest import IndexManifest
from xmc.retrieval.offsets import default_offset

if TYPE_CHECKING:
    from xmc.data import Dataset
    from xmc.encoders import DualEncoder

__all__ = ["INDEX_MARKS", "Hit", "LabelIndex"]


class LabelIndex(EditableIndex):
    """Labels that can be searched by text or by query embedding; made by `build`, `merge` or `load`.

    Learned label offsets are one more dimension: a label is ``[e, offset / scale]`` and a query ``[q, 1]``,
    so that one inner product ranks as the model was trained to.
    """

    @classmethod
    def build(
        cls,
        encoder: DualEncoder | str | Path,
        labels: Dataset | str | Path | Iterable[str],
        *,
        uids: Iterable[str] | None = None,
        kind: str = "flat",
        factory: str | None = None,
        storage: str = "float32",
        refine: bool = False,
        part: tuple[int, int] | None = None,
        dimensions: int | None = None,
        progress: bool = True,
    ) -> LabelIndex:
        """Encode labels, at most 65,536 at a time, and index them.

        Args:
            encoder: The model, or where it is: then the index remembers that, and `search` loads it.
            labels: A prepared data set, or its folder or a table of labels (one string names either), or a
                list, an array, a Series of label texts.
            uids: Of the texts; their positions by default. Not for a data set, which has its own.
            kind: "exact" (torch, no FAISS), "flat", "ivf", "hnsw", "ivfpq", "sq8", "binary", "fastscan", or
                a factory string of FAISS. Scores are exact, but of "ivfpq", "sq8", and of factory strings
                that compress (`IndexManifest.exact_scores`).
            factory: The same as ``kind``, in place of it.
            storage: Of the vectors of an exact, binary, fastscan or refined index: "float32", "float16" (half
                the size) or "int8" (a quarter). The last two round vectors, offsets never.
            refine: Keep the vectors beside FAISS, and score the candidates that it finds by them.
            part: ``(k, n)`` for the part k, from 0, of n equal parts in order, to be put together by `merge`.
            dimensions: Keep that many components of each vector, which have the length 1 again where whole
                ones do; queries are cut alike. For a model trained on them (encoder.dimensions).
            progress: Show a bar over the labels.

        Raises:
            ConfigError: When the model has fewer components, FAISS cannot make the index, or there are too
                few labels to train it.
            DataError: When there are no labels, a uid appears twice, or texts or uids are not strings.
        """
        from xmc.encoders import DualEncoder, StaticQueries
        from xmc.retrieval.index_labels import kept_vectors, texts_and_uids, warn_of_untrained
        from xmc.retrieval.ranker import Ranker

        model = None if isinstance(encoder, DualEncoder) else _place(encoder)
        loaded = encoder if isinstance(encoder, DualEncoder) else DualEncoder.load(encoder)
        if dimensions is not None and dimensions != loaded.dimension:
            kept_part = loaded.truncated(dimensions)
            warn_of_untrained(loaded, dimensions)
            loaded = kept_part
        texts, names = texts_and_uids(loaded, labels, uids)
        kept = kept_vectors(loaded, labels)
        # Of all labels, so that every part has the same width.
        offsets = Ranker.of_model(loaded, names).offsets is not None
        if part is not None:
            from xmc.distributed.world import shard_bounds

            low, high = shard_bounds(len(texts), *part)
            texts, names = texts[low:high], names[low:high]
            kept = None if kept is None else kept[low:high]
        if not len(texts):
            raise DataError("expected at least one label to index, got none")
        chosen = choose_kind(factory or kind, loaded.dimension + offsets, len(texts), storage, refine)
        fields = loaded.metadata.label_fields
        manifest = IndexManifest(
            model_fingerprint=loaded.fingerprint,
            model=model,
            model_files="" if model is None else StaticQueries.digest(model),
            dimension=loaded.dimension,
            count=0,
            factory=chosen.factory,
            offset_dimension=offsets,
            scale=float(loaded.metadata.scale),
            default_offset=default_offset(loaded),
            normalised=True,
            ranking=loaded.metadata.ranking,
            kind=chosen.name,
            storage=chosen.storage,
            refine=chosen.refine,
            faiss_version=faiss_version() if chosen.uses_faiss else "",
            label_fields=None if fields is None else list(fields),
            truncated_to=loaded.truncated_to,
            label_texts=loaded.metadata.label_texts,
            label_fold=loaded.metadata.label_fold,
        )
        store = chosen.make(loaded.dimension, offsets)
        if loaded.has_several_texts and not (store.exact_vectors() or chosen.has_table):
            raise ConfigError(
                "expected an index that keeps its vectors for labels of several texts, got "
                f"{factory or kind}: exact, flat, ivf, hnsw and whatever is refined keep them"
            )
        built = cls(store, LabelTable(), manifest, loaded)
        built._changes.add_texts(loaded, texts, names, progress=progress, kept=kept)
        return built

    @classmethod
    def merge(
        cls,
        indexes: Sequence[LabelIndex],
        *,
        kind: str | None = None,
        storage: str | None = None,
        refine: bool | None = None,
        progress: bool = True,
    ) -> LabelIndex:
        """One index of the labels of several, from their vectors; see `xmc.retrieval.merging.merge_parts`.

        One index alone, as another kind, ranks beside its model with what it did.

        Raises:
            ConfigError: When an index has no exact vectors, or there is none; when one of several ranks with
                more than the model.
            DataError: When a uid is in two of them.
            IndexMismatchError: When they are of different models.
        """
        from xmc.retrieval.merging import merge_parts

        if any(index.manifest.has_several_texts for index in indexes):
            raise ConfigError(
                "expected indexes of one vector a label, got one of several texts a label: build one index "
                "of all labels"
            )
        more = next((index.manifest.ensemble for index in indexes if index.manifest.ensemble), None)
        if more and len(indexes) > 1:
            raise ConfigError(
                f"expected indexes that rank by the model alone, got one that ranks also with {more}: build "
                "indexes without (`xmc index build` without --ensemble) to merge them"
            )
        parts = [index._changes for index in indexes]
        changes = merge_parts(parts, kind=kind, storage=storage, refine=refine, progress=progress)
        model = next((index.model_place for index in indexes if index.model_place is not None), None)
        changes.manifest = replace(changes.manifest, model=model)
        encoder = next((index._encoder for index in indexes if index._encoder is not None), None)
        merged = cls(changes.store, changes.table, replace(changes.manifest, ensemble=None), encoder)
        if more and (beside := indexes[0]._ensemble) is not None:
            kept = indexes[0].live_ids
            votes = None if beside.votes is None else beside.votes.of_labels(kept)
            classifiers = None if beside.classifiers is None else beside.classifiers.of_labels(kept)
            merged.add_ensemble(more, votes, classifiers)
        return merged

    def by_vectors_alone(self) -> LabelIndex:
        """The same labels and vectors, ranked by the model and by nothing beside it; to be searched only."""
        changes = self._changes
        alone = LabelIndex(
            changes.store, changes.table, replace(changes.manifest, ensemble=None), self._encoder
        )
        alone._folder, alone._mapped = self._folder, True
        return alone

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write an index folder, whole or not at all: new, or as the next generation of one that is there.

        Others may search what is there meanwhile, and go on with it.

        Raises:
            DataError: When ``path`` is where the index was opened, and it was changed since by others.
            XMCError: When ``path`` is taken and ``overwrite`` is false, when it holds something other than a
                label index, or when the disk is full.
        """
        place = Path(path)
        known = self._opened if self._opened and self._opened[0] == place.resolve() else None
        manifest = replace(self.manifest, model=self.model_place)
        generation = write_parts(
            *(place, self._changes.store, self._changes.table, manifest),
            overwrite=overwrite,
            expected=known[1] if known else None,
            ensemble=self._ensemble,
        )
        self._opened = place.resolve(), generation

    @classmethod
    def load(
        cls,
        path: str | Path,
        encoder: DualEncoder | str | Path | None = None,
        *,
        mapped: bool = False,
        verify: bool = True,
        with_queries: bool = False,
    ) -> LabelIndex:
        """Open an index folder, for one model when given.

        Args:
            path: The folder.
            encoder: The model, or where it is.
            mapped: Leave vectors on disk, as a memory map that processes share; such an index is not changed.
            verify: Check the SHA-256 of every file, which reads it whole. Without it a mapped index opens at
                once: only for folders that nobody else can write.
            with_queries: Open what encodes queries at the same time, in a second thread, where the model is
                static and no ``encoder`` is given; else that is done at the first search by text.

        Raises:
            DataError: When the folder is not a whole and unchanged label index.
            IndexMismatchError: When the index was not built with ``encoder``.
        """
        folder = Path(path)
        with opening_queries(folder) if with_queries and encoder is None else nullcontext() as opened:
            parts = read_parts(folder, mapped=mapped, verify=verify)
            queries = None if opened is None else opened(parts.manifest)
        manifest, place = parts.manifest, None
        if isinstance(encoder, (str, Path)):
            from xmc.encoders import DualEncoder

            place = _place(encoder)
            encoder = DualEncoder.load(encoder)
        if encoder is not None:
            manifest.check_model(encoder.fingerprint, f"the index {folder}")
        if place is not None:
            manifest = replace(manifest, model=place)  # which a save remembers
        loaded = cls(parts.store, parts.table, manifest, encoder)
        loaded._folder, loaded._mapped = folder, mapped
        loaded._opened = folder.resolve(), parts.generation
        loaded._ensemble, loaded._queries = parts.ensemble, queries
        return loaded

    @classmethod
    @contextmanager
    def edit(cls, path: str | Path, encoder: DualEncoder | str | Path | None = None) -> Iterator[LabelIndex]:
        """Open an index to change it, and save it at the end of the ``with`` block, unless that fails.

        Changes of several processes come one after the other; searches go on meanwhile.

        Raises:
            XMCError: As `load` and `save`, and when another process has been changing it for a minute.
        """
        if not is_index(path):
            IndexManifest.read(Path(path))
        with locked(Path(path)):
            index = cls.load(path, encoder)
            yield index
            index.save(path, overwrite=True)

    @property
    def generation(self) -> str:
        """The generation on disk that was opened or saved last; "" for none, and in version 2."""
        return self._opened[1] if self._opened else ""

    @property
    def is_current(self) -> bool:
        """Whether the folder it was opened from still has this generation; true where there is no folder."""
        return self._opened is None or current_generation(self._opened[0]) == self._opened[1]


def _place(model: str | Path) -> str:
    """Where a model is, wherever the program goes before it saves; a name of the hub stays one."""
    return str(Path(model).absolute()) if Path(model).exists() else str(model)
