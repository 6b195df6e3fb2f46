"""Reads documents with subjects: a TSV, CSV or JSON Lines file, or a folder of full texts."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xmc.data.importers.annif.subjects import clean_uri
from xmc.data.importers.reader import JsonReader
from xmc.data.lines import LineReader
from xmc.errors import DataError
from xmc.received import check_folder, read_json, read_text, reading

__all__ = ["Document", "document_files", "read_documents"]


@dataclass(frozen=True)
class Document:
    """A text and its subjects."""

    uid: str
    text: str
    uris: tuple[str, ...]
    labels: tuple[str, ...] = ()
    """Subjects that are named by their label alone."""


def document_files(path: Path) -> list[Path]:
    """What is read of a corpus: the file, or a folder's texts in order of name, each before its subjects.

    Raises:
        DataError: When there is none.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"{path}: expected documents with subjects, a file or a folder, found none")
    check_folder(path, "a folder of documents")
    found: list[Path] = []
    for text in sorted((*path.glob("*.txt"), *path.glob("*.json"))):
        found += [text, *([beside] if (beside := _subjects_of(text)) else [])]
    if not found:
        raise DataError(f"{path}: expected documents (*.txt with *.tsv or *.key, or *.json), found none")
    return found


def read_documents(path: Path, *, progress: bool = False) -> Iterator[Document]:
    """The documents of a corpus, in order, in any of the forms that Annif reads.

    * TSV, also gzipped: the text, a tab, uris separated by white space, in ``<>`` or not;
    * CSV: the columns ``text`` and ``subject_uris``, with or without ``document_id``;
    * JSON Lines: ``{"text", "subjects": [{"uri"} or {"label"}], "document_id"}``, the last two optional;
    * a folder: ``NAME.txt`` beside ``NAME.tsv`` (lines of ``<uri>``, a tab, a label) or ``NAME.key`` (a label
      a line), and ``NAME.json`` (as a line of JSON Lines).

    A document without a uid has its line or file name.

    Raises:
        DataError: Naming file and line.
    """
    if path.is_dir():
        for file in document_files(path):
            if file.suffix == ".txt":
                yield _full_text(file)
            elif file.suffix == ".json":
                with reading(file, "a JSON document"):
                    yield _of_json(read_json(file), file.stem)
        return
    name = path.name.lower().removesuffix(".gz")
    if name.endswith((".jsonl", ".ndjson")):
        records = JsonReader(path, progress=progress)
        with records.located():
            for record in records:
                yield _of_json(record, str(records.number))
        return
    lines = LineReader(path, progress=progress)
    with lines.located():
        yield from _csv(lines) if name.endswith(".csv") else _tsv(lines)


def _tsv(lines: LineReader) -> Iterator[Document]:
    for line in lines:
        text, tab, uris = line.partition("\t")
        if line.strip() and not tab:
            raise DataError(f"expected a text, a tab and uris, got {line!r:.80}")
        if tab:
            yield Document(str(lines.number), text, tuple(clean_uri(uri) for uri in uris.split()))


def _csv(lines: LineReader) -> Iterator[Document]:
    rows = csv.DictReader(f"{line}\n" for line in lines)
    names = rows.fieldnames or ()
    if missing := [name for name in ("text", "subject_uris") if name not in names]:
        raise DataError(f"expected the columns text and subject_uris, found no {', '.join(missing)}")
    for row in rows:
        uris = tuple(clean_uri(uri) for uri in (row["subject_uris"] or "").split())
        yield Document(row.get("document_id") or str(lines.number), row["text"] or "", uris)


def _full_text(path: Path) -> Document:
    beside = _subjects_of(path)
    with reading(path, "a text in UTF-8"):
        text = read_text(path)
    if beside is None:
        return Document(path.stem, text, ())
    with reading(beside, "a list of subjects in UTF-8"):
        lines = [line for line in read_text(beside).splitlines() if line.strip()]
    uris, labels = list[str](), list[str]()
    for line in lines:
        parts = [part.strip() for part in line.split("\t") if part.strip()]
        named = [part for part in parts if part.startswith("<") and part.endswith(">")]
        if named:
            uris.append(clean_uri(named[-1]))
        else:
            labels.append(parts[-1])
    return Document(path.stem, text, tuple(uris), tuple(labels))


def _subjects_of(text: Path) -> Path | None:
    if text.suffix != ".txt":
        return None
    return next(
        (path for path in (text.with_suffix(".tsv"), text.with_suffix(".key")) if path.is_file()), None
    )


def _of_json(record: object, uid: str) -> Document:
    if not isinstance(record, Mapping) or not isinstance(record.get("text", ""), str):
        raise DataError(f"expected a JSON object with a text, got {record!r:.80}")
    subjects = record.get("subjects") or []
    if not isinstance(subjects, list) or not all(_is_subject(subject) for subject in subjects):
        raise DataError(f"expected subjects as a list of objects with a uri or a label, got {subjects!r:.80}")
    return Document(
        str(record.get("document_id") or uid),
        record.get("text", ""),
        tuple(clean_uri(subject["uri"]) for subject in subjects if subject.get("uri")),
        tuple(subject["label"] for subject in subjects if not subject.get("uri")),
    )


def _is_subject(subject: Any) -> bool:
    return isinstance(subject, Mapping) and any(isinstance(subject.get(key), str) for key in ("uri", "label"))
