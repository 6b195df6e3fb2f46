"""What an open label index is: labels, vectors, what is said about them, and the model that made them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xmc.encoders.static_queries import StaticQueries
from xmc.errors import ConfigError, ModelError
from xmc.retrieval.index_changes import Changes
from xmc.retrieval.known_queries import known_queries, model_place
from xmc.retrieval.label_table import LabelTable
from xmc.retrieval.manifest import IndexManifest
from xmc.retrieval.stores.protocol import SearchedStore, VectorStore

if TYPE_CHECKING:
    import torch
    from typing_extensions import Self

    from xmc.encoders import DualEncoder
    from xmc.retrieval.ensemble import Ensemble

__all__ = ["OpenIndex"]


class OpenIndex:
    """Labels by id, and the facts of an index; `LabelIndex` is what is made and used."""

    def __init__(
        self, store: VectorStore, table: LabelTable, manifest: IndexManifest, encoder: DualEncoder | None
    ) -> None:
        self._changes = Changes(store, table, manifest)
        self._encoder = None if encoder is None else self._as_indexed(encoder)
        self._given = encoder
        self._queries: StaticQueries | None = None
        self._ensemble: Ensemble | None = None
        self._folder: Path | None = None
        self._opened: tuple[Path, str] | None = None
        self._mapped = False
        self._device: torch.device | None = None
        self._copy: tuple[NDArray[np.int64], SearchedStore] | None = None

    @property
    def manifest(self) -> IndexManifest:
        """What the index says about itself."""
        return self._changes.manifest

    def __len__(self) -> int:
        """Labels in the index."""
        return len(self._changes.table)

    def __contains__(self, uid: object) -> bool:
        """Whether a label has that uid."""
        return uid in self._changes.table

    def id_of(self, uid: str) -> int:
        """The id of the label with that uid.

        Raises:
            DataError: When there is none.
        """
        return int(self._changes.table.ids([uid])[0])

    @property
    def uids(self) -> Sequence[str]:
        """Label uids by label id; those of removed labels stay."""
        return self._changes.table.uids

    @property
    def texts(self) -> Sequence[str]:
        """Label texts by label id; those of removed labels stay."""
        return self._changes.table.texts

    @property
    def live_ids(self) -> NDArray[np.int64]:
        """Ids of the labels that are not removed, ascending."""
        return self._changes.table.live_ids()

    @property
    def vectors_dropped(self) -> int:
        """Vectors of removed labels that the kind of index still holds; no search returns them."""
        return self._changes.store.reachable - self.num_vectors

    @property
    def num_vectors(self) -> int:
        """Vectors of the labels that are there: one each, or one for each text of a label of several."""
        return self._changes.table.num_vectors

    @property
    def has_exact_vectors(self) -> bool:
        """Whether `vectors` gives the embeddings that were added, to the bit."""
        return self._changes.store.exact_vectors()

    @property
    def parameters(self) -> dict[str, int]:
        """How much a search looks at, as `tune` sets it: nprobe, efSearch, k_factor, refine_factor."""
        return self._changes.store.knobs()

    @property
    def lists(self) -> int:
        """Lists of an IVF index, the most that nprobe can be; 0 of another kind."""
        return self._changes.store.lists

    def vectors(self, ids: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """Embeddings [n, W] of labels by id, with the offset as last number where there are offsets.

        Of labels of several texts, those of all texts, label by label. None for an index that has only
        compressed ones.
        """
        return self._changes.store.vectors(self._changes.table.slots_of(np.asarray(ids, dtype=np.int64)))

    def texts_of(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many texts, and so vectors, each of the labels has, by id [n]; 1 where labels have one each."""
        return self._changes.spans()[1][np.asarray(ids, dtype=np.int64)]

    def tune(self, **parameters: int) -> None:
        """Set how much a search looks at, such as ``nprobe=32``; saved with the index. See `xmc index tune`.

        Raises:
            ConfigError: For what this kind of index has not, or a number below 1.
        """
        known = self._changes.store.knobs()
        for name, value in parameters.items():
            if name not in known or value < 1:
                raise ConfigError(
                    f"expected {' or '.join(known) or 'nothing to tune'} of at least 1 for the index "
                    f"{self.manifest.described}, got {name}={value}"
                )
        self._changes.store.tune(parameters)

    def to(self, device: str | None) -> Self:
        """Search on a device from here on: a copy of all vectors there, each of which is looked at.

        Ids and scores are those of an exact index, whatever the kind; the queries of a vote go there too.
        The copy is made at the first search, and again after a change of labels. Where texts are encoded is
        the model's matter.

        Args:
            device: As torch calls it: "cuda", "cuda:1", "cpu". None: the kind's own search, as at first.

        Returns:
            The index.

        Raises:
            ConfigError: When there is no such device here, the index has only compressed vectors, or the
                queries of its vote do not fit.
        """
        found = None
        if device is not None:
            from xmc.retrieval.devices import search_device
            from xmc.retrieval.stores.on_device import check_vectors

            found = search_device(device)
            if len(some := np.flatnonzero(self._changes.label_of() >= 0)[:1]):
                check_vectors(self._changes.store, some)
        if self._ensemble is not None:
            self._ensemble.to(found)
        self._device, self._copy = found, None
        return self

    def _searched(self) -> SearchedStore:
        """What is searched: the store, or a copy of its vectors on a device."""
        if self._device is None:
            return self._changes.store
        label_of = self._changes.label_of()  # another array after each change
        if self._copy is None or self._copy[0] is not label_of:
            from xmc.retrieval.stores.on_device import DeviceStore

            self._copy = None  # before there is another
            live = np.flatnonzero(label_of >= 0)
            self._copy = label_of, DeviceStore(self._changes.store, live, self._device)
        return self._copy[1]

    @property
    def encoder(self) -> DualEncoder:
        """The model that the index was built with, loaded when first asked for.

        Raises:
            IndexMismatchError: When another model is where it was.
            ModelError: When it cannot be opened, or the index was not told where it is.
        """
        return self._model(None)

    @property
    def query_encoder(self) -> DualEncoder | StaticQueries:
        """What encodes queries: the model where it is loaded, else of a static one the query side alone.

        Raises:
            IndexMismatchError, ModelError: As `encoder` does.
        """
        if self._encoder is None and self._queries is None:
            with self._opening_model() as place:
                self._queries = known_queries(self.manifest, place)
                queries = StaticQueries.load(place) if self._queries is None else None
            if queries is not None:
                self.manifest.check_model(queries.fingerprint, f"the index {self._folder}")
                cut = self.manifest.truncated_to
                self._queries = queries if cut is None else queries.truncated(cut)
        return self._encoder or self._queries or self._model(None)

    def release_model(self) -> None:
        """Let go of a static model that is loaded: `query_encoder` then opens its query side alone.

        Nothing changes where the model is of another kind, or the index does not know where it is.
        """
        if self.manifest.model_files:
            self._encoder = self._given = None

    def _model(self, encoder: DualEncoder | None) -> DualEncoder:
        if encoder is not None:
            if encoder is self._encoder or (encoder is self._given and self._encoder is not None):
                return self._encoder
            self.manifest.check_model(encoder.fingerprint, "the index")
            self._encoder, self._given = self._as_indexed(encoder), encoder
        if self._encoder is None:
            from xmc.encoders import DualEncoder

            with self._opening_model() as place:
                loaded = DualEncoder.load(place)
            self.manifest.check_model(loaded.fingerprint, f"the index {self._folder}")
            self._encoder = self._as_indexed(loaded)
        return self._encoder

    def _as_indexed(self, encoder: DualEncoder) -> DualEncoder:
        """The model with as many components as the index keeps."""
        cut = self.manifest.truncated_to
        if encoder.truncated_to == cut:
            return encoder
        return encoder.whole if cut is None else encoder.whole.truncated(cut)

    @contextmanager
    def _opening_model(self) -> Iterator[str]:
        """Where the model is; what cannot be opened there is told as the index's."""
        place = self.model_place
        if place is None:
            raise ModelError("the index does not know where its model is: give the model it was built with")
        try:
            yield place
        except ModelError as error:
            raise ModelError(
                f"the index {self._folder} was built with the model {place}, which cannot be opened "
                f"({error}); if it was moved, say where it is now (--model, in Python encoder)"
            ) from error

    @property
    def folder(self) -> Path | None:
        """Where the index was opened; None for one that was built here."""
        return self._folder

    @property
    def model_place(self) -> str | None:
        """Where the model is: a path from here, or a name; None when the index was not told."""
        return model_place(self.manifest, self._folder)
