"""Holds labels out of training entirely, to measure how a model finds labels that it has never been shown."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from xmc.counted import agreeing, counted
from xmc.data.copying import copy_labels, copy_rows
from xmc.data.dataset import Dataset
from xmc.data.text_keys import check_share, drawn
from xmc.data.writer import DatasetWriter
from xmc.errors import ConfigError

__all__ = ["split_labels"]

_log = logging.getLogger(__name__)

_MOST_OF = 0.9
"""Of the labels that a share asks for: that many are had but for chance, and fewer are told."""


def split_labels(
    dataset: Dataset | str | Path,
    out: str | Path,
    *,
    unseen: float,
    seed: int = 0,
    overwrite: bool = False,
) -> Dataset:
    """Write a data set in which a share of the labels has no training row.

    They are drawn among the labels that have training rows, each by a hash of its uid and the seed, so that
    a label keeps its side as data grow. A training row loses its unseen labels; one that has no others is
    left out, text and all. Test rows, filters, labels and their ids stay as they are: unseen labels are
    ranked among all others, and ``Dataset.unseen_labels`` names them, with those of a split before.

    Args:
        dataset: A prepared data set, or its folder.
        out: Folder to make.
        unseen: Share of the labels.
        seed: Another seed draws others.
        overwrite: Replace the prepared data set at ``out``.

    Raises:
        ConfigError: When the share is not between 0 and 1, fewer than two labels have training rows, no test
            row has an unseen label, or no training row would be left.
        DataError: When ``dataset`` is no prepared data set.
        XMCError: When ``out`` is taken.
    """
    check_share("unseen", unseen)
    dataset = dataset if isinstance(dataset, Dataset) else Dataset.load(dataset)
    train, test = dataset.relevance("train"), dataset.relevance("test")
    trained = np.flatnonzero(np.bincount(train.indices, minlength=dataset.num_labels))
    uids = dataset.uids("labels")[:]
    held_out = trained[drawn((uids[int(label)] for label in trained), unseen, seed)]
    seen = np.ones(dataset.num_labels, dtype=np.float32)
    seen[held_out] = 0.0
    left = sp.csr_matrix(train @ sp.diags(seen))
    left.eliminate_zeros()
    left.sort_indices()
    # Rows that had no label before are kept, as they are in the data set given.
    keep = (left.getnnz(axis=1) > 0) | (train.getnnz(axis=1) == 0)
    tested = int(np.isin(test.indices, held_out).sum())
    if not left.nnz or not tested:
        lack = "training row" if not left.nnz else "test row with an unseen label"
        raise ConfigError(f"unseen: expected to leave a {lack}, got none: take another share or seed")
    writer = DatasetWriter(
        out,
        name=dataset.name,
        propensity=dataset.propensity,
        sources=[{"unseen": unseen, "seed": seed, "from": dataset.fingerprint}, *dataset.manifest.sources],
        query_fields=dataset.manifest.query_fields,
        label_fields=dataset.manifest.label_fields,
        overwrite=overwrite,
    )
    writer.query_columns = dataset.manifest.query_columns
    with writer:
        copy_labels(dataset, writer)
        copy_rows(dataset, "train", writer, relevance=left, keep=keep)
        copy_rows(dataset, "test", writer)
        # With those of an earlier split, which have no training row either.
        writer.unseen_labels = [uids[label] for label in np.union1d(dataset.unseen_labels, held_out)]
    _log.info(
        "%s: %s of %s held out of training, with %s no others; %s of %s of the test rows %s theirs",
        *(dataset.name, f"{len(held_out):,}", counted(dataset.num_labels, "label")),
        counted(int((~keep).sum()), "training row that has", "training rows that have"),
        *(f"{tested:,}", counted(test.nnz, "pair"), agreeing(tested, "is", "are")),
    )
    asked = round(unseen * len(trained))
    if len(held_out) < _MOST_OF * asked:
        _log.warning(
            "%s held out, fewer than the %s that are a share of %s of the %s labels with training "
            "rows: each is drawn by a hash of its uid, so that it stays on its side as data grow; another "
            "seed draws others",
            *(counted(len(held_out), "label"), f"{asked:,}", f"{unseen:g}", f"{len(trained):,}"),
        )
    return Dataset.load(out)
