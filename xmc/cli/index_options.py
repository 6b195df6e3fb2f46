"""The options that say what kind of index is made, of `xmc index build` and `xmc index merge`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

__all__ = ["add_kind_options"]


def add_kind_options(parser: ArgumentParser, default: str | None) -> None:
    """Add --kind, --storage and --refine."""
    parser.add_argument(
        "--kind",
        type=str | None,
        default=None,
        help="exact (torch, no FAISS), flat, ivf, hnsw, ivfpq, sq8, binary, fastscan, or a factory string\n"
        f"of FAISS such as IVF256,Flat; {default or 'that of the first by default'}.",
    )
    parser.add_argument(
        "--storage",
        default=None,
        choices=("float32", "float16", "int8"),
        help="Of the vectors of an exact, binary, fastscan or refined index: half and a quarter the size.",
    )
    parser.add_argument(
        "--refine", action="store_true", help="Score what FAISS finds by vectors kept beside it."
    )
