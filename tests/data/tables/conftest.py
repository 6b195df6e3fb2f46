from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from xmc.data import Dataset, prepare


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file of that name: text as UTF-8, or bytes."""

    def call(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return call


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Dataset]:
    """Prepares a source to ``tmp_path/out`` without a progress bar."""

    def call(source: object, **options: object) -> Dataset:
        return prepare(source, tmp_path / "out", overwrite=True, progress=False, **options)  # type: ignore[arg-type]

    return call
