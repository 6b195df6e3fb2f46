"""Reads documentation strings: the summary of an object and the names its "See Also" part refers to."""

from __future__ import annotations

import inspect
import re

__all__ = ["references", "summary"]

_NAME = r"[A-Za-z_][\w.]*\w|[A-Za-z_]"
_ROLE = re.compile(
    rf":(?:\w+:)?(?:func|class|meth|mod|obj|attr|data|exc|ufunc):`(?:[^`<]*<)?[~!]?({_NAME})(?:\(\))?>?`"
)
_BARE = re.compile(rf"`{{0,2}}[~!]?({_NAME})(?:\(\))?`{{0,2}}")
_UNDERLINE = re.compile(r"^\s*[-=~]{3,}\s*$")
_DIRECTIVE = re.compile(r"^(\s*)\.\. seealso::(.*)$", re.IGNORECASE)
_SENTENCE = re.compile(r"\bsee also\b:?([^\n]*(?:\n(?!\s*\n)[^\n]*)?)", re.IGNORECASE)
_TICKED = re.compile(rf"(?<![:`\w])`{{1,2}}[~!]?({_NAME})(?:\(\))?`{{1,2}}(?!_)")
_POINTER = re.compile(
    rf"^(?:see|alias (?:for|of|to)|in-?place version of|out-?of-?place version of)\s*:?\s*{_ROLE.pattern}",
    re.IGNORECASE,
)
_MARKUP = re.compile(r":(?:\w+:)?\w+:`(?:([^`<]+?)\s*<[^`>]*>|[~!]?([^`]*))`")
_SECTIONS = frozenset({"parameters", "returns", "notes", "examples", "attributes"})
_MAX_SUMMARY = 300


def summary(doc: str) -> str:
    """The first paragraph of a documentation string that says something, on one line and without markup.

    Signature lines such as ``add(x1, x2, /) -> Tensor`` are passed over, and so are headings, directives and
    paragraphs that only point elsewhere ("See :func:`torch.abs`": what they say is the answer to the
    question, see `references`). At most 300 characters are kept, cut at a sentence or a word. The empty
    string when there is none.
    """
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(doc)):
        lines = [line.strip() for line in paragraph.splitlines() if line.strip()]
        while lines and _is_signature(lines[0]):
            lines = lines[1:]
        if not lines or lines[0].startswith((".. ", ">>>")):
            continue
        if _UNDERLINE.match(lines[0]):
            lines = lines[1:]
        if any(_UNDERLINE.match(line) for line in lines[1:2]):
            if len(lines) > 2 or lines[0].lower() in _SECTIONS:
                return ""
            continue
        if _POINTER.match(" ".join(lines)):
            continue
        text = _plain(" ".join(lines))
        if re.search(r"\w", text):
            return _cut(text)
    return ""


def references(doc: str) -> list[str]:
    """The names a documentation string refers to as "See Also", in order and without repeats.

    Understood are numpydoc's section (``a, b : text``, ``:func:`c```, names that go on in the next line), the
    directive ``.. seealso::``, the sentence "See also :func:`d`", and paragraphs that begin with "See
    :func:`e`", "Alias for :func:`f`" or "In-place version of :meth:`g`", as torch's do. Names are as written,
    not yet resolved.
    """
    text = inspect.cleandoc(doc)
    section, rest = _section(text.splitlines())
    names = _section_names(section)
    directives, rest = _directives(rest)
    for part in directives + _SENTENCE.findall("\n".join(rest)):
        names += [role or ticked for role, ticked in re.findall(f"{_ROLE.pattern}|{_TICKED.pattern}", part)]
    for paragraph in re.split(r"\n\s*\n", "\n".join(rest)):
        if pointer := _POINTER.match(" ".join(paragraph.split())):
            names.append(pointer.group(1))
    return list(dict.fromkeys(names))


def _is_signature(line: str) -> bool:
    return re.match(r"^[\w.]+\(.*(\)|,|->.*)$", line) is not None and not line.endswith(".")


def _plain(text: str) -> str:
    text = _MARKUP.sub(lambda m: m.group(1) or m.group(2), text)
    return re.sub(r"\s+", " ", text.replace("`", "").replace("**", "")).strip()


def _cut(text: str) -> str:
    if len(text) <= _MAX_SUMMARY:
        return text
    head = text[:_MAX_SUMMARY]
    stop = head.rfind(". ")
    return head[: stop + 1] if stop > 0 else head[: head.rfind(" ")]


def _section(lines: list[str]) -> tuple[list[str], list[str]]:
    """Split the lines into numpydoc's "See Also" section and everything else."""
    for start in range(len(lines) - 1):
        if lines[start].strip().lower() == "see also" and _UNDERLINE.match(lines[start + 1]):
            break
    else:
        return [], lines
    stop = start + 2
    while stop < len(lines) and not (
        stop + 1 < len(lines) and lines[stop].strip() and _UNDERLINE.match(lines[stop + 1])
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
