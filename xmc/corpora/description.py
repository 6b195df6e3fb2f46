"""Reads the description at the head of a documentation string: its summary, and whom the rest refers to."""

from __future__ import annotations

import inspect
import re

from xmc.corpora.roles import PROSE_ROLE, ROLE, plain

__all__ = ["UNDERLINE", "mentions", "summary"]

UNDERLINE = re.compile(r"^\s*[-=~]{3,}\s*$")
"""The line below a heading."""

_POINTER = re.compile(
    rf"^(?:see|alias (?:for|of|to)|in-?place version of|out-?of-?place version of)\s*:?\s*{ROLE}",
    re.IGNORECASE,
)
# A sentence that sends the reader elsewhere; the dots of names are inside back quotes.
_REFERRAL = re.compile(
    r"(?:^|(?<=[.;] ))(?:please )?(?:see|refer to)\b(?:[^.;`]|`[^`]*`)*?"
    + PROSE_ROLE
    + r"(?:[^.;`]|`[^`]*`)*[.;]?",
    re.IGNORECASE,
)
# Where the description ends and parameters, results or examples begin, in any of the usual styles.
_PART = re.compile(
    r"^\s*(?:args?|arguments?|keyword arg(?:ument)?s|parameters?|returns?|return type|yields?|raises?"
    r"|examples?|shape|attributes|inputs?|outputs?|references|usage)\s*:{1,2}\s*$|^\s*:(?:param|return|type|rtype)\b"
    r"|^\s*>>>|^\s*\.\. (?:math|code|plot|testcode|figure|versionadded|versionchanged)\b",
    re.IGNORECASE,
)
_SECTIONS = frozenset({"parameters", "returns", "notes", "examples", "attributes"})
_MAX_SUMMARY = 300


def summary(doc: str) -> str:
    """The first paragraph of a documentation string that says something, on one line and without markup.

    Signature lines such as ``add(x1, x2, /) -> Tensor`` are passed over, and so are headings, directives and
    what only points elsewhere, paragraphs and sentences ("See :func:`torch.abs`": what they say is the answer
    to the question, see `references`). At most 300 characters are kept, cut at a sentence or a word. The
    empty string when there is none.
    """
    _, text = _first_statement(_paragraphs(inspect.cleandoc(doc)))
    return text


def mentions(lines: list[str]) -> list[str]:
    """The names that documentation in ``lines`` refers to by a role, as written.

    They are those of paragraphs that only point elsewhere, and those of the description. Of the summary's own
    paragraph only sentences that point elsewhere count: whatever else it names is part of the question.
    """
    everything = [" ".join(paragraph.split()) for paragraph in _paragraphs("\n".join(lines))]
    names = [pointer.group(1) for text in everything if (pointer := _POINTER.match(text))]
    paragraphs = _paragraphs("\n".join(_description(lines)))
    first, _ = _first_statement(paragraphs)
    for number, text in enumerate(" ".join(paragraph.split()) for paragraph in paragraphs):
        parts = [found[0] for found in _REFERRAL.finditer(text)] if number == first else [text]
        names += [name for part in parts for name in re.findall(PROSE_ROLE, part)]
    return names


def _paragraphs(text: str) -> list[str]:
    return re.split(r"\n\s*\n", text)


def _description(lines: list[str]) -> list[str]:
    """The lines before the first part or section."""
    for number, line in enumerate(lines):
        if _PART.match(line):
            return lines[:number]
        # Another heading in the first lines is the title.
        if UNDERLINE.match(line) and (number > 2 or lines[number - 1].strip().lower() in _SECTIONS):
            return lines[: max(number - 1, 0)]
    return lines


def _first_statement(paragraphs: list[str]) -> tuple[int, str]:
    """Number and text of the paragraph that is the summary; -1 and the empty string when there is none."""
    for number, paragraph in enumerate(paragraphs):
        lines = [line.strip() for line in paragraph.splitlines() if line.strip()]
        while lines and _is_signature(lines[0]):
            lines = lines[1:]
        if not lines or lines[0].startswith((".. ", ">>>")):
            continue
        if UNDERLINE.match(lines[0]):
            lines = lines[1:]
        if any(UNDERLINE.match(line) for line in lines[1:2]):
            if len(lines) > 2 or lines[0].lower() in _SECTIONS:
                break
            continue
        if _POINTER.match(" ".join(lines)):
            continue
        text = plain(_REFERRAL.sub("", " ".join(lines)))
        if re.search(r"\w", text):
            return number, _cut(text)
    return -1, ""


def _is_signature(line: str) -> bool:
    return re.match(r"^[\w.]+\(.*(\)|,|->.*)$", line) is not None and not line.endswith(".")


def _cut(text: str) -> str:
    if len(text) <= _MAX_SUMMARY:
        return text
    head = text[:_MAX_SUMMARY]
    stop = head.rfind(". ")
    return head[: stop + 1] if stop > 0 else head[: head.rfind(" ")]
