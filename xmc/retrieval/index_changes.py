"""Adding, replacing and removing labels: store, table and manifest are kept in step here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xmc.encoders.cut_count import CutCount
from xmc.encoders.text_input import check_texts
from xmc.errors import DataError
from xmc.progress import Bar
from xmc.retrieval.index_labels import chunks, sample_rows, vectors_of_texts
from xmc.retrieval.label_table import LabelTable
from xmc.retrieval.manifest import IndexManifest
from xmc.retrieval.stores.protocol import VectorStore
from xmc.retrieval.stores.search import score_error

if TYPE_CHECKING:
    from xmc.encoders import DualEncoder

__all__ = ["Changes"]

# Relative: float32 sums of some hundred products differ by 1e-6, half precision by 1e-4.
_EXACT = 1e-5
_FEW_DEAD = 1_024


class Changes:
    """A store, its labels and what is said about them.

    Attributes:
        store: The vectors.
        table: The labels.
        manifest: Follows each change.
    """

    def __init__(self, store: VectorStore, table: LabelTable, manifest: IndexManifest) -> None:
        self.store, self.table, self.manifest = store, table, manifest
        self._label_of: NDArray[np.int64] | None = None
        self._spans: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    def label_of(self) -> NDArray[np.int64]:
        """Label id by slot, -1 of what is nobody's.

        Raises:
            DataError: When table and store do not fit.
        """
        if self._label_of is None:
            self._label_of = self.table.label_of(self.store.next_slot)
        return self._label_of

    def spans(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """By label id, the slot of the label's first vector and how many it has."""
        if self._spans is None:
            table = self.table
            self._spans = np.array(table.slots, dtype=np.int64), np.array(table.counts, dtype=np.int64)
        return self._spans

    def add_texts(
        self,
        encoder: DualEncoder,
        texts: Sequence[str],
        uids: Sequence[str],
        *,
        progress: bool,
        kept: NDArray[np.float32] | None = None,
    ) -> NDArray[np.int64]:
        """Encode and add labels, a chunk at a time; the store is trained first where it needs that.

        Args:
            encoder: The index's model.
            texts: Of n labels.
            uids: Theirs.
            progress: Show a bar.
            kept: Vectors [n, D] of the texts, so that they are not encoded.

        Returns:
            Their ids [n].

        Raises:
            ConfigError: When there are too few labels to train the store.
            DataError: As `LabelTable.check_new`.
        """
        self.table.check_new(uids, texts)
        cuts, first = CutCount(), self.table.next_id
        with Bar(len(uids), "indexing labels", "label", shown=progress) as bar:
            for part in chunks(len(uids)):
                names, own = list(uids[part]), texts[part]
                known = None if kept is None else kept[part]
                vectors, counts = vectors_of_texts(encoder, self.manifest, own, names, cuts, known)
                if not self.store.is_trained:
                    self._train(encoder, texts, uids, vectors, kept, whole=len(names) == len(uids))
                self._append(vectors, own, names, counts)
                bar.update(len(names))
        cuts.warn("labels")
        return np.arange(first, self.table.next_id)

    def add_vectors(
        self, vectors: NDArray[np.float32], texts: Sequence[str], uids: Sequence[str]
    ) -> NDArray[np.int64]:
        """Add labels that `LabelTable.check_new` let pass by finite vectors [n, W]; their ids [n]."""
        first = self.table.next_id
        self._append(vectors, texts, list(uids), [1] * len(uids))
        return np.arange(first, self.table.next_id)

    def replace_texts(
        self, encoder: DualEncoder, texts: Sequence[str], uids: Sequence[str]
    ) -> NDArray[np.int64]:
        """Give labels other texts and vectors; their ids [n] stay.

        Raises:
            DataError: When a uid is unknown or comes twice, or there are not as many texts.
        """
        check_texts(uids, what="uids")
        if len(uids) != len(texts) or len(set(uids)) != len(uids):
            raise DataError(
                f"expected each uid once and a text for it, got {len(uids)} uids, {len(set(uids))} of them "
                f"different, and {len(texts)} texts"
            )
        self.table.ids(uids)
        ids = np.array([self.table.id_of(uid) for uid in uids], dtype=np.int64)
        vectors, counts = vectors_of_texts(encoder, self.manifest, texts, uids)
        dead, first = self.table.slots_of(ids), self.store.next_slot
        self.store.add(vectors)
        self.store.forget(dead)
        self.table.replace(ids, texts, first, counts)
        self._changed(vectors)
        self._compact()
        return ids

    def remove(self, ids: NDArray[np.int64]) -> None:
        """Remove labels by id [n]."""
        self.store.forget(self.table.slots_of(ids))
        self.table.remove(ids)
        self._changed()
        self._compact()

    def _train(
        self,
        encoder: DualEncoder,
        texts: Sequence[str],
        uids: Sequence[str],
        first: NDArray[np.float32],
        kept: NDArray[np.float32] | None,
        *,
        whole: bool,
    ) -> None:
        """Train the store on an even sample; ``first`` is the first chunk, which often is the ``whole``."""
        rows = sample_rows(len(uids))
        if whole:
            self.store.train(first)
            return
        names = [uids[row] for row in rows.tolist()]
        known = None if kept is None else kept[rows]
        sample = [texts[row] for row in rows.tolist()]
        self.store.train(vectors_of_texts(encoder, self.manifest, sample, names, kept=known)[0])

    def _append(
        self, vectors: NDArray[np.float32], texts: Sequence[str], uids: Sequence[str], counts: Sequence[int]
    ) -> None:
        slot = self.store.next_slot
        self.store.add(vectors)
        # Of the first labels there ever were: ids go on after all have been removed.
        if not self.table.next_id:
            exact = score_error(self.store, vectors, slot) <= _EXACT
            self.manifest = replace(self.manifest, exact_scores=exact)
        self.table.append(uids, texts, slot, counts)
        self._changed(vectors)

    def _changed(self, vectors: NDArray[np.float32] | None = None) -> None:
        self._label_of = self._spans = None
        normalised = self.manifest.normalised
        if vectors is not None:
            lengths = np.linalg.norm(vectors[:, : self.manifest.dimension], axis=1)
            normalised = normalised and bool(np.allclose(lengths, 1.0, atol=1e-3))
        self.manifest = replace(self.manifest, count=len(self.table), normalised=normalised)

    def _compact(self) -> None:
        """Make the store anew of the labels that are left, once most of its vectors are of removed ones."""
        ids = self.table.live_ids()
        live = self.table.num_vectors
        dead = self.store.next_slot - live
        if not self.store.keeps_dead or dead <= max(_FEW_DEAD, live):
            return
        if not self.store.exact_vectors() or not len(ids):
            return
        kind, manifest = self.manifest.index_kind, self.manifest
        fresh = kind.make(manifest.dimension, manifest.offset_dimension)
        slots = self.table.slots_of(ids)
        if not fresh.is_trained:
            if kind.least_to_train is None or len(slots) < kind.least_to_train:
                return  # lists and codes need more labels than may be left
            fresh.train(_vectors(self.store, slots[sample_rows(len(slots))]))
        for part in chunks(len(slots)):
            fresh.add(_vectors(self.store, slots[part]))
        fresh.tune(self.store.knobs())
        self.store, self._label_of, self._spans = fresh, None, None
        slot = 0
        for label in ids.tolist():
            self.table.slots[label] = slot
            slot += self.table.counts[label]


def _vectors(store: VectorStore, slots: NDArray[np.int64]) -> NDArray[np.float32]:
    found = store.vectors(slots)
    assert found is not None  # exact_vectors says so
    return found
