"""Cross-references in documentation strings: roles of Sphinx, such as ``:func:`numpy.sort```."""

from __future__ import annotations

import re

__all__ = ["NAME", "PROSE_ROLE", "ROLE", "plain"]

NAME = r"[A-Za-z_][\w.]*\w|[A-Za-z_]"
"""A dotted name, as part of a pattern."""

ROLE = rf":(?:\w+:)?(?:func|class|meth|mod|obj|attr|data|exc|ufunc):`(?:[^`<]*<)?[~!]?({NAME})(?:\(\))?>?`"
"""A reference to an object; its one group is the name."""

PROSE_ROLE = ROLE.replace("|obj|attr|data|", "|")
"""As ``ROLE``, without the roles that documentation also gives to its own parameters."""

_MARKUP = re.compile(r":(?:\w+:)?\w+:`(?:([^`<]+?)\s*<[^`>]*>|[~!]?([^`]*))`")


def plain(text: str) -> str:
    """Text on one line, without markup."""
    text = _MARKUP.sub(lambda m: m.group(1) or m.group(2), text)
    return re.sub(r"\s+", " ", text.replace("`", "").replace("**", "")).strip()
