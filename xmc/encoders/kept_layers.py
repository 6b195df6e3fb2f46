"""What the frozen layers of a transformer give for known texts, in float16 on disk."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xmc.data.cache import writable_folder
from xmc.distributed.world import to_device
from xmc.encoders.frozen_layers import lower_parts, num_frozen
from xmc.encoders.micro_batches import gather_rows, pack_by_length
from xmc.encoders.model_fingerprint import Weights, digest
from xmc.encoders.text_groups import positions
from xmc.encoders.unpadded import embedded, layers_of, run_layers
from xmc.errors import DataError, ModelError
from xmc.files import atomic_folder, fingerprint
from xmc.progress import Bar

__all__ = ["KeptLayers", "lower_vectors", "open_or_build"]

_FORMAT_VERSION = 1
_BATCH_TOKENS = 2_048


class KeptLayers:
    """What the frozen layers give for texts that are kept on disk; for other texts it is computed.

    Args:
        model: With its frozen layers.
        folders: Made by :func:`open_or_build`.
        tokens: Of the texts of each folder: flat ids int32 [T] and offsets int64 [N + 1].
    """

    def __init__(self, model: Any, folders: list[Path], tokens: list[tuple[np.ndarray, np.ndarray]]) -> None:
        self.model, self.num_layers = model, num_frozen(model)
        self._vectors = [np.load(folder / "vectors.npy", mmap_mode="r") for folder in folders]
        self._places: dict[bytes, tuple[int, int]] = {}
        for number, (ids, offsets) in enumerate(tokens):
            for start, stop in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
                self._places[ids[start:stop].tobytes()] = (number, start)

    def __call__(self, ids: np.ndarray, lengths: np.ndarray) -> Tensor:
        """Token vectors float32 [t, H] after the frozen layers, of texts with ids [t] and lengths [n]."""
        flat, stops = ids.astype(np.int32, copy=False), np.cumsum(lengths)
        texts = [flat[stop - size : stop].tobytes() for stop, size in zip(stops, lengths, strict=True)]
        places = [self._places.get(text, (-1, 0)) for text in texts]
        file, start = np.repeat(np.array(places, dtype=np.int64), lengths, axis=0).T
        within = positions(lengths)
        out = np.empty((len(flat), self.model.config.hidden_size), dtype=np.float32)
        for number, vectors in enumerate(self._vectors):
            chosen = file == number
            out[chosen] = vectors[start[chosen] + within[chosen]]
        hidden = to_device(out, next(self.model.parameters()).device)
        missing = np.flatnonzero(file < 0)
        if len(missing):
            whole = lengths[np.array(places)[:, 0] < 0]
            computed = lower_vectors(self.model, self.num_layers, ids[missing], whole)
            hidden[to_device(missing, hidden.device)] = computed.float()
        return hidden


@torch.no_grad()
def lower_vectors(model: Any, count: int, ids: np.ndarray, lengths: np.ndarray) -> Tensor:
    """Token vectors [t, H] after the first ``count`` layers, of texts with the longest first."""
    return run_layers(layers_of(model)[:count], embedded(model, ids, lengths), lengths)


def open_or_build(
    folder: Path, model: Any, ids: np.ndarray, offsets: np.ndarray, *, description: str, progress: bool
) -> Path:
    """The folder that keeps, in float16, what the frozen layers give for N texts; made where it is not there.

    Its name tells the weights of those layers and the tokens, so that other runs find it. It takes 2 H bytes
    for each token.

    Args:
        folder: Holds one folder a name; the user's cache where it cannot be written.
        model: With frozen layers.
        ids: Flat token ids, int32 [T].
        offsets: int64 [N + 1].
        description: Of the progress bar.
        progress: Show it, on stderr.

    Raises:
        DataError: When what is there is of another shape.
        ModelError: When vectors are beyond float16.
    """
    name = fingerprint(_identity(model), hashlib.sha256(ids.tobytes() + offsets.tobytes()).hexdigest())
    path = folder / name
    if not (path / "meta.json").is_file():
        path = writable_folder(folder) / name
    if not (path / "meta.json").is_file():
        with atomic_folder(path, overwrite=True) as temporary:
            _build(temporary, model, ids, offsets, description, progress)
    wanted = (len(ids), int(model.config.hidden_size))
    try:
        found = np.load(path / "vectors.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected kept layers ({error}): delete this folder to remake it") from error
    if found.shape != wanted or found.dtype != np.float16:
        raise DataError(
            f"{path}: expected float16 vectors of shape {wanted}, got {found.dtype} of {found.shape}: delete "
            "this folder to remake it"
        )
    return path


def _build(
    folder: Path, model: Any, ids: np.ndarray, offsets: np.ndarray, description: str, progress: bool
) -> None:
    count, width = num_frozen(model), int(model.config.hidden_size)
    out = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.float16, (len(ids), width))
    filled = np.flatnonzero(np.diff(offsets))
    with Bar(len(filled), description, "text", shown=progress) as bar:
        for packed in pack_by_length(np.diff(offsets)[filled], _BATCH_TOKENS, padded=True):
            rows = filled[packed]
            part, starts = gather_rows(ids, offsets, rows)
            lengths = np.diff(starts)
            small = lower_vectors(model, count, part, lengths).cpu().numpy().astype(np.float16)
            if not np.isfinite(small).all():
                raise ModelError(
                    "encoder.frozen_cache: expected vectors that float16 holds, got some beyond it: leave it "
                    "out"
                )
            out[np.repeat(offsets[rows] - starts[:-1], lengths) + np.arange(len(part))] = small
            bar.update(len(rows))
    out.flush()
    meta = {"format_version": _FORMAT_VERSION, "num_tokens": len(ids), "width": width, "layers": count}
    (folder / "meta.json").write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")


def _identity(model: Any) -> str:
    """All that decides what the frozen layers give."""
    config = model.config
    # DistilBERT's norms have no setting, and its activation has another name.
    distilbert = config.model_type == "distilbert"
    kind = [config.activation] if distilbert else [config.hidden_act, config.layer_norm_eps]
    settings = [config.model_type, *kind, config.num_attention_heads]
    return fingerprint(
        json.dumps([_FORMAT_VERSION, *settings], default=str),
        digest(
            Weights(
                number, name, str(weight.dtype), tuple(weight.shape), weight.cpu().contiguous().numpy().data
            )
            for number, part in enumerate(lower_parts(model, num_frozen(model)))
            for name, weight in sorted(part.state_dict().items())
        ),
    )
