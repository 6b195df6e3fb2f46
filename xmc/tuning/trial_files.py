"""What trials say of held-out rows, on disk, where a fit that was cut short finds it again."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from xmc.data.npz import check_npz
from xmc.files import atomic_file, fingerprint
from xmc.prediction.calibration import Calibration
from xmc.received import reading
from xmc.tuning.held_out import HeldOut, Learned

__all__ = ["TrialFiles"]

_CHOSEN = "chosen"


class TrialFiles:
    """The rankings and calibrations of trials by the names of their changes, in a folder of their own.

    Args:
        folder: Made when first needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, name: str, fold: int, held_out: HeldOut | None, calibration: Calibration | None) -> None:
        """Keep what a trial left, either of which may be missing.

        Raises:
            XMCError: When the disk is full.
        """
        if calibration is not None:
            calibration.save(self._calibration(name, fold))
        if held_out is not None:
            with atomic_file(self._place(name, fold, ".npz")) as path, open(path, "wb") as file:
                np.savez(file, **_arrays(held_out))

    def held_out(self, name: str) -> list[HeldOut]:
        """The rankings of a candidate, fold by fold.

        Raises:
            DataError: When a file is damaged.
        """
        found = []
        for path in sorted(self.folder.glob(f"{_short(name)}-*.npz")):
            with reading(path, "what a trial of xmc fit left", "remove the folder and fit again"):
                check_npz(path)
                with np.load(path, allow_pickle=False) as arrays:
                    found.append(_held_out(arrays))
        return found

    def calibration(self, name: str) -> Calibration | None:
        """That of the first fold that has one."""
        paths = sorted(self.folder.glob(f"{_short(name)}-*.json"))
        return Calibration.load(paths[0]) if paths else None

    def settle(self, model: Calibration | None, index: Calibration | None) -> None:
        """Keep the calibrations of what was chosen, for the model and for its index."""
        for number, calibration in enumerate((model, index)):
            if calibration is not None:
                calibration.save(self._calibration(_CHOSEN, number))

    def settled(self) -> tuple[Calibration | None, Calibration | None]:
        """What :meth:`settle` kept."""
        paths = [self._calibration(_CHOSEN, number) for number in range(2)]
        model, index = (Calibration.load(path) if path.is_file() else None for path in paths)
        return model, index

    def remove(self) -> None:
        """Once they have served."""
        if self.folder.is_dir():
            shutil.rmtree(self.folder)

    def _place(self, name: str, fold: int, ending: str) -> Path:
        return self.folder / f"{_short(name)}-{fold:03d}{ending}"

    def _calibration(self, name: str, fold: int) -> Path:
        return self._place(name, fold, ".json")


def _short(name: str) -> str:
    return fingerprint(name)


def _arrays(held_out: HeldOut) -> dict[str, Any]:
    """As arrays of numbers alone; rows that a trial's model did not rank are not kept twice."""
    arrays: dict[str, Any] = {
        "rows": held_out.rows,
        "ids": held_out.lists[0],
        "scores": held_out.lists[1],
        "near_ids": held_out.near[0],
        "near_scores": held_out.near[1],
        "voters": held_out.voters,
        "near_seconds": np.float64(held_out.near_seconds),
        "counts": np.array([count for count, _ in held_out.learned], dtype=np.int64),
    }
    if held_out.apart is not None:
        apart = sp.csr_matrix(held_out.apart)
        arrays |= {"apart_indices": apart.indices, "apart_indptr": apart.indptr, "apart_shape": apart.shape}
    for number, (_, learned) in enumerate(held_out.learned):
        ranked = np.flatnonzero((learned.confused >= 0).any(axis=1))
        arrays |= {
            f"learned_{number}": learned.rows,
            f"ranked_{number}": ranked,
            f"confused_{number}": learned.confused[ranked].astype(np.int32),
        }
    return arrays


def _held_out(arrays: Any) -> HeldOut:
    apart = None
    if "apart_indptr" in arrays:
        indices, indptr = arrays["apart_indices"], arrays["apart_indptr"]
        height, width = arrays["apart_shape"].tolist()
        ones = np.ones(len(indices), dtype=np.bool_)
        apart = sp.csr_matrix((ones, indices, indptr), shape=(height, width))
    learned = []
    for number, count in enumerate(arrays["counts"].tolist()):
        rows, some = arrays[f"learned_{number}"], arrays[f"confused_{number}"]
        confused = np.full((len(rows), some.shape[1]), -1, dtype=np.int64)
        confused[arrays[f"ranked_{number}"]] = some
        learned.append((int(count), Learned(rows, confused)))
    return HeldOut(
        arrays["rows"],
        (arrays["ids"], arrays["scores"]),
        (arrays["near_ids"], arrays["near_scores"]),
        arrays["voters"],
        float(arrays["near_seconds"]),
        apart,
        tuple(learned),
    )
