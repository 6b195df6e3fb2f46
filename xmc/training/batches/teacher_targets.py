"""What teachers say of a batch's queries, and the candidates that queries therefore bring to their pool."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from xmc.distillation.file import TeacherFile
from xmc.distillation.table import TeacherTable
from xmc.distributed import World, from_main
from xmc.errors import ConfigError
from xmc.training.batches.source import BatchSource

__all__ = ["TeacherTargets", "columns_of"]

FOLDER = "teachers"


class TeacherTargets(BatchSource):
    """Brings the teachers' candidates of each query to its batch, with their probabilities.

    The file is unpacked into the run's folder when the first batch is asked for, and read from there by rows:
    no process holds all of it. Candidates that are no positives are what a query brings, so that pools know
    their chances as they know those of mined labels.
    """

    name = "teachers"

    def __init__(
        self, teachers: TeacherFile, queries: np.ndarray, positives: sp.csr_matrix, world: World, folder: Path
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            teachers: Of all training rows.
            queries: [n] int64, ascending: the rows that batches are drawn from.
            positives: CSR [n, L], their relevance.
            world: The ranks, of which the main one unpacks for all.
            folder: The run's, which every rank can read.
        """
        self.teachers, self.queries, self.positives = teachers, queries, positives
        self.world, self.folder = world, folder / FOLDER
        self._table: TeacherTable | None = None

    @property
    def table(self) -> TeacherTable:
        """What the file says of the queries trained on; unpacked when first asked for, by all ranks."""
        if self._table is None:
            unpack = partial(TeacherTable.unpack, self.folder, self.teachers, self.queries, self.positives)
            from_main(unpack, self.world)
            self._table = TeacherTable.open(self.folder, self.teachers.facts.num_labels)
        return self._table

    def brought(self, epoch: int) -> sp.csr_matrix:
        """The candidates that are no positives: CSR bool [n, L], in files."""
        return self.table.brought

    def targets(self, queries: np.ndarray) -> sp.csr_matrix:
        """Probabilities: CSR float32 [B, L]; an empty row for a label that is a query of itself."""
        places = np.minimum(np.searchsorted(self.queries, queries), len(self.queries) - 1)
        known = np.flatnonzero(self.queries[places] == queries)
        told: sp.csr_matrix = self.table.probabilities[places[known]]
        if len(known) == len(queries):
            return told
        spread = (np.ones(len(known), dtype=np.float32), (known, np.arange(len(known))))
        return sp.csr_matrix(sp.csr_matrix(spread, shape=(len(queries), len(known))) @ told)

    def state_dict(self) -> dict[str, Any]:
        """Which teachers' file it was, without its place."""
        return {"fingerprint": self.teachers.facts.fingerprint}

    def load(self, state: dict[str, Any], tensors: dict[str, Any]) -> None:
        """Refuse another file than the run began with.

        Raises:
            ConfigError: When its teachers, candidates or data set are others.
        """
        began, now = state.get("fingerprint"), self.teachers.facts.fingerprint
        if began not in (None, now):
            raise ConfigError(
                f"distillation.teachers: expected the file that the run began with ({began}), got another "
                f"({now}): resume with that file, or train anew in another folder"
            )

    def close(self) -> None:
        """Remove the unpacked file."""
        self._table = None
        if self.world.is_main:
            TeacherTable.remove(self.folder)


def columns_of(targets: sp.csr_matrix, label_ids: np.ndarray) -> sp.csr_matrix:
    """``targets[:, label_ids]`` for ascending ids [n] among which all its labels are: CSR [B, n].

    Raises:
        ConfigError: When a label of the targets is not among them.
    """
    places = np.minimum(np.searchsorted(label_ids, targets.indices), len(label_ids) - 1)
    if (missing := label_ids[places] != targets.indices).any():
        raise ConfigError(
            f"expected targets of labels that the pool holds, got {int(missing.sum())} of others: a source "
            "brings the labels that it gives targets for"
        )
    shape = (targets.shape[0], len(label_ids))
    return sp.csr_matrix((targets.data, places, targets.indptr), shape=shape)
