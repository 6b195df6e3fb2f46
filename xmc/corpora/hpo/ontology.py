"""Reads the terms of an ontology in the OBO format."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from xmc.data.lines import LineReader
from xmc.errors import DataError

__all__ = ["Ontology", "Term", "read_ontology"]

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
_EXACT = re.compile(r'"((?:[^"\\]|\\.)*)"\s+EXACT\b')


@dataclass(frozen=True)
class Term:
    """A term in use."""

    uid: str
    name: str
    definition: str
    """Empty where there is none."""
    synonyms: tuple[str, ...] = ()
    """Exact ones alone, each once, in order, and none that is the name in other cases."""


@dataclass(frozen=True)
class Ontology:
    """The terms of a file."""

    version: str
    """Of its header; empty where there is none."""
    terms: dict[str, Term]
    """By uid, obsolete ones left out."""
    current: dict[str, str]
    """For every other uid that a term had, or that a term replaces, the one in use."""


def read_ontology(path: Path, *, progress: bool = False) -> Ontology:
    """The terms of an OBO file (OBO 1.2 and 1.4: stanzas of ``tag: value`` lines).

    Raises:
        DataError: Naming file and line of what is no OBO, and of a term without an id or a name.
    """
    version = ""
    terms: dict[str, Term] = {}
    current: dict[str, str] = {}
    lines = LineReader(path, progress=progress)
    with lines.located():
        for kind, tags in _stanzas(lines):
            if kind == "":
                version = _first(tags, "data-version")
            elif kind == "Term":
                term, others = _term(tags)
                current.update(others)
                if term is not None:
                    terms[term.uid] = term
    return Ontology(version, terms, current)


def _stanzas(lines: Iterable[str]) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """The header, of kind "", and every stanza with its kind; a tag's values in order."""
    kind, tags = "", dict[str, list[str]]()
    for line in lines:
        if line.startswith("[") and line.rstrip().endswith("]"):
            yield kind, tags
            kind, tags = line.strip()[1:-1], {}
        elif line.strip() and not line.startswith("!"):
            tag, colon, value = line.partition(":")
            if not colon:
                raise DataError(f"expected 'tag: value', got {line!r:.80}")
            tags.setdefault(tag, []).append(value.strip())
    yield kind, tags


def _term(tags: dict[str, list[str]]) -> tuple[Term | None, dict[str, str]]:
    """A term, None where it is obsolete, and the uids that lead to it, or from it to another."""
    uid = _first(tags, "id")
    if not uid:
        raise DataError("expected an id in every term, but the stanza that ends here has none")
    if _first(tags, "is_obsolete") == "true":
        replacing = _first(tags, "replaced_by")
        return None, {uid: replacing} if replacing else {}
    name = _first(tags, "name")
    if not name:
        raise DataError(f"expected a name in every term in use, but {uid} has none")
    definition = _QUOTED.match(_first(tags, "def"))
    synonyms = {name.lower(): name}
    for found in map(_EXACT.match, tags.get("synonym", [])):
        if found and (synonym := _plain(found[1])):
            synonyms.setdefault(synonym.lower(), synonym)
    text = _plain(definition[1]) if definition else ""
    term = Term(uid, name, text, tuple(synonyms.values())[1:])
    return term, {other: uid for other in tags.get("alt_id", [])}


def _plain(quoted: str) -> str:
    return " ".join(_ESCAPED.sub(r"\1", quoted).split())


def _first(tags: dict[str, list[str]], tag: str) -> str:
    return tags.get(tag, [""])[0]
