"""Reads from documentation strings the names of the objects they refer to."""

from __future__ import annotations

import inspect
import re

from xmc.corpora.description import UNDERLINE, mentions
from xmc.corpora.roles import NAME, ROLE

__all__ = ["references"]

_BARE = re.compile(rf"`{{0,2}}[~!]?\.?({NAME})(?:\(\))?`{{0,2}}")
_ROLE = re.compile(ROLE)
_DIRECTIVE = re.compile(r"^(\s*)\.\. seealso::(.*)$", re.IGNORECASE)
_SENTENCE = re.compile(r"\bsee also\b:?([^\n]*(?:\n(?!\s*\n)[^\n]*)?)", re.IGNORECASE)
_TICKED = re.compile(rf"(?<![:`\w])`{{1,2}}[~!]?({NAME})(?:\(\))?`{{1,2}}(?!_)")


def references(doc: str) -> list[str]:
    """The names a documentation string refers to, in order and without repeats.

    Understood are numpydoc's section "See Also" (``a, b : text``, ``:func:`c```, names that go on in the next
    line), the directive ``.. seealso::``, the sentence "See also :func:`d`", paragraphs that begin with "See
    :func:`e`", "Alias for :func:`f`" or "In-place version of :meth:`g`", as torch's do, and cross-references
    in the description below the summary, which torch has in place of the section (see `mentions`). Names are
    as written, not yet resolved.
    """
    text = inspect.cleandoc(doc)
    section, rest = _section(text.splitlines())
    names = _section_names(section)
    directives, rest = _directives(rest)
    for part in directives + _SENTENCE.findall("\n".join(rest)):
        names += [role or ticked for role, ticked in re.findall(f"{ROLE}|{_TICKED.pattern}", part)]
    names += mentions(rest)
    return list(dict.fromkeys(names))


def _section(lines: list[str]) -> tuple[list[str], list[str]]:
    """Split the lines into numpydoc's "See Also" section and everything else."""
    for start in range(len(lines) - 1):
        if lines[start].strip().lower() == "see also" and UNDERLINE.match(lines[start + 1]):
            break
    else:
        return [], lines
    stop = start + 2
    while stop < len(lines) and not (
        stop + 1 < len(lines) and lines[stop].strip() and UNDERLINE.match(lines[stop + 1])
    ):
        if _DIRECTIVE.match(lines[stop]):
            break
        stop += 1
    return lines[start + 2 : stop], lines[:start] + lines[stop:]


def _section_names(lines: list[str]) -> list[str]:
    """The names of a numpydoc section: entries begin at its own margin, descriptions are indented deeper."""
    filled = [line for line in lines if line.strip()]
    margin = min((len(line) - len(line.lstrip()) for line in filled), default=0)
    names: list[str] = []
    goes_on = False
    for line in filled:
        indent = len(line) - len(line.lstrip())
        if indent > margin and not goes_on:
            continue
        found = _entry_names(line.strip())
        names += found
        goes_on = bool(found) and line.rstrip().endswith(",")
    return names


def _entry_names(entry: str) -> list[str]:
    """The names of ``a, :func:`b`, c : text``; of a line of prose only what carries a role."""
    head = re.split(r"\s:(?:\s|$)|(?<=[\w`]):(?:\s|$)", entry.lstrip("*- "), maxsplit=1)[0]
    names = []
    for part in (piece.strip() for piece in head.split(",")):
        match = _ROLE.fullmatch(part) or _BARE.fullmatch(part)
        if match:
            names.append(match.group(1))
        elif part:
            return _ROLE.findall(entry)
    return names


def _directives(lines: list[str]) -> tuple[list[str], list[str]]:
    """The text of every ``.. seealso::`` directive, and the lines outside them."""
    found: list[str] = []
    rest: list[str] = []
    margin: int | None = None
    for line in lines:
        match = _DIRECTIVE.match(line)
        indent = len(line) - len(line.lstrip())
        if match:
            margin = len(match.group(1))
            found.append(match.group(2))
        elif margin is not None and (not line.strip() or indent > margin):
            found[-1] += "\n" + line
        else:
            margin = None
            rest.append(line)
    return found, rest
