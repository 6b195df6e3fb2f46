"""Probabilities beside the scores that are served, by the calibration that belongs to the index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from xmc.prediction.label_source import calibration_file, find_calibration

if TYPE_CHECKING:
    from xmc.prediction.calibration import Calibration
    from xmc.retrieval import LabelIndex

__all__ = ["KnownCalibration"]


class KnownCalibration:
    """Finds an index's calibration, and looks again only where its file or the model is another one.

    A change of labels is a new version of the index, and would be told each time that probabilities were
    fitted with another number of them.
    """

    def __init__(self) -> None:
        self._known: tuple[object, ...] | None = None
        self._found: Calibration | None = None

    def of(self, index: LabelIndex) -> Calibration | None:
        """The calibration of an index, or None.

        Raises:
            DataError: When it cannot be read.
        """
        place = calibration_file(index)
        known = None if place is None else (*_mark(place), index.manifest.model_fingerprint)
        if known != self._known:
            self._known, self._found = None, None
            self._found = None if place is None else find_calibration(index)
            self._known = known
        return self._found


def _mark(place: Path) -> tuple[object, ...]:
    """What tells a file from another one, or from what it is after it was written again."""
    facts = place.stat()
    return str(place), facts.st_ino, facts.st_size, facts.st_mtime_ns
