"""The formats predictions are read in, and how a file's format is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from xmc.data.lines import LineReader
from xmc.data.manifest import check_choice
from xmc.errors import DataError
from xmc.evaluation.npy_stream import npz_members
from xmc.evaluation.readers.blocks import ListBlock
from xmc.evaluation.readers.csr import read_csr
from xmc.evaluation.readers.jsonl import read_jsonl
from xmc.evaluation.readers.npz import read_npz
from xmc.evaluation.readers.target import Target
from xmc.evaluation.readers.trec import read_trec
from xmc.received import reading

__all__ = ["FORMATS", "detect_format", "read_predictions"]

FORMATS: Mapping[str, Callable[[Path, Target], Iterator[ListBlock]]] = {
    "npz": read_npz,
    "csr": read_csr,
    "trec": read_trec,
    "jsonl": read_jsonl,
}
"""Reader by format name."""


def read_predictions(path: str | Path, target: Target, format: str = "auto") -> Iterator[ListBlock]:
    """Read predictions block by block; memory does not grow with the file.

    Args:
        path: The file.
        target: What they are for.
        format: One of `FORMATS`, or "auto" to tell it from the content.

    Raises:
        ConfigError: For an unknown format.
        DataError: For bad input; the text names file, place, what was expected and what came.
    """
    check_choice("format", format, ["auto", *FORMATS])
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: expected a file of predictions, found no such file")
    return FORMATS[detect_format(path) if format == "auto" else format](path, target)


def detect_format(path: str | Path) -> str:
    """Tell npz and csr by the arrays in the file, jsonl by a first line that opens a brace, else trec.

    Raises:
        DataError: When it looks like none of them.
    """
    path = Path(path)
    with reading(path, "a file that can be read"), open(path, "rb") as file:
        start = file.read(4)
    if start[:2] == b"PK":
        members = set(npz_members(path))
        if {"ids", "scores"} <= members:
            return "npz"
        if {"indices", "indptr", "data", "format", "shape"} <= members:
            return "csr"
        raise DataError(
            f"{path}: expected the arrays ids and scores, or a matrix saved with scipy.sparse.save_npz, got "
            f"the arrays {', '.join(sorted(members))}"
        )
    lines = LineReader(path)
    with lines.located():
        first = next((line.strip() for line in lines if line.strip()), "")
    if not first:
        raise DataError(f"{path}: expected predictions, but the file is empty")
    if first.startswith("{"):
        return "jsonl"
    if len(first.split()) == 6:
        return "trec"
    raise DataError(
        f"{path}: expected an npz file, a TREC run (qid Q0 docid rank score tag) or JSON Lines, but its "
        f"first line is {first[:80]!r}: `xmc predict --out` writes what is read here to names that end in "
        ".npz, .trec or .jsonl"
    )
