"""What decides a batch's rows and labels beside the draws: clusters, mined lists and the label memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from xmc.distributed import World
from xmc.retrieval.faiss_module import import_faiss
from xmc.scoring import ExtraNegatives
from xmc.training.batches import (
    LabelMemory,
    NegativesConfig,
    Pool,
    PoolSampler,
    SampledLabels,
    build_pool_sampler,
    draw_mined,
)
from xmc.training.batches.clusters.queries import cluster_queries
from xmc.training.batches.clusters.sampler import ClusteredSampler, ClusterSchedule
from xmc.training.batches.memory.source import RememberedLabels
from xmc.training.batches.mined.source import HardNegatives
from xmc.training.batches.pools.draws import LabelDraw
from xmc.training.batches.query_sampler import QuerySampler
from xmc.training.learned.frozen_encoder import FrozenEncoder

__all__ = ["LabelSources", "build_query_sampler"]

MINED_STREAM = 13


def build_query_sampler(
    config: NegativesConfig, rows: np.ndarray, batch_size: int, seed: int
) -> QuerySampler:
    """Batches of random rows, or of clusters of rows when ``config`` asks for them.

    Raises:
        ConfigError: When batches cannot be made of rows, or of clusters.
        DependencyError: When clusters are asked for and FAISS is not installed.
    """
    clusters = config.clusters
    if clusters.largest == 1:
        return QuerySampler(rows, batch_size, seed)
    import_faiss()
    schedule = ClusterSchedule(
        clusters.largest,
        clusters.first,
        clusters.start_epoch,
        clusters.double_every,
        clusters.refresh_every,
    )
    return ClusteredSampler(rows, batch_size, seed, schedule)


@dataclass
class LabelSources:
    """Draws rows and pools, and keeps what they are drawn by up to date with the weights.

    Every rank calls the same methods in the same order, as some talk to the other ranks.
    """

    rows: np.ndarray
    """[N] training row ids, ascending."""
    sampler: QuerySampler
    pools: PoolSampler
    mining: HardNegatives | None
    memory: RememberedLabels | None
    mined_config: Any
    world: World
    device: torch.device
    seed: int
    composed: tuple[int, int] | None = None
    """The epoch and the mining that the pools know."""

    @classmethod
    def build(
        cls,
        config: NegativesConfig,
        sampler: QuerySampler,
        rows: np.ndarray,
        relevance: sp.csr_matrix,
        *,
        dimension: int,
        seed: int,
        world: World,
        device: torch.device,
        folder: Path,
        draws: Sequence[LabelDraw] = (),
        by_moments: bool = False,
    ) -> LabelSources:
        """What ``config`` asks for.

        Args:
            config: The sources.
            sampler: Of `build_query_sampler`.
            rows: [N] training row ids, ascending.
            relevance: CSR [N, L], theirs.
            dimension: D of the embeddings.
            seed: The run's.
            world: The ranks.
            device: Of the model.
            folder: The run's, for a memory on disk.
            draws: What else brings labels into every pool, such as labels that are queries of themselves.
            by_moments: Whether the objective takes the memory's labels as moments, not as vectors.

        Raises:
            XMCError: When a source cannot work; the text names the option.
        """
        if config.mined.count and config.mined.factory != "exact":
            import_faiss()
        pools = build_pool_sampler(config, relevance, sampler.batch_size, seed, rows, draws)
        mining = HardNegatives(config.mined, rows, relevance, world, device) if config.mined.count else None
        memory = None
        if config.memory.enabled:
            kept = LabelMemory(
                config.memory,
                relevance.shape[1],
                dimension,
                world=world,
                device=device,
                folder=folder,
                keeps_moments=by_moments,
            )
            memory = RememberedLabels(kept, config.memory.refresh, seed)
        return cls(rows, sampler, pools, mining, memory, config.mined, world, device, seed)

    def next_rows(
        self,
        batch: int,
        step: int,
        encoder: Callable[[], FrozenEncoder],
        offsets: Callable[[], np.ndarray | None],
    ) -> np.ndarray:
        """The rows of the next batch, int64 [B], when all sources are ready for it.

        Args:
            batch: Its number since the start of the run.
            step: Optimiser steps taken.
            encoder: Gives the encoder as it is.
            offsets: Gives the label offsets [L] in units of ``q.e``, or None.
        """
        if isinstance(self.sampler, ClusteredSampler) and self.sampler.clustering_due:
            cluster_queries(self.sampler, self.rows, encoder(), self.world, self.device)
        drawn = self.sampler.next()
        if self.mining is not None:
            self.mining.poll(step, encoder(), offsets())
        self._compose()
        if self.memory is not None:
            self.memory.before_batch(batch, encoder())
        return drawn

    def extra(self, pool: Pool, batch: int, offsets: Tensor | None) -> ExtraNegatives | None:
        """What joins the pool's labels in the objective, or None; ``offsets`` [L] are the learned ones."""
        if self.memory is None and pool.certain is None:
            return None
        if self.memory is not None and self.memory.by_moments:
            return ExtraNegatives(moments=self.memory.outside(pool.label_ids))
        frozen = None
        if self.memory is not None:
            frozen = self.memory.frozen(pool.label_ids, batch, None if offsets is None else offsets.detach())
        return ExtraNegatives(pool.certain, frozen)

    def metrics(self, batch: int, step: int) -> dict[str, Any]:
        """Numbers for the log of a step, a section a source."""
        found: dict[str, Any] = {}
        if isinstance(self.sampler, ClusteredSampler):
            found["clusters"] = {"size": self.sampler.cluster_size}
        if self.mining is not None:
            found["mined"] = self.mining.metrics(step)
        if self.memory is not None:
            found["memory"] = self.memory.metrics(batch)
        return found

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers and lists for JSON."""
        mining = {} if self.mining is None else self.mining.state_dict()
        return {"sampler": self.sampler.state_dict(), "mining": mining}

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps besides; whole on the main rank. Every rank calls it."""
        mined = {} if self.mining is None else self.mining.tensors()
        return {**mined, **({} if self.memory is None else self.memory.tensors())}

    def load_state_dict(self, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Go on from a checkpoint, on any number of ranks."""
        self.sampler.load_state_dict(state["sampler"])
        if self.mining is not None and state.get("mining"):
            self.mining.load_state_dict(state["mining"], tensors)
        if self.memory is not None:
            self.memory.load_tensors(tensors)

    def close(self) -> None:
        """Stop what runs in the background, and remove a memory on disk."""
        if self.mining is not None:
            self.mining.close()
        if self.memory is not None:
            self.memory.memory.close()

    def _compose(self) -> None:
        """Tell the pools what rows bring from now on, when an epoch has begun or the lists are new."""
        clustered = isinstance(self.sampler, ClusteredSampler)
        if not (clustered or self.mining) or not isinstance(self.pools, SampledLabels):
            return
        mined, snapshot = None, -1
        lists = None if self.mining is None else self.mining.lists
        if self.mining is not None:
            snapshot = self.mining.snapshot_step
        if self.composed == (self.sampler.epoch, snapshot):
            return
        self.composed = (self.sampler.epoch, snapshot)
        if lists is not None:
            seed = (self.seed, MINED_STREAM, self.sampler.epoch, snapshot)
            mined = draw_mined(self.mined_config, lists, self.pools.num_labels, seed)
        units = self.sampler.units() if isinstance(self.sampler, ClusteredSampler) else None
        self.pools.set_batches(mined=mined, units=units)
