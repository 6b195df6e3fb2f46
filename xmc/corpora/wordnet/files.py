"""Finds WordNet's own data files."""

from __future__ import annotations

from pathlib import Path

from xmc.errors import DataError

__all__ = ["FOLDER", "PARTS", "find_files"]

FOLDER = Path("/usr/share/wordnet")
"""Where Debian's package ``wordnet-base`` puts them."""

PARTS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
"""The ending of a file, and the letter by which pointers name its part of speech."""


def find_files(folder: Path) -> dict[str, Path]:
    """``data.noun`` and the three others by their letter, in ``folder`` or its ``dict``, as archives have it.

    Raises:
        DataError: Naming those that are missing, and where the files are to be had.
    """
    places = (folder, folder / "dict")
    place = next((place for place in places if (place / "data.noun").is_file()), folder)
    files = {letter: place / f"data.{part}" for part, letter in PARTS.items()}
    if missing := [path.name for path in files.values() if not path.is_file()]:
        raise DataError(
            f"expected WordNet's files in {folder}, found no {', '.join(missing)}: install Debian's "
            "wordnet-base (`apt-get install wordnet-base`), or unpack WNdb-3.0.tar.gz of "
            "https://wordnet.princeton.edu/download, and name the folder with --from"
        )
    return files
