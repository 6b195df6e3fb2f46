"""The rates of the process that the synthetic data set is drawn from."""

from __future__ import annotations

from dataclasses import dataclass

from xmc.errors import ConfigError

__all__ = ["Law"]


@dataclass(frozen=True)
class Law:
    """How queries are made from a catalogue of articles; the defaults are the data set's, at every size.

    A query shows one article, its *anchor*: of a family drawn by Zipf's law (family ``r``, counted from 1,
    has probability in proportion to ``1 / (r + zipf_offset)``), any of its members alike. Its text is a noisy
    view of the anchor's title, its labels are members of the family, and some of them are noise.

    Raises:
        ConfigError: For a rate that is not between 0 and 1.
    """

    zipf_offset: float = 10.0
    dropped: float = 0.3
    """Queries that leave out one of brand, line, material and noun (each alike)."""
    mentioned: float = 0.7
    """Queries that have the anchor's finish; as many, independently, have its colour."""
    aliased: float = 0.5
    """Of the words a query keeps, those it says by their alias."""
    filled: float = 0.5
    """Queries with one filler word; as many, independently, with another."""
    same_finish: float = 0.9
    """Chance to be a label of a member that shares the anchor's finish (the anchor itself is always one)."""
    other_finish: float = 0.3
    """Chance to be a label of any other member of the family."""
    noise: float = 0.1
    """Of these labels, those replaced by one that no text predicts: the anchor of another draw."""

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, shares outside [0, 1] and a negative offset."""
        for name in ("dropped", "mentioned", "aliased", "filled", "same_finish", "other_finish", "noise"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"expected {name} between 0 and 1, got {getattr(self, name)}")
        if not self.zipf_offset >= 0:
            raise ConfigError(f"expected zipf_offset of at least 0, got {self.zipf_offset}")
