"""Changes to the labels of an index: added, put (added or replaced), removed; all labels of one or none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xmc.errors import DataError
from xmc.retrieval import LabelIndex

__all__ = ["Change", "LabelExists", "LabelUnknown", "Outcome", "apply_change"]


class LabelExists(DataError):
    """A label to add whose uid is taken."""


class LabelUnknown(DataError):
    """A label to remove that is not in the index."""


@dataclass(frozen=True)
class Change:
    """What one request asks for; each uid once."""

    kind: Literal["add", "put", "remove"]
    uids: tuple[str, ...]
    texts: tuple[str, ...] = ()
    """One for each uid; none to remove."""

    @property
    def in_two_steps(self) -> bool:
        """Whether it can fail when half of it is done."""
        return self.kind == "put"


@dataclass(frozen=True)
class Outcome:
    """What a change did, in numbers of labels."""

    added: int = 0
    replaced: int = 0
    removed: int = 0


def apply_change(index: LabelIndex, change: Change) -> Outcome:
    """Change an index in memory.

    Raises:
        LabelExists: When a label to add is there already; nothing is changed then, nor with the next.
        LabelUnknown: When a label to remove is not there.
        XMCError: When a text cannot be encoded; of labels to put, some may have their new texts then.
    """
    there = [uid for uid in change.uids if uid in index]
    if change.kind == "add" and there:
        raise LabelExists(f"{_named(there)} in the index already")
    if change.kind == "remove" and len(there) < len(change.uids):
        known = set(there)
        raise LabelUnknown(f"{_named([uid for uid in change.uids if uid not in known])} not in the index")
    if change.kind == "remove":
        index.remove(there)
        return Outcome(removed=len(there))
    texts = dict(zip(change.uids, change.texts, strict=True))
    if there:
        index.update([texts.pop(uid) for uid in there], there)
    if texts:
        index.add(list(texts.values()), list(texts))
    return Outcome(added=len(texts), replaced=len(there))


def _named(uids: list[str]) -> str:
    more = f" and {len(uids) - 1} more are" if len(uids) > 1 else " is"
    return f"{ascii(uids[0])[:80]}{more}"
