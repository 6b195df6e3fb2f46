"""Teachers: a dual encoder, another system's file of predictions, a cross-encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from xmc.data import Dataset
from xmc.distillation.average import Said, log_softmax_within
from xmc.distillation.lists import ListTeacher
from xmc.encoders import DualEncoder
from xmc.errors import ConfigError
from xmc.files import fingerprint
from xmc.retrieval.offsets import learned_offsets
from xmc.scoring.pairs import gathered_products

__all__ = ["Asked", "CrossEncoderTeacher", "EncoderTeacher", "ListTeacher", "Teacher", "open_teacher"]

Split = Literal["train", "test"]
_SCORES = 1 << 24
"""Scores that are held at a time: 64 MB."""


class Asked(Protocol):
    """A teacher's view of some consecutive queries."""

    def proposed(self, top: int) -> NDArray[np.integer] | None:
        """Its ``top`` labels of each query, [n, k], -1 for none; None from one that proposes nothing."""
        ...

    def says(self, owners: NDArray[np.int64], labels: NDArray[np.int64]) -> Said:
        """Its probabilities of C candidates: their query, in ``range(n)``, and their label."""
        ...


class Teacher(Protocol):
    """What has probabilities of labels for a data set's queries."""

    name: str
    fingerprint: str
    """Of what decides its probabilities."""

    def ask(self, rows: slice, excluded: sp.csr_matrix | None) -> Asked:
        """Look at some queries of the split. ``excluded`` CSR [n, L]: pairs that have no probability."""
        ...


class EncoderTeacher:
    """A dual encoder: the softmax over all labels of its scores, over the temperature."""

    def __init__(
        self, model: DualEncoder, dataset: Dataset, split: Split = "train", *, name: str = "encoder",
        temperature: float = 1.0, progress: bool = False,
    ) -> None:  # fmt: skip
        """Encode all labels.

        Raises:
            ConfigError: When the model ranks by magnitude: its scores are no log probabilities.
        """
        if model.metadata.ranking != "score":
            raise ConfigError(
                f"{name}: expected a teacher that ranks labels by score, got one that ranks by "
                f"{model.metadata.ranking}, whose scores have no softmax"
            )
        if model.has_several_texts:
            raise ConfigError(
                f"{name}: expected a teacher of one text a label, got one that scores a label by the best of "
                "several: write its predictions to a file (xmc evaluate --predictions), and name that"
            )
        self.model, self.name, self.temperature = model, name, temperature
        self.texts = model.query_texts(dataset, split)
        self.scale = model.metadata.scale / temperature
        self.fingerprint = fingerprint("encoder", model.fingerprint, repr(model.metadata.scale))
        uids = dataset.uids("labels")
        labels = model.encode_labels(model.label_texts(dataset), uids=uids, progress=progress)
        self.labels = torch.from_numpy(labels)
        offsets = learned_offsets(model, uids)
        self.offsets = torch.zeros(len(uids)) if offsets is None else torch.from_numpy(offsets)

    def ask(self, rows: slice, excluded: sp.csr_matrix | None) -> Asked:
        """See :class:`Teacher`; the scores of some queries against all labels are in memory at a time."""
        return _AskedEncoder(self, torch.from_numpy(self.model.encode_queries(self.texts[rows])), excluded)


class _AskedEncoder:
    def __init__(
        self, teacher: EncoderTeacher, queries: torch.Tensor, excluded: sp.csr_matrix | None
    ) -> None:
        self.teacher, self.queries, self.excluded = teacher, queries, excluded
        self.log_partition: NDArray[np.float64] | None = None

    def proposed(self, top: int) -> NDArray[np.integer]:
        found, partitions = [], []
        step = max(1, _SCORES // len(self.teacher.labels))
        for start in range(0, len(self.queries), step):
            scores = self._scores(slice(start, start + step))
            partitions.append(torch.logsumexp(scores, 1))
            values, ids = scores.topk(min(top, scores.shape[1]), dim=1)
            found.append(ids.masked_fill(torch.isneginf(values), -1))
        self.log_partition = torch.cat(partitions).double().numpy()
        return np.asarray(torch.cat(found).numpy())

    def _scores(self, part: slice) -> torch.Tensor:
        scores = torch.addmm(self.teacher.offsets, self.queries[part], self.teacher.labels.T)
        scores *= self.teacher.scale
        if self.excluded is not None:
            pairs = self.excluded[part].tocoo()
            scores[torch.from_numpy(pairs.row).long(), torch.from_numpy(pairs.col).long()] = -torch.inf
        return scores

    def says(self, owners: NDArray[np.int64], labels: NDArray[np.int64]) -> Said:
        if self.log_partition is None:
            self.proposed(1)
        assert self.log_partition is not None
        columns = torch.from_numpy(labels)
        products = gathered_products(self.queries, torch.from_numpy(owners), self.teacher.labels, columns)
        scores = (products + self.teacher.offsets[columns]) * self.teacher.scale
        told = scores.numpy() - self.log_partition[owners]
        sums = np.bincount(owners, np.exp(told), minlength=len(self.queries))
        return Said(told, np.maximum(1 - sums, 0.0))


class CrossEncoderTeacher:
    """A cross-encoder of sentence-transformers: the softmax of its scores over a query's candidates.

    It proposes none. What it would leave to other labels it cannot say; see `Said.rest`.
    """

    def __init__(
        self, folder: str, dataset: Dataset, split: Split = "train", *, temperature: float = 1.0
    ) -> None:
        """Open a local folder.

        Raises:
            ModelError: When it cannot be opened.
        """
        from xmc.distillation.cross_encoder import open_cross_encoder

        self.model, self.name, self.temperature = open_cross_encoder(folder), folder, temperature
        self.fingerprint = fingerprint("cross-encoder", self.model.fingerprint)
        self.queries, self.labels = dataset.texts(split), dataset.texts("labels")

    def ask(self, rows: slice, excluded: sp.csr_matrix | None) -> Asked:
        """See :class:`Teacher`."""
        return _AskedCrossEncoder(self, self.queries[rows])


class _AskedCrossEncoder:
    def __init__(self, teacher: CrossEncoderTeacher, queries: Sequence[str]) -> None:
        self.teacher, self.queries = teacher, queries

    def proposed(self, top: int) -> None:
        return None

    def says(self, owners: NDArray[np.int64], labels: NDArray[np.int64]) -> Said:
        pairs = [
            (self.queries[owner], self.teacher.labels[label])
            for owner, label in zip(owners.tolist(), labels.tolist(), strict=True)
        ]
        scores = self.teacher.model.scores(pairs) / self.teacher.temperature
        return Said(log_softmax_within(scores, owners, len(self.queries)))


def open_teacher(
    place: str,
    dataset: Dataset,
    split: Split = "train",
    *,
    temperature: float = 1.0,
    lists: Literal["scores", "probabilities"] = "scores",
    progress: bool = False,
) -> Teacher:
    """The teacher at a place: a run or model folder, ``cross:FOLDER``, or predictions for ``split``.

    Args:
        place: Where.
        dataset: What is taught.
        split: Whose queries.
        temperature: What scores are divided by before their softmax.
        lists: Whether a file's numbers are scores, or probabilities.
        progress: Show bars on stderr.

    Raises:
        XMCError: When it is none of these, or does not fit the data set.
    """
    if place.startswith("cross:"):
        return CrossEncoderTeacher(place.removeprefix("cross:"), dataset, split, temperature=temperature)
    if Path(place).is_file():
        return ListTeacher(place, dataset, split, temperature=temperature, numbers=lists)
    model = DualEncoder.load(place)
    return EncoderTeacher(model, dataset, split, name=place, temperature=temperature, progress=progress)
