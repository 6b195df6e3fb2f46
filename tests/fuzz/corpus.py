"""Case ``i`` of the corpus: a valid folder with one to three things wrong, decided by ``(SEED, i)`` alone."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.fuzz.mutations import mutations_for
from tests.fuzz.valid import KINDS
from xmc.files import sha256_file
from xmc.training.run.checksums import write_checksums

__all__ = ["NUM_CASES", "SEED", "Case", "kind_of", "make_case"]

SEED = 20_260_101
NUM_CASES = 10_000
_NAMES = sorted(KINDS)


@dataclass(frozen=True)
class Case:
    """A damaged folder."""

    number: int
    kind: str
    folder: Path
    said: tuple[str, ...]
    """What was done to it."""


def kind_of(number: int) -> str:
    """The kind of input that case ``number`` damages; all come in turn."""
    return _NAMES[number % len(_NAMES)]


def make_case(number: int, valid: Path, folder: Path) -> Case:
    """Write case ``number`` to ``folder``, out of what ``make_valid`` left in ``valid``."""
    rng, kind = np.random.default_rng([SEED, number]), kind_of(number)
    shutil.copytree(valid / kind, folder)
    said = []
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
        files = [path for path in files if not path.name.startswith("kept-") and os.access(path, os.R_OK)]
        if not files:
            break
        path = files[int(rng.integers(len(files)))]
        chosen = mutations_for(path)
        said.append(f"{path.relative_to(folder)}: {chosen[int(rng.integers(len(chosen)))](rng, path)}")
    if rng.random() < 0.7:
        _sign_again(folder)
    return Case(number, kind, folder, tuple(said))


def _sign_again(folder: Path) -> None:
    """Let sizes and checksums say what is there, so that readers of data sets, indexes, runs go on."""
    for sums in folder.glob("step-*/SHA256SUMS"):
        if sums.is_file() and not sums.is_symlink() and all(path.is_file() for path in sums.parent.iterdir()):
            sums.unlink()
            write_checksums(sums.parent)
    for manifest, key in (
        (folder / "dataset.json", "files"),
        (folder / "index" / "manifest.json", "checksums"),
    ):
        try:
            content = json.loads(manifest.read_bytes()) if manifest.is_file() else {}
            for name in content[key]:
                path = manifest.parent / name
                if path.is_file() and path.stat().st_size < 1 << 20:
                    digest = sha256_file(path)
                    facts = {"bytes": path.stat().st_size, "sha256": digest}
                    content[key][name] = facts if key == "files" else digest
            manifest.write_text(json.dumps(content))
        except (ValueError, TypeError, KeyError, AttributeError, OSError, RecursionError):
            pass  # the manifest itself is what was damaged
