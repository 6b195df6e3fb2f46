"""Kinds of index, times how vectors are stored, times whether candidates are scored again: what can be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from xmc.errors import ConfigError
from xmc.retrieval.kinds import IndexKind, choose_kind

__all__ = ["Variant", "kind_variants"]

_WHOLE = ("flat", "ivf", "hnsw")
"""Kinds that score by whole vectors, which a second time gains nothing."""


class Variant(NamedTuple):
    """What `LabelIndex.merge` makes an index by."""

    kind: str
    storage: str
    refine: bool

    @property
    def options(self) -> str:
        """Of `xmc index merge`: ``--kind sq8 --refine --storage int8``."""
        storage = "" if self.storage == "float32" else f" --storage {self.storage}"
        return f"--kind {self.kind}{' --refine' if self.refine else ''}{storage}"


def kind_variants(
    kinds: Sequence[str], storages: Sequence[str] = ("float32",), refine: bool = False
) -> list[Variant]:
    """Every kind in every storage it can have, and with ``refine`` also refined where that says something.

    A kind without vectors beside FAISS has one storage, float32; an exact, binary or fastscan one is not
    refined; of equal ones the first counts.

    Args:
        kinds: As in `LabelIndex.build`, at least one.
        storages: Some of "float32", "float16" and "int8".
        refine: Whether compressed kinds are also tried with vectors beside them.

    Raises:
        ConfigError: For a storage there is not, or when a kind can have none of them.
    """
    found: dict[IndexKind, Variant] = {}
    for kind in kinds:
        before, refused = len(found), None
        for refined in (False, True) if refine and kind not in _WHOLE else (False,):
            for storage in storages:
                try:
                    chosen = choose_kind(kind, 8, 1, storage, refined)  # any size: storages are alike
                except ConfigError as error:
                    refused = error
                else:
                    found.setdefault(chosen, Variant(kind, storage, refined))
        if len(found) == before and refused is not None:
            raise refused
    return list(found.values())
