"""Label indexes in vector engines: exported in batches that can be resumed, and searched there.

An engine gets the vectors as an index has them, ``[e, offset / scale]`` where labels have offsets, and is
asked with ``[q, 1]``, so that one inner product ranks as `xmc.retrieval.LabelIndex` does. Only the engine
that is used is imported; each is a file behind `xmc.engines.protocol.Engine`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmc.lazy import lazy_exports

if TYPE_CHECKING:
    from xmc.engines.catalogue import ENGINES, open_engine
    from xmc.engines.export import ExportTally, export_labels
    from xmc.engines.facts import ExportFacts
    from xmc.engines.protocol import Engine
    from xmc.engines.searching import search_engine

__all__ = [
    "ENGINES",
    "Engine",
    "ExportFacts",
    "ExportTally",
    "export_labels",
    "open_engine",
    "search_engine",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        **dict.fromkeys(("ENGINES", "open_engine"), "xmc.engines.catalogue"),
        **dict.fromkeys(("ExportTally", "export_labels"), "xmc.engines.export"),
        "Engine": "xmc.engines.protocol",
        "ExportFacts": "xmc.engines.facts",
        "search_engine": "xmc.engines.searching",
    },
)
