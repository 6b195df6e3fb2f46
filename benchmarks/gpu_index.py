"""One query and a batch of them in a label index: its vectors on the GPU beside the host's own search."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from benchmarks.gpu_timing import wait_for
from xmc.retrieval.stores.on_device import DeviceStore
from xmc.retrieval.stores.protocol import SearchedStore
from xmc.retrieval.stores.search import search_store
from xmc.retrieval.stores.table import TableStore

__all__ = ["IndexCase"]

TIMES = 20
"""Searches of each size on the GPU; of the host's there are three."""


@dataclass(frozen=True)
class IndexCase:
    """What `LabelIndex.to` changes of a search by vectors: its time, and whether the labels are the same.

    Attributes:
        num_labels: L.
        dimension: D.
        batch: Queries of a batch.
        k: Labels of a list.
    """

    num_labels: int
    dimension: int
    batch: int = 64
    k: int = 10
    kind: ClassVar[str] = "index"

    def measure(self, device: str) -> dict[str, Any]:
        """See :class:`benchmarks.gpu_cases.Case`."""
        draw = np.random.default_rng(0)
        store = TableStore(self.dimension, with_offsets=False)
        vectors = draw.standard_normal((self.num_labels, self.dimension), dtype=np.float32)
        store.add(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
        queries = draw.standard_normal((self.batch, self.dimension), dtype=np.float32)
        label_of = np.arange(self.num_labels)
        started = time.perf_counter()
        there = DeviceStore(store, label_of, torch.device(device))
        wait_for(device)
        copied = time.perf_counter() - started

        def milliseconds(searched: SearchedStore, count: int, times: int) -> float:
            took = []
            for _ in range(times):
                begun = time.perf_counter()
                search_store(searched, queries[:count], self.k, label_of)
                took.append(time.perf_counter() - begun)
            return 1e3 * float(np.median(took))

        both = [search_store(searched, queries, self.k, label_of) for searched in (there, store)]
        return {
            "copy_seconds": copied,
            "one_milliseconds": milliseconds(there, 1, TIMES),
            "batch_milliseconds": milliseconds(there, self.batch, TIMES),
            "host_one_milliseconds": milliseconds(store, 1, 3),
            "host_batch_milliseconds": milliseconds(store, self.batch, 3),
            "within_tolerance": all(np.array_equal(*pair) for pair in zip(*both, strict=True)),
        }
