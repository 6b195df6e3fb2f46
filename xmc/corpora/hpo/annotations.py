"""Reads ``phenotype.hpoa``: which terms each disease is annotated with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from xmc.data.lines import LineReader
from xmc.errors import DataError

__all__ = ["Disease", "read_annotations"]

_COLUMNS = ("database_id", "disease_name", "qualifier", "hpo_id", "frequency")
_EXCLUDED = "HP:0040285"  # the frequency "Excluded": in none of the patients


@dataclass
class Disease:
    """A disease of a catalogue, such as ``OMIM:619340``."""

    uid: str
    name: str
    terms: list[str] = field(default_factory=list)
    """Uids of the terms it is annotated with, as written, in order of appearance."""


def read_annotations(path: Path, *, progress: bool = False) -> tuple[list[Disease], str]:
    """The diseases of a file in order of first appearance, and the version in its header ("" without one).

    What a disease is annotated *not* to have is left out: the qualifier ``NOT``, and a frequency of none.

    Raises:
        DataError: Naming file and line of what is no annotation.
    """
    diseases: dict[str, Disease] = {}
    places: list[int] = []
    version, width = "", 0
    lines = LineReader(path, progress=progress)
    with lines.located():
        for line in lines:
            if line.startswith("#version:"):
                version = line.partition(":")[2].strip()
            if line.startswith("#") or not line.strip():
                continue
            values = line.split("\t")
            if not places:
                places, width = _places(values), len(values)
                continue
            if len(values) != width:
                raise DataError(f"expected {width} columns, got {len(values)}")
            uid, name, qualifier, term, frequency = (values[place].strip() for place in places)
            disease = diseases.setdefault(uid, Disease(uid, name))
            if qualifier != "NOT" and not _is_none(frequency) and term not in disease.terms:
                disease.terms.append(term)
    if not places:
        raise DataError(f"{path}: expected a line of column names, found none")
    return list(diseases.values()), version


def _places(names: list[str]) -> list[int]:
    if missing := [name for name in _COLUMNS if name not in names]:
        raise DataError(f"expected the columns {', '.join(_COLUMNS)}, found no {', '.join(missing)}")
    return [names.index(name) for name in _COLUMNS]


def _is_none(frequency: str) -> bool:
    """Whether a frequency (a term, ``n/m`` or a percentage) says that nobody has it."""
    return frequency in (_EXCLUDED, "0%") or frequency.startswith("0/")
