"""The model of a run by its name: known by the bytes of its files where it was read before."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xmc.encoders.metadata import EncoderMetadata
from xmc.encoders.model_files import KNOWN_MODEL, digest_in_background
from xmc.encoders.resolve import resolve_model
from xmc.errors import XMCError
from xmc.files import atomic_file
from xmc.received import read_json

if TYPE_CHECKING:
    from xmc.encoders import DualEncoder

__all__ = ["RunModel", "run_model"]


@dataclass(frozen=True, eq=False)
class RunModel:
    """What a ranking that a run keeps must fit."""

    fingerprint: str
    metadata: EncoderMetadata
    opened: DualEncoder | None = None
    """The model, where it was read whole to learn its name."""


def run_model(run: str | Path) -> RunModel:
    """The fingerprint and the metadata of a run's model.

    Learning the fingerprint reads all that a model holds, which takes seconds. It is kept in the run's folder
    beside a digest of the model's files, and taken from there as long as the digest is the same.

    Raises:
        ModelError: When the model cannot be opened.
    """
    folder = resolve_model(run)
    with digest_in_background(folder) as digest:
        known = _known(run)
        if known is not None and known[0] == digest():
            return RunModel(known[1], EncoderMetadata.load(folder) or EncoderMetadata())
        found = _opened(run)
        _keep(run, digest(), found.fingerprint)
    return found


def _opened(run: str | Path) -> RunModel:
    from xmc.encoders import DualEncoder, StaticQueries

    static = StaticQueries.load(run)  # without torch, where that can be
    if static is not None:
        return RunModel(static.fingerprint, static.metadata)
    model = DualEncoder.load(run)
    return RunModel(model.fingerprint, model.metadata, model)


def _known(run: str | Path) -> tuple[str, str] | None:
    """The digest and the fingerprint that were kept; None where there are none to trust."""
    try:
        content = read_json(Path(run) / KNOWN_MODEL)
    except (XMCError, OSError, ValueError, RecursionError):
        return None  # it only saves time
    if not isinstance(content, dict):
        return None
    files, fingerprint = content.get("files"), content.get("fingerprint")
    if not (isinstance(files, str) and isinstance(fingerprint, str) and files and fingerprint):
        return None
    return files, fingerprint


def _keep(run: str | Path, digest: str, fingerprint: str) -> None:
    if not os.access(run, os.W_OK):
        return
    with atomic_file(Path(run) / KNOWN_MODEL) as temporary:
        content = {"files": digest, "fingerprint": fingerprint}
        temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")
