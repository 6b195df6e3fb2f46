"""The checksums of an index's files, begun before what opens it is imported, which takes as long."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from xmc.encoders.model_files import KNOWN_MODEL, digested_files
from xmc.encoders.resolve import resolve_model
from xmc.errors import XMCError
from xmc.hashing import sha256_ahead
from xmc.received import check_name, read_json
from xmc.retrieval.generations import POINTER, current_generation

__all__ = ["checksums_ahead"]

_FIRST = "index.faiss"
"""Nothing of it is read before it is known to be whole."""


def checksums_ahead(
    places: Sequence[str], *, with_models: bool = True, with_runs: bool = False
) -> AbstractContextManager[None]:
    """Begin the checksums that opening indexes takes in the block, in threads.

    Args:
        places: Those of indexes among these words; others are passed over, as are damaged ones: whoever
            opens them says what is wrong.
        with_models: Also the files of their models, where a digest is known that they should have.
        with_runs: Also those of the models of runs among the words, where one is known (`xmc.reports`).
    """
    files: list[Path] = []
    for place in dict.fromkeys(places):
        try:
            if (Path(place) / POINTER).is_file():
                files += _files_of(Path(place), with_models)
            elif with_runs and (Path(place) / KNOWN_MODEL).is_file():
                files += digested_files(resolve_model(place))
        except (XMCError, OSError, ValueError, RecursionError):
            continue
    return sha256_ahead(sorted(files, key=lambda file: (file.name != _FIRST, -os.path.getsize(file))))


def _files_of(index: Path, with_model: bool) -> list[Path]:
    folder = index / current_generation(index)
    manifest = read_json(folder / "manifest.json")
    if not isinstance(manifest, dict) or not isinstance(manifest.get("checksums"), dict):
        return []
    files = [folder / check_name(name) for name in manifest["checksums"]]
    model = manifest.get("model")
    if with_model and manifest.get("model_files") and isinstance(model, str):
        beside = Path(os.path.normpath(index.absolute() / model))
        if beside.is_dir():  # a name would be looked for in the hub
            files += digested_files(resolve_model(beside))
    return [file for file in files if file.is_file()]
