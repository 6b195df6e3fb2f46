"""Reads a subject vocabulary: SKOS in any form of RDF, CSV with a column a language, or TSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xmc.data.lines import LineReader
from xmc.errors import DataError, DependencyError
from xmc.received import reading

__all__ = ["Subject", "clean_uri", "read_subjects"]

# Not JSON-LD, whose files may name others that rdflib would fetch.
_RDF = (".ttl", ".rdf", ".xml", ".nt", ".n3")


@dataclass(frozen=True)
class Subject:
    """A subject in use."""

    uri: str
    label: str
    """Its preferred label in the language asked for."""
    others: str
    """Its further labels in that language, joined by "; "."""


def read_subjects(path: Path, language: str, *, progress: bool = False) -> list[Subject]:
    """The subjects of a vocabulary that have a label, each uri once.

    * SKOS (``.ttl``, ``.rdf``, ``.nt``, ...): concepts with a ``prefLabel`` or ``rdfs:label`` in the
      language, or in none, and their ``altLabel``; by uri, deprecated ones left out. Needs rdflib.
    * CSV: the columns ``uri`` and ``label_LANGUAGE``.
    * TSV: ``<uri>``, a tab, the label; further columns are left aside. The language is the file's.

    A subject without a label is deprecated, and left out.

    Raises:
        DataError: For a file that is none of these, naming the line; for a language without a label, naming
            those that there are.
        DependencyError: When rdflib is needed and missing.
    """
    if not path.is_file():
        raise DataError(f"{path}: expected a vocabulary (SKOS, CSV or TSV), found no such file")
    name = path.name.lower().removesuffix(".gz")
    suffix = name[name.rfind(".") :]
    if suffix in _RDF:
        found = _skos(path, language)
    else:
        found = _csv(path, language, progress) if suffix == ".csv" else _tsv(path, progress)
    if not found:
        raise DataError(f"{path}: expected subjects with a label in '{language}', found none")
    return list({subject.uri: subject for subject in reversed(found)}.values())[::-1]


def clean_uri(uri: str) -> str:
    """A uri without the angle brackets that may be around it."""
    uri = uri.strip()
    return uri[1:-1] if uri.startswith("<") and uri.endswith(">") else uri


def _tsv(path: Path, progress: bool) -> list[Subject]:
    found = []
    lines = LineReader(path, progress=progress)
    with lines.located():
        for line in lines:
            if not line.strip():
                continue
            uri, _, rest = line.partition("\t")
            if not clean_uri(uri):
                raise DataError(f"expected <uri>, a tab and a label, got {line!r:.80}")
            if label := rest.partition("\t")[0].strip():
                found.append(Subject(clean_uri(uri), label, ""))
    return found


def _csv(path: Path, language: str, progress: bool) -> list[Subject]:
    found = []
    lines = LineReader(path, progress=progress)
    with lines.located():
        rows = csv.DictReader(f"{line}\n" for line in lines)
        names = rows.fieldnames or ()
        column = f"label_{language}"
        if "uri" not in names or column not in names:
            raise DataError(f"expected the columns uri and {column}, got {', '.join(names)}")
        for row in rows:
            uri, label = clean_uri(row["uri"] or ""), (row[column] or "").strip()
            if uri and label:
                found.append(Subject(uri, label, ""))
    return found


def _skos(path: Path, language: str) -> list[Subject]:
    try:
        import rdflib
        from rdflib.namespace import OWL, RDF, RDFS, SKOS
        from rdflib.util import guess_format
    except ImportError as error:
        raise DependencyError(
            f"{path}: expected rdflib to read SKOS with, found none: `pip install rdflib`, or export the "
            "vocabulary as TSV"
        ) from error
    graph = rdflib.Graph()
    with reading(path, "an RDF file"):
        # A file alone: nothing that it names is fetched.
        graph.parse(data=_whole(path), format=guess_format(path.name.removesuffix(".gz")) or "turtle")
    found, languages = [], set[str]()
    for concept in sorted({str(node) for node in graph.subjects(RDF.type, SKOS.Concept)}):
        node = rdflib.URIRef(concept)
        if (node, OWL.deprecated, rdflib.Literal(True)) in graph:
            continue
        names = [*_labels(graph, node, SKOS.prefLabel), *_labels(graph, node, RDFS.label)]
        languages.update(told for told, _ in names if told)
        if label := next((text for told in (language, "") for by, text in names if by == told), ""):
            others = [text for by, text in _labels(graph, node, SKOS.altLabel) if by == language]
            found.append(Subject(concept, label, "; ".join(others)))
    if not found and languages:
        raise DataError(
            f"{path}: expected labels in '{language}', found those in {', '.join(sorted(languages))}: "
            "name one of these with --language"
        )
    return found


def _whole(path: Path) -> str:
    return "\n".join(LineReader(path))


def _labels(graph: Any, node: Any, kind: Any) -> Iterator[tuple[str, str]]:
    """Language and text of each label of a kind, in a fixed order."""
    yield from sorted((str(label.language or ""), str(label)) for label in graph.objects(node, kind))
