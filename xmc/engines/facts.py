"""What a collection in an engine says about itself, so that labels of two models never meet in one."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from xmc.counted import counted
from xmc.errors import IndexMismatchError
from xmc.retrieval.manifest import IndexManifest
from xmc.typed import from_plain

__all__ = ["FORMAT_VERSION", "ExportFacts"]

FORMAT_VERSION = 1


@dataclass(frozen=True)
class ExportFacts:
    """Written when a collection is made, and compared before anything is added or searched."""

    model_fingerprint: str
    """Of the model whose embeddings these are."""
    dimension: int
    """D, of the embeddings; without the offset dimension."""
    offset_dimension: bool
    """Whether a label is ``[e, offset / scale]``, for queries ``[q, 1]``."""
    ranking: str
    """"score", or "magnitude": then the best are found by two searches, with the query and its negative."""
    scale: float
    """The model's score scale, by which the offsets were divided."""
    batch: int
    """Labels, by id, that are written at a time; of a Parquet file at most so many."""
    texts: int = 1
    """T, how many texts a label may have. Each is a row of its own, of the id ``label * T + its place``."""
    format_version: int = FORMAT_VERSION

    @property
    def width(self) -> int:
        """W, of the vectors: D, and one more with offsets."""
        return self.dimension + self.offset_dimension

    @classmethod
    def of(cls, manifest: IndexManifest, batch: int, texts: int) -> ExportFacts:
        """Of an index, some label of which has as many texts."""
        return cls(
            model_fingerprint=manifest.model_fingerprint,
            dimension=manifest.dimension,
            offset_dimension=manifest.offset_dimension,
            ranking=manifest.ranking,
            scale=manifest.scale,
            batch=batch,
            # Room for more, as another number gives all rows other ids.
            texts=1 << (texts - 1).bit_length(),
        )

    def to_json(self) -> str:
        """One line, as engines keep it."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, content: Any) -> ExportFacts:
        """From `to_json`, or from what it is once read.

        Raises:
            ValueError: When it is not what was written, or of another format version.
        """
        facts = from_plain(cls, json.loads(content) if isinstance(content, (str, bytes)) else content)
        if (
            facts.format_version != FORMAT_VERSION
            or facts.batch < 1
            or facts.dimension < 1
            or facts.texts < 1
        ):
            raise ValueError(
                f"format version {facts.format_version}, batch {facts.batch}, texts {facts.texts}"
            )
        return facts

    def check(self, wanted: ExportFacts, where: str) -> None:
        """Refuse labels of another model, or ranked otherwise, or of more texts, than those there.

        Raises:
            IndexMismatchError: With both.
        """
        for name in ("model_fingerprint", "dimension", "offset_dimension", "ranking"):
            came, expected = getattr(wanted, name), getattr(self, name)
            if came != expected:
                raise IndexMismatchError(
                    f"{where} has labels of {name.replace('_', ' ')} {expected}, the index of {came}: take "
                    "another name (--name), or make it anew (--overwrite)"
                )
        if wanted.texts > self.texts:
            raise IndexMismatchError(
                f"{where} has room for {counted(self.texts, 'text')} a label, and the index has a label of "
                "more: make it anew (--overwrite)"
            )
