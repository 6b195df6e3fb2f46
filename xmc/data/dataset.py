"""A prepared data set on disk, opened lazily."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from xmc.data.arrow_rows import ArrowRows
from xmc.data.label_texts import SeveralTexts
from xmc.data.manifest import SPLITS, TABLES, UNSEEN_NAME, Manifest, check_choice, chosen_fields
from xmc.data.propensity import Propensity
from xmc.data.relevance import load_matrix
from xmc.data.texts import TextColumn, open_table
from xmc.errors import DataError
from xmc.files import sha256_file
from xmc.received import check_inside, read_json, reading

__all__ = ["Dataset"]


class Dataset:
    """Texts, relevance and filters of N training rows, N test rows and L labels. Open with :meth:`load`."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self._tables: dict[str, ArrowRows] = {}
        self._matrices: dict[str, sp.csr_matrix] = {}

    @classmethod
    def load(cls, path: str | Path) -> Dataset:
        """Open the prepared data set in the folder ``path``; texts and matrices are read when asked for.

        Raises:
            DataError: When the folder is no prepared data set, is of another format version, or a file has
                another size than it was written with.
        """
        path = Path(path)
        manifest = Manifest.read(path)
        for name, facts in manifest.files.items():
            file = path / name
            size = file.stat().st_size if file.is_file() else None
            if size != facts["bytes"]:
                came = "no such file" if size is None else f"{size} bytes"
                raise DataError(f"{file}: expected {facts['bytes']} bytes, found {came}: import it again")
            with reading(file, "a file of the data set"):
                check_inside(file, path)
        return cls(path, manifest)

    def __repr__(self) -> str:
        """Name and counts."""
        counts = f"train={self.num_train}, test={self.num_test}, labels={self.num_labels}"
        return f"Dataset({self.name!r}, {counts})"

    @property
    def name(self) -> str:
        """Of the data set, as given when it was made."""
        return self.manifest.name

    @property
    def num_labels(self) -> int:
        """L."""
        return self.manifest.num_labels

    @property
    def num_train(self) -> int:
        """Training rows, those without labels included."""
        return self.manifest.num_train

    @property
    def num_test(self) -> int:
        """Test rows, those without labels included."""
        return self.manifest.num_test

    @property
    def propensity(self) -> Propensity:
        """Constants A and B of the propensity-scored metrics."""
        return self.manifest.propensity

    @property
    def ceiling(self) -> dict[str, float]:
        """The best that any system can expect on the test rows, in percent by metric; empty when unknown."""
        return dict(self.manifest.ceiling)

    @property
    def fingerprint(self) -> str:
        """Names texts, relevance and filters."""
        return self.manifest.fingerprint

    @property
    def label_fingerprint(self) -> str:
        """Names the labels' uids and texts, in order."""
        return self.manifest.text_fingerprints["labels"]

    def texts(self, split: str, fields: str | Sequence[str] | None = None) -> TextColumn:
        """The texts of "train", "test" or "labels": [N] or [L] strings, read from disk as asked.

        Args:
            split: Which table.
            fields: Some of "title", "content", joined by a space; default as ``dataset.json`` says.

        Raises:
            ConfigError: For an unknown split or field.
        """
        check_choice("split", split, TABLES)
        if fields is None:
            fields = self.manifest.label_fields if split == "labels" else self.manifest.query_fields
        return self._column(split, chosen_fields("fields", fields))

    def label_texts(
        self, fields: str | Sequence[str] | None = None, split: str = "joint"
    ) -> TextColumn | SeveralTexts:
        """The texts of the labels, [L] strings: one text each, or several as lines of the string.

        Args:
            fields: As of :meth:`texts`.
            split: "joint" (one text), "fields" or "lines"; see `xmc.data.label_texts`.

        Raises:
            ConfigError: For an unknown field or split.
        """
        joint = self.texts("labels", fields)
        if split == "joint":
            return joint
        return SeveralTexts(
            [self.texts("labels", [field]) for field in joint.fields], split, joint.fingerprint
        )

    def uids(self, split: str) -> Sequence[str]:
        """The uids of "train", "test" or "labels", in order."""
        check_choice("split", split, TABLES)
        return self._column(split, ["uid"])

    def relevance(self, split: str) -> sp.csr_matrix:
        """float32 CSR [N, L]: indices sorted, no duplicates, no stored zeros. Shared: do not change it."""
        check_choice("split", split, SPLITS)
        matrix = self._matrix(f"{split}.npz", self._num_rows(split))
        if matrix.dtype != np.float32:
            raise DataError(f"{self.path / split}.npz: expected float32, got {matrix.dtype}: import it again")
        return matrix

    def filter(self, split: str) -> sp.csr_matrix | None:
        """CSR [N, L] of bool: the pairs to leave out of the ranking, or None when there are none."""
        check_choice("split", split, SPLITS)
        name = f"filter_{split}.npz"
        return self._matrix(name, self._num_rows(split)) if name in self.manifest.files else None

    @cached_property
    def unseen_labels(self) -> np.ndarray:
        """Labels held out of training on purpose (``xmc data split-labels``): int64 [n], ascending."""
        if UNSEEN_NAME not in self.manifest.files:
            return np.zeros(0, dtype=np.int64)
        with reading(self.path / UNSEEN_NAME, "a list of label uids", "import it again"):
            uids = read_json(self.path / UNSEEN_NAME)
            if not isinstance(uids, list) or not all(isinstance(uid, str) for uid in uids):
                raise ValueError(f"it holds {uids!r:.80}")
        # Not as an array of texts, which takes the longest uid's length for each.
        held_out = set(uids)
        return np.flatnonzero([uid in held_out for uid in self.uids("labels")]).astype(np.int64)

    def verify(self) -> None:
        """Read every file and compare its SHA-256.

        Raises:
            DataError: Naming the first file that changed.
        """
        for name, facts in self.manifest.files.items():
            if (digest := sha256_file(self.path / name)) != facts["sha256"]:
                wanted = facts["sha256"]
                raise DataError(
                    f"{self.path / name}: expected SHA-256 {wanted}, got {digest}: import it again"
                )

    @cached_property
    def rows_without_labels(self) -> int:
        """Training rows that have no label, so are never trained on."""
        return int((np.diff(self.relevance("train").indptr) == 0).sum())

    def _num_rows(self, split: str) -> int:
        return self.num_train if split == "train" else self.num_test

    def _column(self, split: str, fields: Sequence[str]) -> TextColumn:
        file = f"{split}.parquet"
        if split not in self._tables:
            table = open_table(self.path / file, self.manifest.files[file]["sha256"])
            wanted = self.num_labels if split == "labels" else self._num_rows(split)
            if len(table) != wanted:
                raise DataError(
                    f"{self.path / file}: expected {wanted} texts, got {len(table)}: import it again"
                )
            self._tables[split] = table
        return TextColumn(self._tables[split], fields, self.manifest.text_fingerprints[split])

    def _matrix(self, name: str, num_rows: int) -> sp.csr_matrix:
        if name not in self._matrices:
            matrix = load_matrix(self.path / name)
            if matrix.shape != (num_rows, self.num_labels):
                shapes = f"[{num_rows}, {self.num_labels}], got {list(matrix.shape)}"
                raise DataError(f"{self.path / name}: expected a matrix {shapes}: import it again")
            if not (np.isfinite(matrix.data) & (matrix.data > 0)).all():
                raise DataError(f"{self.path / name}: expected finite values above 0: import it again")
            self._matrices[name] = matrix
        return self._matrices[name]
