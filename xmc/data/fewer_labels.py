"""A data set without some of its labels: to train on where these are to be new to the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.data.copying import copy_labels, copy_rows
from xmc.data.dataset import Dataset
from xmc.data.manifest import SPLITS
from xmc.data.writer import DatasetWriter
from xmc.errors import ConfigError

__all__ = ["keep_labels", "without_unseen"]


def without_unseen(dataset: Dataset | str | Path, out: str | Path, *, overwrite: bool = False) -> Dataset:
    """The data set without its unseen labels (see `keep_labels`): a model trained on it has never met them.

    A model trained on what `xmc.data.unseen_labels.split_labels` writes has no positives of the unseen
    labels, but it ranks them against every query and learns that none wants them.

    Raises:
        ConfigError: When no labels are held out of training.
        DataError: When ``dataset`` is no prepared data set.
        XMCError: When ``out`` is taken.
    """
    dataset = dataset if isinstance(dataset, Dataset) else Dataset.load(dataset)
    if not len(dataset.unseen_labels):
        raise ConfigError(
            f"expected a data set with labels held out of training, {dataset.name} has none: make one with "
            "xmc data split-labels"
        )
    stays = np.ones(dataset.num_labels, dtype=bool)
    stays[dataset.unseen_labels] = False
    return keep_labels(dataset, out, stays, overwrite=overwrite)


def keep_labels(
    dataset: Dataset,
    out: str | Path,
    stays: NDArray[np.bool_],
    *,
    train: NDArray[np.bool_] | None = None,
    name: str | None = None,
    overwrite: bool = False,
) -> Dataset:
    """Write a data set of the labels that stay, and of the rows of both splits that have one of them.

    Labels keep their uids and get ids without gaps; filter pairs of what stays are kept.

    Args:
        dataset: A prepared data set.
        out: Folder to make.
        stays: [L].
        train: [N], training rows that may stay; all when None.
        name: Of the data set that is written; the same when None.
        overwrite: Replace the prepared data set at ``out``.

    Raises:
        XMCError: When ``out`` is taken.
    """
    writer = DatasetWriter(
        out,
        name=name or dataset.name,
        propensity=dataset.propensity,
        sources=[
            {"labels": int(stays.sum()), "of": dataset.num_labels, "from": dataset.fingerprint},
            *dataset.manifest.sources,
        ],
        query_fields=dataset.manifest.query_fields,
        label_fields=dataset.manifest.label_fields,
        overwrite=overwrite,
    )
    writer.query_columns = dataset.manifest.query_columns
    with writer:
        copy_labels(dataset, writer, stays)
        for split in SPLITS:
            relevance = sp.csr_matrix(dataset.relevance(split)[:, stays])
            keep = relevance.getnnz(axis=1) > 0
            if split == "train" and train is not None:
                keep &= train
            excluded = dataset.filter(split)
            copy_rows(
                dataset,
                split,
                writer,
                relevance=relevance,
                excluded=None if excluded is None else sp.csr_matrix(excluded[:, stays]),
                keep=keep,
            )
    return Dataset.load(out)
