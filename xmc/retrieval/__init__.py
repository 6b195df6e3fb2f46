"""Finding labels: exact search by inner product, and the label index on disk."""

from __future__ import annotations

from xmc.retrieval.by_size import search_by_size
from xmc.retrieval.exact import exact_search, merge_top_k, tile_top_k
from xmc.retrieval.faiss_module import import_faiss
from xmc.retrieval.label_index import Hit, LabelIndex
from xmc.retrieval.manifest import IndexManifest
from xmc.retrieval.offsets import label_offsets_for, warn_of_other_labels
from xmc.retrieval.sharded import sharded_search

__all__ = [
    "Hit",
    "IndexManifest",
    "LabelIndex",
    "exact_search",
    "import_faiss",
    "label_offsets_for",
    "merge_top_k",
    "search_by_size",
    "sharded_search",
    "tile_top_k",
    "warn_of_other_labels",
]
