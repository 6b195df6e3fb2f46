"""New labels into an index that is there: their texts, and queries they are known to fit, and no training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.data import Dataset
from xmc.data.tables import Columns, TextOptions
from xmc.data.tables.clicks import read_clicks
from xmc.data.tables.labels import LabelTexts
from xmc.encoders import CutCount
from xmc.errors import ConfigError, DataError
from xmc.retrieval.label_index import LabelIndex
from xmc.retrieval.prototypes import DEFAULT_K0, blended_prototypes, support_prototypes

__all__ = ["Support", "add_labels", "read_support"]

_FIELDS = ("title", "content")


@dataclass(frozen=True, eq=False)
class Support:
    """N queries, and which of the n labels that are to be added each is known to have."""

    queries: Sequence[str]
    relevance: sp.csr_matrix
    """[N, n]; values other than 0 count alike."""
    num_positives: NDArray[np.integer]
    """[N], all labels of each query, those not among the n too."""


def add_labels(
    index: LabelIndex,
    texts: Sequence[str],
    uids: Sequence[str],
    support: Support | None = None,
    *,
    k0: float = DEFAULT_K0,
) -> NDArray[np.int64]:
    """Add labels and return their ids [n]; nothing is trained, and vectors that are there are not touched.

    A label's vector is its text's, blended with the mean of its support queries where it has any
    (`xmc.retrieval.prototypes`). Offsets are as `LabelIndex.add` gives them.

    Args:
        index: What to add to.
        texts: Of the labels [n].
        uids: Of the labels [n].
        support: Queries that the labels are known to fit.
        k0: How many support queries a text counts as; 0 leaves the text out where there are any.

    Raises:
        ConfigError: When k0 is negative, or support is of another number of labels.
        DataError: As `LabelIndex.add` does, or where text and queries of a label cancel out; nothing is added
            then.
        ModelError: When the index does not know where its model is.
    """
    if support is None:
        return index.add(texts, uids)
    if support.relevance.shape != (len(support.queries), len(texts)):
        raise ConfigError(
            f"expected support [{len(support.queries)}, {len(texts)}], a row a query and a column a label, "
            f"got {support.relevance.shape}"
        )
    if index.manifest.has_several_texts:
        raise ConfigError(
            "expected an index of one vector a label for labels with support, got one of several texts a "
            "label: add them without"
        )
    model = index.encoder
    normalised, cuts = index.manifest.normalised, CutCount()
    label_vectors = model.encode_labels(texts, cuts=cuts, uids=uids)
    cuts.warn("labels")
    used = np.flatnonzero(np.diff(support.relevance.indptr))
    if len(used):
        cuts = CutCount()
        queries = model.encode_queries([support.queries[row] for row in used.tolist()], cuts=cuts)
        cuts.warn("queries")
        means, counts = support_prototypes(
            queries,
            support.relevance[used],
            num_positives=support.num_positives[used],
            normalised=normalised,
        )
        label_vectors = blended_prototypes(label_vectors, means, counts, k0=k0, normalised=normalised)
    return index.add_vectors(label_vectors, texts, uids)


def read_support(
    source: str | Path,
    uids: Sequence[str],
    fields: Sequence[str] | None = None,
    *,
    columns: Columns | None = None,
) -> Support:
    """The support queries of a table of clicks (query, label), or of a prepared data set's training rows.

    Labels that are not among ``uids`` count as positives of their query, and are added to none.

    Args:
        source: The table, or the data set's folder.
        uids: Of the labels that are to be added; clicks name labels by them.
        fields: What of "title" and "content" the model reads of a query; when None all, or what the data set
            says.
        columns: Which columns of the table are what, where their names do not tell.

    Raises:
        ConfigError: When there is no such file or folder.
        DataError: When it is neither, or no query has one of the labels.
    """
    path, wanted = Path(source), len(uids)
    if not path.exists():
        raise ConfigError(f"expected a table or a prepared data set's folder, but {source} does not exist")
    if path.is_dir():
        dataset = Dataset.load(path)
        whole = dataset.relevance("train")
        queries: Sequence[str] = dataset.texts("train", fields)
        relevance = sp.csr_matrix(whole @ _selection(dataset.uids("labels"), uids))
    else:
        labels = LabelTexts("the labels to add")
        for uid in uids:
            labels.add(uid, uid)
        told = columns or Columns()
        clicks = read_clicks([path], labels, told, TextOptions(), unknown="add", progress=False)
        whole = clicks.relevance(len(labels))
        queries = [_joined(title, content, fields) for _, title, content in clicks.texts]
        relevance = sp.csr_matrix(whole[:, :wanted])
    if not relevance.nnz:
        raise DataError(
            f"{path}: expected queries with some of the {wanted:,} labels to add, got none: clicks name a "
            "label by its uid"
        )
    return Support(queries, relevance, np.diff(sp.csr_matrix(whole).indptr))


def _selection(have: Sequence[str], want: Sequence[str]) -> sp.csr_matrix:
    """[have, want], 1 where a uid is the same: a product with it picks columns."""
    place_of = {uid: place for place, uid in enumerate(want)}
    pairs = [(row, place_of[uid]) for row, uid in enumerate(have) if uid in place_of]
    rows, columns = zip(*pairs, strict=True) if pairs else ((), ())
    return sp.csr_matrix((np.ones(len(pairs), np.float32), (rows, columns)), shape=(len(have), len(want)))


def _joined(title: str, content: str, fields: Sequence[str] | None) -> str:
    parts = dict(zip(_FIELDS, (title, content), strict=True))
    return " ".join(filter(None, (parts[field] for field in fields or _FIELDS)))
