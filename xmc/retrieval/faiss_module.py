"""The one place that imports faiss: it says what to install, and finds distributions that clash."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from xmc.errors import DependencyError

__all__ = ["check_faiss_distributions", "faiss_distributions", "faiss_version", "import_faiss"]


@cache
def faiss_distributions() -> tuple[str, ...]:
    """The installed distributions that hold the module ``faiss``, in order of name.

    Looked up once per process. The usual case, one distribution called faiss-something, is told from the
    names of folders; else the file lists of all that is installed are read, a quarter of a second.
    """
    named = {found.name for entry in sys.path for found in Path(entry).glob("faiss*.dist-info")}
    if len(named) == 1:
        return (named.pop().partition("-")[0].replace("_", "-"),)
    from importlib.metadata import packages_distributions  # which brings along what reads e-mail

    return tuple(sorted(set(packages_distributions().get("faiss", []))))


def check_faiss_distributions(installed: Sequence[str]) -> None:
    """Refuse several distributions of faiss: the last one installed overwrites parts of the others.

    Raises:
        DependencyError: When there is more than one; the text holds the command that mends it.
    """
    if len(installed) > 1:
        raise DependencyError(
            f"expected one distribution of faiss, but {', '.join(installed)} are installed and overwrite "
            f"each other's files: run `pip uninstall -y {' '.join(installed)}`, then install the one you "
            "want, for example "
            '`pip install "xmc-dual-encoder[cpu]"`'
        )


def import_faiss() -> Any:
    """The module ``faiss``.

    Raises:
        DependencyError: When it is missing or broken, or installed several times over.
    """
    check_faiss_distributions(faiss_distributions())
    try:
        return importlib.import_module("faiss")
    except ImportError as error:
        raise DependencyError(
            f"a label index needs faiss, but importing it failed ({error}): "
            '`pip install "xmc-dual-encoder[cpu]"`, or "xmc-dual-encoder[gpu]" for CUDA on Linux'
        ) from error


def faiss_version() -> str:
    """Of the module.

    Raises:
        DependencyError: As `import_faiss`.
    """
    return str(import_faiss().__version__)
