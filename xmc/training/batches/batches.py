"""Draws the batches of a run from its sampler, its pools and its sources, all in step on every rank."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from xmc.distillation.file import TeacherFile
from xmc.distributed import World
from xmc.distributed.stopwatch import SILENT, Watch
from xmc.errors import ConfigError
from xmc.objectives.catalogue import ObjectiveFacts, facts_of
from xmc.training.batches.ahead import DrawnAhead, foreseeable
from xmc.training.batches.batch import Batch, Moment
from xmc.training.batches.clusters.source import QueryClusters
from xmc.training.batches.co_labels import co_label_shares
from xmc.training.batches.config import NegativesConfig
from xmc.training.batches.label_queries import LabelQueries, check_label_queries, with_label_rows
from xmc.training.batches.memory.label_memory import LabelMemory
from xmc.training.batches.memory.source import RememberedLabels
from xmc.training.batches.mined.source import HardNegatives
from xmc.training.batches.own import gives_outside, own_sources
from xmc.training.batches.pools.batch_labels import without
from xmc.training.batches.pools.pool import PoolSampler, build_pool_sampler
from xmc.training.batches.pools.sampled import LabelDraw, LabelRows
from xmc.training.batches.query_sampler import QuerySampler
from xmc.training.batches.source import BatchSource
from xmc.training.batches.teacher_targets import TeacherTargets, columns_of

__all__ = ["Batches", "build_batches"]

DEFAULT = facts_of("decoupled_softmax")


class Batches:
    """The batches of a run: ``next`` draws one, ``after`` hears what became of it.

    ``draw_ahead`` draws the next one early, where nothing else than its index decides it.

    Attributes:
        relevance: CSR [N, L], of the training queries; [N + L, L] where labels are queries too.
        sampler: Of the training queries.
        pools: Of the labels.
        sources: What else takes part.
        masked: CSR bool of the shape of ``relevance``, the pairs that are neither positive nor negative.
    """

    def __init__(
        self,
        relevance: sp.csr_matrix,
        sampler: QuerySampler,
        pools: PoolSampler,
        sources: Sequence[BatchSource] = (),
        masked: sp.csr_matrix | None = None,
    ) -> None:
        self.relevance, self.sampler, self.pools, self.sources = relevance, sampler, pools, sources
        self.masked = masked
        # What the pools' inclusion probabilities were counted for.
        self._brought: list[sp.csr_matrix] = []
        self._clustered: int | None = None
        self._foreseeable = foreseeable(sources)
        self._ahead: DrawnAhead | None = None

    def num_steps(self, epochs: float, accumulation: int) -> int:
        """Optimiser steps of ``accumulation`` batches that ``epochs`` take; the last may begin another epoch.

        Raises:
            ConfigError: When one step takes more batches than all epochs have.
        """
        batches = math.ceil(epochs * self.sampler.steps_per_epoch)
        if accumulation > batches:
            raise ConfigError(
                f"training.accumulation: expected at most the {batches} batches of the run, which are "
                f"{epochs:g} epochs of {self.sampler.steps_per_epoch}, got {accumulation}: lower it, or "
                "raise training.epochs"
            )
        return math.ceil(epochs * self.sampler.steps_per_epoch / accumulation)

    def plan(self, num_batches: int) -> None:
        """Tell the sources how many batches the run takes, before the first is drawn."""
        for source in self.sources:
            source.planned(num_batches)

    def next(self, moment: Moment, watch: Watch = SILENT) -> Batch:
        """The next batch, when all sources are ready for it. ``watch`` is told what that took."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            if ahead.batch.batch_index == moment.batch_index:
                return ahead.batch
            self.sampler.go_back(ahead.place)
        return self._draw(moment, watch)

    def draw_ahead(self, moment: Moment, watch: Watch = SILENT) -> None:
        """Draw the batch that ``next`` will be asked for, if nothing but its index decides it.

        For when the host has nothing else to do. Batches and checkpoints are the same as without.
        """
        if self._foreseeable and self._ahead is None:
            place = self.sampler.place
            self._ahead = DrawnAhead(self._draw(moment, watch), place)

    def _draw(self, moment: Moment, watch: Watch) -> Batch:
        for source in self.sources:
            with watch.part(source.name):
                source.before(moment)
        with watch.part("pool"):
            queries = self.sampler.next()
            self._count_inclusion()
            for source in self.sources:
                queries = source.extend(queries, moment.batch_index)
            masked = None if self.masked is None else self.masked[queries]
            pool = self.pools.pool(self.relevance[queries], moment.batch_index, queries, masked)
        outside = []
        for source in self.sources:
            with watch.part(source.name):
                outside.append(source.outside(pool, moment))
        found = [labels for labels in outside if labels is not None]
        if len(found) > 1:
            raise ConfigError(
                f"expected labels outside the pool from one source at most, got {len(found)} of "
                f"{', '.join(source.name for source in self.sources)}: leave one of them out"
            )
        told = [targets for source in self.sources if (targets := source.targets(queries)) is not None]
        targets = columns_of(told[0], pool.label_ids) if told else None
        given = [weights for source in self.sources if (weights := source.weights(queries)) is not None]
        weights = np.prod(given, axis=0, dtype=np.float32) if given else None
        return Batch(moment.batch_index, queries, pool, found[0] if found else None, targets, weights)

    def after(self, batch: Batch, embeddings: Tensor, moment: Moment, watch: Watch = SILENT) -> None:
        """Hand the sources the embeddings [n, D] of this rank's shard of the pool, detached."""
        for source in self.sources:
            with watch.part(source.name):
                source.after(batch, embeddings, moment)

    def seen(self, batch: Batch, embeddings: Tensor) -> None:
        """Hand the sources the embeddings [B, D] of the batch's queries, detached."""
        for source in self.sources:
            source.seen(batch, embeddings)

    def metrics(self, batch_index: int, step: int) -> dict[str, Any]:
        """Numbers for the log of a step, a section for each source that has one. Every rank calls it."""
        found = {source.name: source.metrics(batch_index, step) for source in self.sources}
        return {name: numbers for name, numbers in found.items() if numbers is not None}

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers and lists for JSON: the sampler's and each source's."""
        sampler = self.sampler.state_dict()
        if self._ahead is not None:
            # As if it were not drawn: whoever goes on from here draws it anew.
            sampler["epoch"], sampler["position"] = self._ahead.place
        return {"sampler": sampler, **{s.name: s.state_dict() for s in self.sources}}

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps besides, whole on the main rank. Every rank calls it."""
        return {
            f"{source.name}.{name}": tensor
            for source in self.sources
            for name, tensor in source.tensors().items()
        }

    def load(self, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Go on from a checkpoint, on any number of ranks."""
        self._ahead = None
        self.sampler.load_state_dict(state["sampler"])
        for source in self.sources:
            start = f"{source.name}."
            own = {name[len(start) :]: x for name, x in tensors.items() if name.startswith(start)}
            source.load(state.get(source.name, {}), own)

    def close(self) -> None:
        """End what sources began."""
        for source in self.sources:
            source.close()

    def _count_inclusion(self) -> None:
        """Tell the pools what queries bring from now on, when that changes: a walk over all pairs."""
        epoch = self.sampler.epoch
        brought = [found for s in self.sources if (found := s.brought(epoch)) is not None]
        clustered = epoch if self.sampler.cluster_size > 1 else None
        same = len(brought) == len(self._brought) and all(map(operator.is_, brought, self._brought))
        if same and clustered == self._clustered:
            return
        self._brought, self._clustered = brought, clustered
        whole = sp.csr_matrix(sum(brought[1:], start=brought[0])) if brought else None
        self.pools.set_batches(mined=whole, units=self.sampler.units())


def build_batches(
    config: NegativesConfig,
    relevance: sp.csr_matrix,
    queries: np.ndarray,
    *,
    batch_size: int,
    label_queries: int,
    co_labels: float | None = None,
    co_label_prior: float = 0.0,
    label_query_weight: float = 1.0,
    label_query_until: float = 1.0,
    dimension: int,
    seed: int,
    world: World,
    device: torch.device,
    folder: Path,
    objective: ObjectiveFacts = DEFAULT,
    draws: Sequence[LabelDraw] = (),
    filtered: sp.csr_matrix | None = None,
    teachers: TeacherFile | None = None,
) -> Batches:
    """What the recipe asks for.

    Args:
        config: Of pools and sources.
        relevance: CSR [N, L], of all training queries.
        queries: [n] int64, ascending: those to train on.
        batch_size: Most queries of a batch over all ranks; see :class:`.query_sampler.QuerySampler`.
        label_queries: Labels that join each batch as queries.
        co_labels: The least share of a label's rows with which another label is a soft target of its query;
            None for no others.
        co_label_prior: Rows without others that each label is taken to have besides its own.
        label_query_weight: What the loss of a label's query counts for beside a training query's.
        label_query_until: The share of the run's batches that labels join, for which
            :meth:`Batches.plan` says how many there are.
        dimension: D of the embeddings.
        seed: The run's.
        world: The ranks.
        device: Of the model.
        folder: The run's, for a memory on disk.
        objective: What it takes: remembered labels as moments or as vectors, labels that queries bring.
        draws: Draws of the caller's own that join every pool of mode "sampled".
        filtered: CSR [N, L], the pairs of the data set's filter, or None.
        teachers: Their probabilities for all N rows, or None.

    Raises:
        XMCError: When a source cannot work; the text names the option.
    """
    own, (num_queries, num_labels) = relevance[queries], relevance.shape
    masked = masked_pairs(filtered, relevance) if config.filter_pairs == "mask" else None
    own_masked = None if masked is None else masked[queries]
    sources = list[BatchSource]()
    if config.clusters.largest > 1:
        clusters = QueryClusters(
            config.clusters, queries, batch_size, seed, world, device, dimension=dimension, folder=folder
        )
        sampler: QuerySampler = clusters.sampler
        sources.append(clusters)
    else:
        sampler = QuerySampler(queries, batch_size, seed)
    batch_size = sampler.batch_size
    facts = {
        "relevance": own, "masked": own_masked, "queries": queries, "num_labels": num_labels,
        "batch_size": batch_size, "dimension": dimension, "seed": seed, "world": world, "device": device,
        "folder": folder,
    }  # fmt: skip
    if config.mined.count:
        sources.append(HardNegatives(config.mined, queries, own, world, device, seed, masked=own_masked))
    if config.memory.enabled:
        memory = LabelMemory(
            config.memory, num_labels, dimension, world=world, device=device, folder=folder,
            keeps_moments=objective.takes_moments,
        )  # fmt: skip
        sources.append(RememberedLabels(memory, config.memory.refresh, seed))
    if teachers is not None:
        sources.append(TeacherTargets(teachers, queries, own, world, folder))
    label_rows: LabelRows | None = None
    if label_queries:
        check_label_queries(config, co_labels is not None)
        # Of the rows trained on: rows that are held out are not to be told through their labels.
        shares = None if co_labels is None else co_label_shares(own, co_labels, co_label_prior)
        labels = LabelQueries(
            num_queries, num_labels, label_queries, seed, shares, label_query_weight, label_query_until
        )
        label_rows = labels.rows
        sources.append(labels)
        relevance = with_label_rows(relevance, shares)
        if masked is not None:
            starts = np.pad(masked.indptr, (0, num_labels), mode="edge")  # a label's own row masks nothing
            masked = sp.csr_matrix((masked.data, masked.indices, starts), shape=relevance.shape)
    drawn = [*draws, *(draw for source in sources for draw in source.draws())]
    more_draws, more = own_sources(config, objective, facts, [source.name for source in sources])
    sources, drawn = [*sources, *more], [*drawn, *more_draws]
    # What is scored outside a pool is scored for every row alike, so masked labels must be within it.
    brought = own_masked if any(gives_outside(source) for source in sources) else None
    pools = build_pool_sampler(config, own, batch_size, seed, queries, drawn, brought, label_rows)
    return Batches(relevance, sampler, pools, sources, masked)


def masked_pairs(filtered: sp.csr_matrix | None, relevance: sp.csr_matrix) -> sp.csr_matrix | None:
    """The pairs of a filter that are no positives, CSR bool [N, L]; None for none.

    A pair that is both is trained on, as evaluation counts it as right although it is never ranked.
    """
    if filtered is None:
        return None
    masked = without(filtered.astype(bool), relevance)
    return masked if masked.nnz else None
