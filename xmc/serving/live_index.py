"""The index that is searched now: replaced as a whole, so that whoever began with one version ends with it.

The folder is the truth. A change is made to a copy opened from there, saved there, and only then searched: a
change that fails leaves nothing behind, one that was answered is on disk, and what another process changed
in between is kept.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xmc.encoders import DualEncoder
from xmc.errors import XMCError
from xmc.prediction.calibration import Calibration
from xmc.retrieval import LabelIndex
from xmc.serving.chances import KnownCalibration
from xmc.serving.changes import Change, Outcome, apply_change
from xmc.serving.index_folder import locked_folder, open_folder, version_of

__all__ = ["LiveIndex", "Ranking", "Snapshot"]

_log = logging.getLogger(__name__)


class Ranking(NamedTuple):
    """The labels of N texts, best first."""

    ids: NDArray[np.int64]
    """[N, k]; -1 where there are fewer."""
    scores: NDArray[np.float32]
    """[N, k]; -inf where there are fewer."""
    sure: NDArray[np.floating]
    """[N, k], what the calibration goes by (`Calibration.sureness`); without one the scores."""


@dataclass(frozen=True)
class Snapshot:
    """One version of the index; it never changes."""

    index: LabelIndex
    version: str
    """Names what lay in the folder."""
    generation: int
    """1 for the version that was there at the start, one more for each since."""
    since: float
    """When it was opened, in seconds since 1970."""
    calibration: Calibration | None = None
    """Says how sure its ranking is, where it was fitted."""

    def depth(self, k: int) -> int:
        """See `LabelIndex.ranking_depth`: texts of one depth may be searched together, for the largest k."""
        return self.index.ranking_depth(self._labels_of(k))

    def search(self, texts: Sequence[str], k: int) -> Ranking:
        """The best labels of N texts, at most ``k`` of each, as `LabelIndex.search` ranks them."""
        index, calibration = self.index, self.calibration
        known = calibration is not None
        ids, scores, evidence = index.ranked(texts, self._labels_of(k), index.encoder, evidence=known)
        return Ranking(ids, scores, scores if calibration is None else calibration.sureness(scores, evidence))

    def _labels_of(self, k: int) -> int:
        return max(1, min(k, len(self.index)))


class LiveIndex:
    """An index folder that is searched, changed and watched.

    `refresh` and `apply` take turns and may run in any thread; `current` can be had at any time.

    Args:
        folder: The index folder.
        encoder: The model, or where it is; None takes the one that the index names. An index of another model
            is refused when the model is given, and brings its own when not.
        device: Where every vector is searched, by a copy; None searches as the index is made.

    Raises:
        XMCError: When the index or its model cannot be opened.
    """

    def __init__(
        self,
        folder: str | Path,
        encoder: DualEncoder | str | Path | None = None,
        *,
        device: str | None = None,
    ) -> None:
        self.folder, self._device = Path(folder), device
        self._only = encoder is not None
        if encoder is not None and not isinstance(encoder, DualEncoder):
            encoder = DualEncoder.load(encoder)
        self._turn = threading.Lock()
        self.failure: str | None = None
        """Why the version that lies in the folder is not the one that is searched; None when it is."""
        self._failed: str | None = None
        index, version = open_folder(self.folder, encoder, only=self._only)
        index.to(device)
        self._calibrations = KnownCalibration()
        self._current = Snapshot(index, version, 1, time.time(), self._calibrations.of(index))
        # The first search of a process takes several times as long as the next.
        self._current.search(["warm up"], 1)

    @property
    def current(self) -> Snapshot:
        """The version that is searched."""
        return self._current

    def refresh(self, *, again: bool = False) -> bool:
        """Search what lies in the folder now; whether that is another version than before.

        Args:
            again: Try also a version that could not be opened before.

        Raises:
            XMCError: When it cannot be opened, once for each version; the one before is searched on.
        """
        with self._turn:
            version = version_of(self.folder)
            if version in (None, self._current.version) or (version == self._failed and not again):
                return False
            try:
                self._publish(*self._open())
            except XMCError as error:
                self._failed, self.failure = version, str(error)
                raise
            return True

    def apply(self, changes: Sequence[Change]) -> list[Outcome | XMCError]:
        """Make changes in their order, save them as one version, and search that; their outcomes.

        One that cannot be made gets its error, and changes nothing.

        Raises:
            XMCError: When the index cannot be opened or saved; then none was made.
        """
        with self._turn, locked_folder(self.folder) as save:
            index, version, outcomes = self._changed(changes)
            if any(isinstance(outcome, Outcome) for outcome in outcomes):
                version = save(index)
            if version != self._current.version:
                self._publish(index, version)
            return outcomes

    def _changed(self, changes: Sequence[Change]) -> tuple[LabelIndex, str, list[Outcome | XMCError]]:
        failed: dict[int, XMCError] = {}
        while True:
            index, version = self._open()
            outcomes: list[Outcome | XMCError] = []
            for number, change in enumerate(changes):
                try:
                    outcomes.append(failed[number] if number in failed else apply_change(index, change))
                except XMCError as error:
                    outcomes.append(error)
                    failed[number] = error
                    if change.in_two_steps:
                        break  # perhaps after the first: begin again without it
            else:
                return index, version, outcomes

    def _open(self) -> tuple[LabelIndex, str]:
        return open_folder(self.folder, self._current.index.encoder, only=self._only)

    def _publish(self, index: LabelIndex, version: str) -> None:
        index.to(self._device)
        try:
            calibration = self._calibrations.of(index)
        except XMCError as error:  # the labels are there all the same, and may have been changed on disk
            _log.error("answers have no probabilities from here on: %s", error)
            calibration = None
        fresh = Snapshot(index, version, self._current.generation + 1, time.time(), calibration)
        fresh.search(["warm up"], 1)  # what is read, counted or copied at the first search
        self._current = fresh
        self.failure = self._failed = None
