"""Changing a label index: labels are added, get other texts, and are removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xmc.encoders.text_input import TextInput, as_texts, check_texts
from xmc.errors import ConfigError, DataError
from xmc.retrieval.index_labels import with_offsets
from xmc.retrieval.index_search import SearchableIndex

if TYPE_CHECKING:
    from xmc.encoders import DualEncoder

__all__ = ["EditableIndex"]


class EditableIndex(SearchableIndex):
    """The changes of `LabelIndex`, in memory: `LabelIndex.save` keeps them."""

    def add(self, texts: TextInput, uids: TextInput, encoder: DualEncoder | None = None) -> NDArray[np.int64]:
        """Add labels, without training anything, and return their ids [n]; one label as two strings, too.

        A label the model has learned an offset for gets that; any other gets the median of those learned.
        No score of the labels that are there changes.

        Raises:
            ConfigError: When the index is mapped.
            DataError: When a uid is in the index already, there are not as many uids as texts, or one of
                either is no string; nothing is added then.
            IndexMismatchError: When ``encoder`` is not the model the index was built with.
        """
        new, names = self._pairs(texts, uids)
        self._changes.table.check_new(names, new)
        ids = self._changes.add_texts(self._model(encoder), new, names, progress=False)
        self._labels_changed()
        return ids

    def add_vectors(self, vectors: NDArray[Any], texts: TextInput, uids: TextInput) -> NDArray[np.int64]:
        """Add labels by embeddings [n, D] that were made elsewhere, in the model's space; their ids [n].

        Offsets are as in `add` where the model is loaded, and else the median of those learned.

        Raises:
            ConfigError: When the shape is another, or the index is mapped.
            DataError: As `add`.
            ModelError: When a number is not finite.
        """
        new, names = self._pairs(texts, uids)
        self._changes.table.check_new(names, new)
        ids = self._changes.add_vectors(self._checked(vectors, names), new, names)
        self._labels_changed()
        return ids

    def update(
        self, texts: TextInput, uids: TextInput, encoder: DualEncoder | None = None
    ) -> NDArray[np.int64]:
        """Give labels other texts, and return their ids [n], which stay; arguments as in `add`.

        Raises:
            ConfigError: When the index is mapped.
            DataError: When a uid is not in the index or comes twice; nothing is changed then.
            IndexMismatchError: When ``encoder`` is not the model the index was built with.
        """
        new, names = self._pairs(texts, uids)
        ids = self._changes.replace_texts(self._model(encoder), new, names)
        self._labels_changed()
        return ids

    def remove(self, uids: TextInput) -> None:
        """Remove labels by their uids, one string or several; the ids of the others stay as they are.

        No search finds them from then on. A kind that cannot remove vectors (HNSW) passes over them, and is
        made anew of the others once most of its vectors are of removed labels.

        Raises:
            ConfigError: When the index is mapped.
            DataError: When a uid is not in the index; nothing is removed then.
        """
        self._check_open()
        ids = self._changes.table.ids(as_texts(uids, "uids")[0])
        self._changes.remove(ids)
        self._labels_changed(ids)

    def _labels_changed(self, removed: NDArray[np.int64] | None = None) -> None:
        if self._ensemble is not None:
            self._ensemble.labels_changed(removed)

    def _pairs(self, texts: TextInput, uids: TextInput) -> tuple[Sequence[str], Sequence[str]]:
        self._check_open()
        (new, one), (names, one_name) = as_texts(texts, "labels"), as_texts(uids, "uids")
        if one != one_name:
            got = f"{'one string' if one else 'a list'} and {'one string' if one_name else 'a list'}"
            raise DataError(f"expected a text and its uid, or a list of texts and a list of uids, got {got}")
        check_texts(new, what="labels")
        return new, names

    def _checked(self, vectors: NDArray[Any], uids: Sequence[str]) -> NDArray[np.float32]:
        vectors = np.asarray(vectors)
        wanted = (len(uids), self.manifest.dimension)
        if vectors.shape != wanted or vectors.dtype.kind not in "fiu":
            raise ConfigError(
                f"expected label embeddings {list(wanted)} of numbers, got {list(vectors.shape)} of "
                f"{vectors.dtype}"
            )
        return with_offsets(self._encoder, self.manifest, vectors.astype(np.float32), uids)

    def _check_open(self) -> None:
        if self._mapped:
            raise ConfigError(
                "expected an index in memory to change, got a mapped one: open it without mapped=True"
            )
