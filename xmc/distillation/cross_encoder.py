"""Cross-encoders of sentence-transformers, from local folders without code of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xmc.errors import ModelError
from xmc.files import fingerprint, sha256_file
from xmc.received import check_folder, reading

__all__ = ["CrossEncoderModel", "open_cross_encoder"]


class CrossEncoderModel:
    """Scores of pairs of texts, before any activation."""

    def __init__(self, folder: Path) -> None:
        from sentence_transformers import CrossEncoder
        from torch import nn

        expected = "a cross-encoder of sentence-transformers"
        check_folder(folder, expected, ModelError)
        with reading(folder, expected, error=ModelError):
            self._model = CrossEncoder(
                str(folder), local_files_only=True, model_kwargs={"use_safetensors": True}
            )
            if self._model.num_labels != 1:
                raise ValueError(f"it has {self._model.num_labels} outputs, expected 1")
        self._identity = nn.Identity()
        files = [
            path for path in sorted(folder.rglob("*")) if path.suffix in (".json", ".safetensors", ".txt")
        ]
        self.fingerprint = fingerprint(*(f"{path.name} {sha256_file(path)}" for path in files))

    def scores(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
        """[n], of query and label."""
        if not pairs:
            return np.zeros(0)
        found = self._model.predict(list(pairs), activation_fn=self._identity, show_progress_bar=False)
        return np.asarray(found, dtype=np.float64)


def open_cross_encoder(folder: str | Path) -> CrossEncoderModel:
    """Open a local folder.

    Raises:
        ModelError: When there is none, or it is no cross-encoder with one output.
    """
    path = Path(folder)
    if not path.is_dir():
        raise ModelError(f"expected the folder of a cross-encoder, found none at {path}")
    return CrossEncoderModel(path)
