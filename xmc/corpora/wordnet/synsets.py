"""Reads WordNet's data files: a synset a line, with its words, its gloss and what it points to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xmc.data.lines import LineReader
from xmc.errors import DataError

__all__ = ["Synset", "link_synsets", "parse_synset", "read_synsets"]

_ID = re.compile(r"[0-9]{8}")
_KIND = {"n": "n", "v": "v", "a": "a", "s": "a", "r": "r"}
_MARKER = re.compile(r"\((?:a|p|ip)\)$")  # of adjectives: before the noun, as a predicate, right after it


@dataclass(frozen=True)
class Synset:
    """Words of one meaning."""

    uid: str
    """Part of speech and offset in its file, such as ``n00001740``."""
    words: tuple[str, ...]
    definition: str
    """The gloss up to its first example."""
    examples: str
    """The rest of the gloss; empty where there is none."""
    related: tuple[str, ...]
    """Uids of the synsets that it points to by any relation, each once, itself left out."""

    @property
    def text(self) -> str:
        """``words: definition``."""
        return f"{', '.join(self.words)}: {self.definition}"


def read_synsets(files: Mapping[str, Path], *, progress: bool = False) -> list[Synset]:
    """The synsets of some data files by part of speech, in their order.

    Raises:
        DataError: Naming file and line of what is no synset.
    """
    found = []
    for kind, path in files.items():
        lines = LineReader(path, progress=progress)
        with lines.located():
            # The licence at the head of a file is set off by two blanks.
            found += [parse_synset(line, kind) for line in lines if line[:2] != "  "]
    return found


def parse_synset(line: str, kind: str) -> Synset:
    """The synset of a line of the file of part of speech ``kind``: see wndb(5WN).

    ``offset lex_file type w_cnt word lex_id [...] p_cnt [symbol offset pos words ...] [frames] | gloss``

    Raises:
        DataError: Saying what was expected.
    """
    head, bar, gloss = line.partition(" | ")
    fields = head.split(" ")
    try:
        uid = _uid(fields[0], fields[2])
        if uid[0] != kind:
            raise ValueError(f"a synset of type {kind}, got {fields[2]!r}")
        num_words = int(fields[3], 16)
        words = fields[4 : 4 + 2 * num_words : 2]
        count = fields[4 + 2 * num_words]
        start = 5 + 2 * num_words
        pointers = fields[start : start + 4 * int(count)]
        if len(words) != num_words or not num_words or len(pointers) != 4 * int(count):
            raise ValueError(f"{num_words} words and {int(count)} pointers")
        related = [_uid(*pointers[at + 1 : at + 3]) for at in range(0, len(pointers), 4)]
    except IndexError as error:
        raise DataError(f"expected all fields of a synset, got {line!r:.80}") from error
    except ValueError as error:
        raise DataError(f"expected the fields of a synset ({error}), got {line!r:.80}") from error
    if not bar:
        raise DataError(f"expected a gloss behind ' | ', got {line!r:.80}")
    definition, examples = _parts(gloss)
    return Synset(
        uid,
        tuple(_MARKER.sub("", word).replace("_", " ") for word in words),
        definition,
        examples,
        tuple(other for other in dict.fromkeys(related) if other != uid),
    )


def link_synsets(synsets: Sequence[Synset]) -> list[list[int]]:
    """For every synset the positions of those it points to, ascending.

    Raises:
        DataError: For a pointer to what is in none of the files.
    """
    position = {synset.uid: i for i, synset in enumerate(synsets)}
    if len(position) != len(synsets):
        raise DataError("expected each synset once, got one of the same offset and type again")

    def targets(synset: Synset) -> Iterable[int]:
        for other in synset.related:
            if other not in position:
                raise DataError(
                    f"expected every pointer to lead to a synset, but {synset.uid} points to {other}, which "
                    "none of the files has: take files of one version"
                )
            yield position[other]

    return [sorted(targets(synset)) for synset in synsets]


def _uid(offset: str, kind: str) -> str:
    if not _ID.fullmatch(offset) or kind not in _KIND:
        raise ValueError(f"an offset of 8 digits and one of n v a s r, got {offset!r:.20} {kind!r:.20}")
    return _KIND[kind] + offset


def _parts(gloss: str) -> tuple[str, str]:
    definition, *examples = re.split(r";\s*(?=\")", gloss.strip(), maxsplit=1)
    return definition.strip(), "".join(examples).strip()
