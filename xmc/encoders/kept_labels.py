"""Vectors of a data set's labels by a tower that is not trained: encoded once, kept on disk, memory-mapped.

They are found by what decides them (texts, tokenizer, modules, weights), so that whoever asks for the same
vectors later, such as an index of the model that was trained, reads them instead of encoding again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from xmc.data import Dataset
from xmc.data.cache import user_cache, writable_folder
from xmc.encoders.module_digest import describe_modules, digest_weights
from xmc.errors import DataError
from xmc.files import atomic_folder, check_space, fingerprint
from xmc.progress import Bar
from xmc.received import reading

if TYPE_CHECKING:
    from xmc.encoders.dual_encoder import DualEncoder

__all__ = ["find_label_vectors", "keep_label_vectors"]

FOLDER = "label_vectors"
FILE = "vectors.npy"
CHUNK = 16_384


def keep_label_vectors(
    dataset: Dataset, encoder: DualEncoder, fields: Sequence[str] | None = None, *, progress: bool = True
) -> np.ndarray:
    """Vectors float32 [L, D] of all labels, read-only and memory-mapped; encoded where none are kept yet.

    In eval mode, without residuals. Where the data set's folder cannot be written the user's cache is taken.

    Args:
        dataset: Whose labels.
        encoder: Whose label tower.
        fields: Those that make a label's text; the data set's own when None.
        progress: Show a bar on stderr.

    Raises:
        DataError: When what is there is something else.
        XMCError: When the disk has no room for them.
    """
    found = find_label_vectors(dataset, encoder, fields)
    if found is not None:
        return found
    texts = dataset.texts("labels", fields)
    shape = (len(texts), encoder.dimension)
    path = writable_folder(dataset.path / FOLDER) / _name(dataset, encoder, fields)
    check_space(path, 4 * shape[0] * shape[1])
    with (
        atomic_folder(path, overwrite=True) as folder,
        Bar(len(texts), "label vectors", "text", shown=progress) as bar,
    ):
        written = np.lib.format.open_memmap(folder / FILE, "w+", np.float32, shape)
        for start in range(0, len(texts), CHUNK):
            part = list(texts[start : start + CHUNK])
            written[start : start + len(part)] = encoder.encode_labels(part)
            bar.update(len(part))
        written.flush()
    return _open(path, shape)


def find_label_vectors(
    dataset: Dataset, encoder: DualEncoder, fields: Sequence[str] | None = None
) -> np.ndarray | None:
    """As :func:`keep_label_vectors`, but None where they are not kept, or are not the model's label vectors.

    They are not where a table stands for the texts, a label has several texts, or vectors are truncated.

    Raises:
        DataError: When what is there is something else.
    """
    places = [dataset.path / FOLDER]
    if not os.access(dataset.path, os.W_OK):
        places.append(user_cache() / FOLDER)
    # Asked first, as their name takes a digest of all weights.
    if not any(place.is_dir() for place in places) or encoder.label_vectors is not None:
        return None
    if encoder.has_several_texts or encoder.truncated_to is not None:
        return None
    name = _name(dataset, encoder, fields)
    shape = (dataset.num_labels, encoder.dimension)
    return next((_open(place / name, shape) for place in places if (place / name / FILE).is_file()), None)


def _name(dataset: Dataset, encoder: DualEncoder, fields: Sequence[str] | None) -> str:
    tower = encoder.label_tower
    weights = digest_weights(tower.modules)
    texts = dataset.texts("labels", fields)
    return fingerprint(tower.fingerprint, describe_modules(tower.modules), weights, texts.fingerprint)


def _open(path: Path, shape: tuple[int, int]) -> np.ndarray:
    mend = "delete this folder to remake it"
    with reading(path, f"label vectors of the shape {shape}", mend):
        kept: np.ndarray = np.load(path / FILE, mmap_mode="r", allow_pickle=False)
    if kept.shape != shape or kept.dtype != np.float32:
        raise DataError(
            f"{path}: expected label vectors float32 {shape}, got {kept.dtype} {kept.shape}: {mend}"
        )
    return kept
