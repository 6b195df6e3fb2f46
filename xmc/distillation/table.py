"""Teachers' probabilities by row at random: the file unpacked into arrays that are mapped, not read."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from xmc.distillation.file import TeacherFile
from xmc.files import atomic_folder, check_space

__all__ = ["TeacherTable"]

_INT32 = 1 << 31


@dataclass(frozen=True, eq=False)
class TeacherTable:
    """What teachers say of n rows, in files: a slice of rows reads those rows alone.

    Attributes:
        probabilities: CSR float32 [n, L], of every candidate.
        brought: CSR bool [n, L], the candidates that are no positives of the row.
    """

    probabilities: sp.csr_matrix
    brought: sp.csr_matrix

    @classmethod
    def unpack(cls, folder: Path, teachers: TeacherFile, rows: np.ndarray, positives: sp.csr_matrix) -> None:
        """Write ``folder``, in place of an earlier one: a block of the file is in memory at a time.

        Args:
            folder: To be made.
            teachers: Of N rows.
            rows: [n] int64, ascending: those wanted.
            positives: CSR [n, L], their relevance.

        Raises:
            XMCError: When the disk has no room for it, or the file is damaged.
        """
        kind = np.dtype(np.int64 if teachers.num_pairs >= _INT32 else np.int32)
        check_space(folder, teachers.num_pairs * (2 * kind.itemsize + 5))
        starts, brought_starts = [np.zeros(1, dtype=kind)], [np.zeros(1, dtype=kind)]
        with atomic_folder(folder, overwrite=True) as temporary:
            names = ("labels", "probabilities", "brought", "ones")
            files = [open(temporary / f"{name}.bin", "wb") for name in names]  # noqa: SIM115
            try:
                for first, block in teachers.blocks():
                    low, high = np.searchsorted(rows, [first, first + block.shape[0]])
                    told = block[rows[low:high] - first]
                    apart = _without(told, positives[low:high])
                    parts = (told.indices.astype(kind), told.data, apart.indices.astype(kind), apart.data)
                    for file, values in zip(files, parts, strict=True):
                        file.write(np.ascontiguousarray(values).data)
                    starts.append((starts[-1][-1] + told.indptr[1:]).astype(kind))
                    brought_starts.append((brought_starts[-1][-1] + apart.indptr[1:]).astype(kind))
            finally:
                for file in files:
                    file.close()
            np.save(temporary / "starts.npy", np.concatenate(starts))
            np.save(temporary / "brought_starts.npy", np.concatenate(brought_starts))

    @classmethod
    def open(cls, folder: Path, num_labels: int) -> TeacherTable:
        """Map what :meth:`unpack` wrote; row pointers alone are in memory."""
        starts, brought = (np.load(folder / name) for name in ("starts.npy", "brought_starts.npy"))
        return cls(
            _mapped(folder / "labels.bin", folder / "probabilities.bin", np.float32, starts, num_labels),
            _mapped(folder / "brought.bin", folder / "ones.bin", np.bool_, brought, num_labels),
        )

    @staticmethod
    def remove(folder: Path) -> None:
        """Remove it, where it is there."""
        shutil.rmtree(folder, ignore_errors=True)


def _without(told: sp.csr_matrix, positives: sp.csr_matrix) -> sp.csr_matrix:
    """The candidates that are no positives: CSR bool."""
    owners = np.repeat(np.arange(told.shape[0], dtype=np.int64), np.diff(told.indptr))
    others = np.repeat(np.arange(told.shape[0], dtype=np.int64), np.diff(positives.indptr))
    own, theirs = owners * told.shape[1] + told.indices, others * told.shape[1] + positives.indices
    kept = ~np.isin(own, theirs)
    starts = np.append(0, np.cumsum(kept))[told.indptr]
    return sp.csr_matrix((np.ones(int(kept.sum()), dtype=bool), told.indices[kept], starts), shape=told.shape)


def _mapped(indices: Path, data: Path, kind: type, starts: np.ndarray, num_labels: int) -> sp.csr_matrix:
    matrix = sp.csr_matrix((len(starts) - 1, num_labels), dtype=kind)
    # Put in place as they are: the constructor would read all indices to choose their type, and copy them.
    matrix.indices, matrix.data, matrix.indptr = _map(indices, starts.dtype), _map(data, kind), starts
    return matrix


def _map(path: Path, kind: np.dtype | type) -> np.ndarray:
    # A file of nothing cannot be mapped.
    return np.memmap(path, kind, "r") if path.stat().st_size else np.empty(0, dtype=kind)
