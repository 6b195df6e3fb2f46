"""Finding labels: exact search by inner product, and the label index on disk."""

from __future__ import annotations

from xmc.retrieval.exact import exact_search, merge_top_k, tile_top_k
from xmc.retrieval.faiss_module import import_faiss
from xmc.retrieval.label_index import Hit, LabelIndex
from xmc.retrieval.manifest import IndexManifest
from xmc.retrieval.offsets import warn_of_other_labels
from xmc.retrieval.ranker import Ranker, search_by
from xmc.retrieval.sharded import sharded_search

__all__ = [
    "Hit",
    "IndexManifest",
    "LabelIndex",
    "Ranker",
    "exact_search",
    "import_faiss",
    "merge_top_k",
    "search_by",
    "sharded_search",
    "tile_top_k",
    "warn_of_other_labels",
]
