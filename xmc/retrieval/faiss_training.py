"""Trains FAISS indexes so that they rank by the inner product, and says once what FAISS says many times."""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmc.counted import counted
from xmc.errors import ConfigError
from xmc.retrieval.faiss_module import import_faiss

__all__ = ["check_inner_product", "faiss_reason", "parts_of", "train_index"]

_log = logging.getLogger(__name__)

_FEW = re.compile(rb"WARNING clustering (\d+) points to \d+ centroids: please provide at least (\d+) .*\n?")


def parts_of(index: Any) -> list[Any]:
    """An index and all it is wrapped around, outermost first, each as its own class."""
    faiss = import_faiss()
    parts = [faiss.downcast_index(index)]
    while True:
        last = parts[-1]
        if isinstance(last, faiss.IndexRefine):
            parts.append(faiss.downcast_index(last.base_index))
        elif isinstance(last, (faiss.IndexPreTransform, faiss.IndexIDMap)):
            parts.append(faiss.downcast_index(last.index))
        else:
            return parts


def check_inner_product(index: Any, factory: str) -> None:
    """Refuse an index that ranks by anything but the inner product of the vectors it is given.

    A rotation, a projection (PCA, OPQ, RR) and padding keep it; normalising, centring and whitening do not.

    Raises:
        ConfigError: Naming the part.
    """
    faiss = import_faiss()
    for part in parts_of(index):
        if part.metric_type != faiss.METRIC_INNER_PRODUCT:
            raise ConfigError(f"expected an index that ranks by the inner product, {factory!r} does not")
        for transform in _transforms(part):
            kept = isinstance(transform, (faiss.RemapDimensionsTransform, faiss.LinearTransform))
            if not kept or (isinstance(transform, faiss.PCAMatrix) and transform.eigen_power != 0):
                raise ConfigError(
                    f"expected an index that ranks by the inner product, but the {type(transform).__name__} "
                    f"of {factory!r} changes it: leave out L2norm, ITQ and PCAW (embeddings are normalised "
                    "by the model where it was trained so); Flat, PCA, OPQ, IVF, HNSW, PQ and SQ keep it"
                )


def train_index(index: Any, vectors: NDArray[np.float32], factory: str) -> None:
    """Train an index that needs it, on vectors [n, D].

    PCA's centring is taken out again, which makes of an inner product another one: ``(q - m).(e - m)``.

    Raises:
        ConfigError: When there are too few vectors for what the factory string asks.
    """
    if index.is_trained:
        return
    try:
        with _said_once(factory):
            _train(index, np.ascontiguousarray(vectors, dtype=np.float32))
    except RuntimeError as error:
        raise ConfigError(
            f"{counted(len(vectors), 'label is', 'labels are')} too few to train the index {factory!r} "
            f"({faiss_reason(error)}): use Flat, or fewer lists or codes"
        ) from error


def _train(index: Any, vectors: NDArray[np.float32]) -> None:
    faiss = import_faiss()
    part = faiss.downcast_index(index)
    if isinstance(part, faiss.IndexPreTransform):
        for transform in _transforms(part):
            if not transform.is_trained:
                transform.train(vectors)
            if isinstance(transform, faiss.PCAMatrix):
                # Before what comes behind it is trained, which must see the vectors it will hold.
                faiss.copy_array_to_vector(np.zeros(transform.d_out, dtype=np.float32), transform.b)
            vectors = transform.apply(vectors)
    if isinstance(part, faiss.IndexRefine):
        _train(part.base_index, vectors)
        part.refine_index.train(vectors)
    elif isinstance(part, (faiss.IndexPreTransform, faiss.IndexIDMap)):
        _train(part.index, vectors)
    elif not part.is_trained:
        if isinstance(part, (faiss.IndexPQ, faiss.IndexIVFPQ)):
            # It orders the codes for a search that nothing here asks for, and takes minutes.
            part.do_polysemous_training = False
        part.train(vectors)
    index.is_trained = part.is_trained = True


def _transforms(part: Any) -> list[Any]:
    faiss = import_faiss()
    if not isinstance(part, faiss.IndexPreTransform):
        return []
    return [faiss.downcast_VectorTransform(part.chain.at(i)) for i in range(part.chain.size())]


@contextmanager
def _said_once(factory: str) -> Iterator[None]:
    """Hold back what FAISS writes to the terminal, a line for each code book, and log its sense in one."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as written:
        terminal = os.dup(2)
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            written.seek(0)
            said = written.read()
            os.write(2, _FEW.sub(b"", said))
            few = [(int(need), int(have)) for have, need in _FEW.findall(said)]
            if few:
                need, have = max(few)
                _log.warning(
                    "the index %s was trained on %s, and FAISS recommends %s at least for its lists "
                    "or codes: Flat is exact, and fewer lists or shorter codes need fewer labels",
                    *(factory, counted(have, "label"), f"{need:,}"),
                )


def faiss_reason(error: RuntimeError) -> str:
    """The last clause of FAISS's message, without the C++ file and line before it."""
    text = re.sub(r"^Error in .* at \S+:\d+: ", "", " ".join(str(error).split()))
    return text.rpartition("failed: ")[2] or text
