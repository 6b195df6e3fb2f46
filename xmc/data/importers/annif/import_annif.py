"""Imports what Annif trains on: documents with subjects, and the vocabulary of these."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from xmc.data.dataset import Dataset
from xmc.data.importers.annif.documents import document_files, read_documents
from xmc.data.importers.annif.subjects import Subject, read_subjects
from xmc.data.importers.formats import file_facts
from xmc.data.importers.split_off import SplitOff
from xmc.data.manifest import Split, check_place
from xmc.data.propensity import Propensity
from xmc.data.writer import DatasetWriter
from xmc.errors import DataError

__all__ = ["import_annif"]

_log = logging.getLogger(__name__)


def import_annif(
    sources: Sequence[Path],
    out: str | Path,
    *,
    vocabulary: Path,
    language: str = "en",
    test: Sequence[Path] = (),
    split: float | None = None,
    seed: int = 0,
    name: str | None = None,
    propensity: Propensity | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Dataset:
    """Read a vocabulary and documents, and write them as a prepared data set to ``out``.

    Every subject of the vocabulary is a label: its uid is its uri, its title the preferred label, its content
    the others. As in Annif, subjects that the vocabulary has not are passed over, and so are documents that
    have no other; both are counted in the log.

    Args:
        sources: Files or folders of training documents (see :func:`read_documents`).
        out: Folder to make.
        vocabulary: A file of subjects (see :func:`read_subjects`).
        language: Of the subjects' labels.
        test: Files or folders of test documents.
        split: Share of the texts to hold out as the test split, where ``test`` is empty.
        seed: Of the split.
        name: Of the data set; default the first source's.
        propensity: Constants A and B; default by the name.
        overwrite: Replace the prepared data set at ``out``.
        progress: Show bars.

    Raises:
        DataError: For bad input, naming file and line, and when no document has a subject of the vocabulary.
        ConfigError: For a split that cannot be made.
        DependencyError: When the vocabulary is SKOS and rdflib is missing.
    """
    check_place(out, overwrite=overwrite)
    corpora: dict[Split, Sequence[Path]] = {"train": sources, "test": test}
    files = [path for paths in corpora.values() for source in paths for path in document_files(source)]
    subjects = read_subjects(vocabulary, language, progress=progress)
    made = {} if split is None else {"split": split, "seed": seed}
    writer = DatasetWriter(
        out,
        name=name or sources[0].name.partition(".")[0],
        propensity=propensity,
        sources=[{"format": "annif", "language": language, **made}, *file_facts([vocabulary, *files])],
        overwrite=overwrite,
    )
    parted = None if split is None else SplitOff(writer, split, seed)
    target = parted.as_writer() if parted else writer
    with writer:
        by_label = _add_subjects(target, subjects)
        for side, paths in corpora.items():
            for source in paths:
                _add_documents(target, side, source, by_label, progress)
        if parted:
            parted.check()
        if not writer.num_rows("train"):
            raise DataError(
                f"{sources[0]}: expected documents with subjects of {vocabulary.name}, found none: are both "
                "of one vocabulary?"
            )
    return Dataset.load(out)


def _add_subjects(writer: DatasetWriter, subjects: Sequence[Subject]) -> dict[str, str]:
    """Add the subjects as labels; the uri of each label's text, in lower case."""
    for subject in subjects:
        writer.add_label(subject.uri, subject.label, subject.others)
    return {subject.label.lower(): subject.uri for subject in reversed(subjects)}


def _add_documents(
    writer: DatasetWriter, split: Split, source: Path, by_label: dict[str, str], progress: bool
) -> None:
    unknown = empty = 0
    for document in read_documents(source, progress=progress):
        uris = [*document.uris, *(by_label.get(label.strip().lower(), label) for label in document.labels)]
        ids = [writer.label_id(uri) for uri in dict.fromkeys(uris)]
        known = [one for one in ids if one is not None]
        unknown += len(ids) - len(known)
        if known:
            writer.add_row(split, document.uid, " ".join(document.text.split()), "", known)
        else:
            empty += 1
    if unknown or empty:
        _log.warning(
            "%s: passed over %s subjects that the vocabulary has not, and %s documents without any other",
            *(source, f"{unknown:,}", f"{empty:,}"),
        )
