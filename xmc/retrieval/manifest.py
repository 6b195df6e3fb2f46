"""What an index folder says about itself, so that it is never searched with a model that did not make it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from xmc.data.label_texts import FOLDS, SPLITS_OF_TEXTS
from xmc.errors import DataError, IndexMismatchError
from xmc.fit_folder import INDEX, part_of_fit
from xmc.limits import MAX_IDS
from xmc.received import check_inside, check_name, read_json, reading
from xmc.retrieval.ensemble_options import EnsembleOptions
from xmc.retrieval.kinds import KINDS, IndexKind
from xmc.retrieval.stores.table import STORAGES
from xmc.typed import from_plain

__all__ = ["FORMAT_VERSION", "IndexManifest"]

FORMAT_VERSION = 3
SEVERAL_TEXTS_VERSION = 4
"""Of an index in which a label may have more vectors than one, which earlier versions would not find."""
_READ_VERSIONS = (2, 3, SEVERAL_TEXTS_VERSION)
_FILE = "manifest.json"


@dataclass(frozen=True)
class IndexManifest:
    """The content of ``manifest.json``."""

    model_fingerprint: str
    """Of the model whose embeddings the index holds."""
    model: str | None
    """Where that model is: a folder as seen from the index folder, or a name; None when it was not said."""
    dimension: int
    """D, of the embeddings; without the offset dimension."""
    count: int
    """Labels in the index."""
    factory: str
    """FAISS factory string; "" for a kind without one."""
    offset_dimension: bool
    """Whether vectors have one dimension more, which holds offset / scale; a query then ends in 1."""
    scale: float
    """The model's score scale, by which the offsets were divided."""
    default_offset: float
    """offset / scale given to a label that the model has no offset for: the median of the learned ones."""
    normalised: bool
    """Whether the label embeddings have length 1."""
    exact_scores: bool = False
    """Whether a score of the index is the inner product; else it is that of a compressed vector."""
    ranking: str = "score"
    """"score", or "magnitude": labels rank by the score whatever its sign."""
    ensemble: EnsembleOptions | None = None
    """What ranks beside the model's scores; None for nothing."""
    metric: str = "inner_product"
    kind: str = "factory"
    """One of `KINDS`, or "factory"."""
    storage: str = "float32"
    """Of the vectors that are kept beside FAISS, where the kind has them."""
    refine: bool = False
    """Whether candidates are scored by these vectors."""
    next_slot: int = -1
    """Vectors that were ever added; -1 in version 2, where a label's id is its slot."""
    search: dict[str, int] = field(default_factory=dict)
    """How much a search looks at: nprobe, efSearch, k_factor, refine_factor."""
    truncated_to: int | None = None
    """How many of the components of the model's vectors are kept, which have length 1 again where whole ones
    do; None for all. It is ``dimension`` then."""
    label_texts: str = "joint"
    """What a label has a vector for: "joint", "fields" or "lines" (`xmc.data.label_texts`); each line of a
    label's text is one where it is not "joint"."""
    label_fold: str = "max"
    """A label's score of its vectors': "max" or "top2"."""
    label_fields: list[str] | None = None
    """Of a data set that texts are made of, in order; None when the model does not say."""
    model_files: str = ""
    """`digest_files` of that folder, where queries can be encoded without torch: while it is the same, the
    folder holds the model that was checked when the index was built. "" where it was not taken."""
    faiss_version: str = ""
    checksums: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the other files of the folder."""
    format_version: int = FORMAT_VERSION

    @property
    def index_kind(self) -> IndexKind:
        """How vectors are kept and found."""
        return IndexKind(self.kind, self.factory, self.storage, self.refine)

    @property
    def has_several_texts(self) -> bool:
        """Whether a label has a vector for each of its texts."""
        return self.label_texts != "joint"

    @property
    def written_version(self) -> int:
        """The format version that the index is written in."""
        return SEVERAL_TEXTS_VERSION if self.has_several_texts else FORMAT_VERSION

    @property
    def described(self) -> str:
        """The kind for messages: ``exact (int8)``, ``IVF256,Flat``."""
        named = self.factory or self.kind
        stored = f" ({self.storage})" if self.index_kind.has_table and self.storage != "float32" else ""
        return f"{named}{stored}{' refined' if self.refine and self.factory else ''}"

    def write(self, folder: Path) -> None:
        """Write ``manifest.json`` into the folder."""
        (folder / _FILE).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> IndexManifest:
        """Read a folder's manifest and see that its files are there.

        Raises:
            DataError: When the folder is not a label index, or a file is missing.
        """
        manifest = _parse(cls, folder / _FILE)
        for name in manifest.checksums:
            if not (folder / name).is_file():
                raise DataError(f"the label index {folder} lacks its file {name}: build the index again")
            with reading(folder / name, "a file of the label index"):
                check_inside(folder / name, folder)
        return manifest

    def check_model(self, fingerprint: str, where: str) -> None:
        """Refuse a model other than the one that made the index.

        Raises:
            IndexMismatchError: With both fingerprints.
        """
        if fingerprint != self.model_fingerprint:
            raise IndexMismatchError(
                f"{where} was built with the model {self.model_fingerprint}, but the model given is "
                f"{fingerprint}: use the model the index was built with, or build the index again"
            )


def _parse(cls: type[IndexManifest], file: Path) -> IndexManifest:
    if not file.is_file():
        if (named := part_of_fit(file.parent, INDEX)) is not None:
            raise DataError(f"expected a label index, but {named}")
        lacks = f"there is no {_FILE}: "
        if not file.parent.exists():
            lacks = f"there is no {_FILE}, nor such a folder: check the path, or "
        raise DataError(f"expected a label index at {file.parent}, but {lacks}build one with `xmc index`")
    with reading(file, "the manifest of a label index", "build the index again"):
        content = read_json(file)
        version = content.get("format_version") if isinstance(content, dict) else None
        if version not in _READ_VERSIONS or isinstance(version, (bool, float)):
            raise DataError(
                f"{file}: expected format version {FORMAT_VERSION}, got {version!r:.20}: build it again"
            )
        manifest = from_plain(cls, content, extra=True)
        for name in manifest.checksums:
            check_name(name)
        if manifest.ranking not in ("score", "magnitude"):
            raise ValueError(f"ranking: expected score or magnitude, got {manifest.ranking!r:.80}")
        if not (0 <= manifest.count <= MAX_IDS and 0 < manifest.dimension <= MAX_IDS):
            raise ValueError(f"it says {manifest.count} labels of {manifest.dimension} numbers")
        if manifest.label_texts not in SPLITS_OF_TEXTS or manifest.label_fold not in FOLDS:
            raise ValueError(f"texts {manifest.label_texts!r:.80}, fold {manifest.label_fold!r:.80}")
        if manifest.truncated_to not in (None, manifest.dimension):
            raise ValueError(f"truncated to {manifest.truncated_to}, dimension {manifest.dimension}"[:200])
        if not -1 <= manifest.next_slot <= MAX_IDS or any(n < 1 for n in manifest.search.values()):
            raise ValueError(f"next_slot {manifest.next_slot}, search {manifest.search}"[:200])
        if manifest.kind not in (*KINDS, "factory") or manifest.storage not in STORAGES:
            raise ValueError(f"kind {manifest.kind!r:.80}, storage {manifest.storage!r:.80}")
    needed = {"labels.parquet", "index.faiss" if manifest.factory else "vectors.npy"}
    if lacking := needed - set(manifest.checksums):
        raise DataError(f"{file}: expected a checksum of {min(lacking)}: build the index again")
    return manifest
