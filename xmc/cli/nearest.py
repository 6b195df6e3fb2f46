"""The valid name that a mistyped one is most like."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["nearest"]


def nearest(word: str, valid: Iterable[str]) -> str | None:
    """The valid name most like ``word``: by the whole dotted name, by its initials, else by its last part.

    ``training.lr`` is ``training.learning_rate``. A word that is the last part of several names is the first
    of them.
    """
    names = list(valid)
    leaves = {name.rpartition(".")[2]: name for name in reversed(names)}
    if word in leaves:
        return leaves[word]
    section, _, last = word.rpartition(".")
    short = [name for name in names if _is_short_for(last, name.rpartition(".")[2])]
    short.sort(key=lambda name: name.rpartition(".")[0] != section)
    if short and (not section or short[0].startswith(f"{section}.")):
        return short[0]
    if whole := difflib.get_close_matches(word, names, n=1, cutoff=0.75):
        return whole[0]
    leaf = difflib.get_close_matches(word.rpartition(".")[2], leaves, n=1)
    return leaves[leaf[0]] if leaf else None


def _is_short_for(word: str, name: str) -> bool:
    """Whether ``word`` is the initials of ``name``, such as lr of learning_rate, or its first word."""
    parts = name.split("_")
    return len(parts) > 1 and word in ("".join(part[:1] for part in parts), parts[0])
