"""Finding labels: exact search by inner product, and the label index on disk.

The names are imported on first use: a search of arrays needs no encoder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmc.lazy import lazy_exports

if TYPE_CHECKING:
    from xmc.retrieval.exact import exact_search, merge_top_k, tile_top_k
    from xmc.retrieval.faiss_module import import_faiss
    from xmc.retrieval.hit import Hit
    from xmc.retrieval.label_index import LabelIndex
    from xmc.retrieval.manifest import IndexManifest
    from xmc.retrieval.offsets import warn_of_other_labels
    from xmc.retrieval.ranker import Ranker
    from xmc.retrieval.ranking import search_by
    from xmc.retrieval.sharded import sharded_search
    from xmc.retrieval.words.bm25 import BM25Ranker
    from xmc.retrieval.words.lexical import LexicalRanker

__all__ = [
    "Hit",
    "IndexManifest",
    "LabelIndex",
    "BM25Ranker",
    "LexicalRanker",
    "Ranker",
    "exact_search",
    "import_faiss",
    "merge_top_k",
    "search_by",
    "sharded_search",
    "tile_top_k",
    "warn_of_other_labels",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        **dict.fromkeys(("exact_search", "merge_top_k", "tile_top_k"), "xmc.retrieval.exact"),
        "Hit": "xmc.retrieval.hit",
        "LabelIndex": "xmc.retrieval.label_index",
        "Ranker": "xmc.retrieval.ranker",
        "search_by": "xmc.retrieval.ranking",
        "IndexManifest": "xmc.retrieval.manifest",
        "BM25Ranker": "xmc.retrieval.words.bm25",
        "LexicalRanker": "xmc.retrieval.words.lexical",
        "import_faiss": "xmc.retrieval.faiss_module",
        "sharded_search": "xmc.retrieval.sharded",
        "warn_of_other_labels": "xmc.retrieval.offsets",
    },
)
