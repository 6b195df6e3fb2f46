"""Reads Debian control files: stanzas of ``Field: value`` lines, and the relations between packages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from xmc.errors import DataError

__all__ = ["long_text", "read_stanzas", "related_packages"]

_FIELD = re.compile(r"([!-9;-~]+):[ \t]*(.*)")
# A name; after it may come a qualifier (:any), a version (>= 1), architectures [amd64], profiles <!nocheck>.
_RELATION = re.compile(
    r"([a-z0-9][a-z0-9+.\-]*)(?::[a-z0-9-]+)?\s*(?:\([^)]*\))?\s*(?:\[[^\]]*\])?\s*(?:<[^>]*>\s*)*",
    re.IGNORECASE,
)


def read_stanzas(lines: Iterable[str], where: str) -> Iterator[dict[str, str]]:
    """The stanzas of a control file, as in Debian Policy, section 5.1; field names in lower case.

    A value that goes on in further lines keeps its line breaks, without the one blank that marks such a line.

    Args:
        lines: The file's, with or without line breaks.
        where: Its name, for errors.

    Raises:
        DataError: Naming the line that is neither a field, nor the rest of one, nor a comment.
    """
    stanza: dict[str, str] = {}
    last = ""
    for number, raw in enumerate(lines, 1):
        line = raw.rstrip("\r\n")
        if not line.strip():
            if stanza:
                yield stanza
            stanza, last = {}, ""
        elif line.startswith("#"):
            continue
        elif line[0] in " \t" and last:
            stanza[last] += "\n" + line[1:].rstrip()
        elif match := _FIELD.fullmatch(line):
            last = match[1].lower()
            if last in stanza:
                raise DataError(f"{where}, line {number}: expected the field {match[1]} once in a stanza")
            stanza[last] = match[2].rstrip()
        else:
            raise DataError(f"{where}, line {number}: expected 'Field: value', got {line!r:.80}")
    if stanza:
        yield stanza


def related_packages(relation: str) -> list[str]:
    """The names in a relation field such as ``a (>= 1), b:any | c [amd64]``, in order, every alternative.

    Raises:
        ValueError: With the part that is no relation.
    """
    names = []
    for part in re.split(r"[,|]", relation):
        if part := part.strip():
            match = _RELATION.fullmatch(part)
            if match is None:
                raise ValueError(part)
            names.append(match[1].lower())
    return list(dict.fromkeys(names))


def long_text(description: str) -> tuple[str, str]:
    """Synopsis and long description of a ``Description``, the latter on one line.

    A line of a single dot stands for an empty one.
    """
    synopsis, _, rest = description.partition("\n")
    words = [line.strip() for line in rest.split("\n") if line.strip() not in ("", ".")]
    return " ".join(synopsis.split()), " ".join(" ".join(words).split())
