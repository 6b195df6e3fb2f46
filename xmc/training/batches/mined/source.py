"""Mines hard negatives during training: in the background from a snapshot, or at once where that is asked."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from xmc.distributed import World, all_gather_rows, all_reduce_max
from xmc.random_streams import Stream, generator
from xmc.training.batches.batch import Moment
from xmc.training.batches.mined.config import MinedConfig
from xmc.training.batches.mined.draw import draw_mined
from xmc.training.batches.mined.search import MinedLabels, mine_labels
from xmc.training.batches.source import BatchSource
from xmc.training.learned.frozen_encoder import FrozenEncoder

__all__ = ["HardNegatives"]

LABELS_AT_ONCE = 65_536


class HardNegatives(BatchSource):
    """The mined lists of the training queries, renewed every so many steps, and a draw from them.

    A mining takes a snapshot of the weights and searches all labels for this rank's share of the queries: the
    ranks talk only before and after, never from the background. Each rank keeps the lists of all queries, as
    batches are drawn alike everywhere, and while it mines the snapshot and float16 embeddings of all labels.

    Attributes:
        lists: What the last mining found, or None before the first.
        snapshot_step: The step whose weights it searched with.
        seconds: How long it took.
    """

    name = "mined"

    def __init__(
        self,
        config: MinedConfig,
        queries: np.ndarray,
        positives: sp.csr_matrix,
        world: World,
        device: torch.device,
        seed: int,
        *,
        masked: sp.csr_matrix | None = None,
    ) -> None:
        """Prepare; nothing is mined yet.

        Args:
            config: What, how often, and whether to wait.
            queries: Ids of the training queries [N].
            positives: CSR [N, L], their relevance.
            world: The ranks that share the queries.
            device: Where collectives work.
            seed: With the epoch and the mining, decides what queries bring.
            masked: CSR bool [N, L], pairs that are neither positive nor negative: not mined.
        """
        self.config, self.queries, self.positives = config, queries, positives
        self.world, self.device, self.seed, self.masked = world, device, seed, masked
        self.lists: MinedLabels | None = None
        self.snapshot_step, self.seconds = -1, 0.0
        self._task: _Mining | None = None
        self._drawn: tuple[tuple[int, int], sp.csr_matrix] | None = None

    def before(self, moment: Moment) -> None:
        """See `poll`."""
        self.poll(moment.step, moment.encoder, moment.scores.relative_offsets())

    def brought(self, epoch: int) -> sp.csr_matrix | None:
        """Labels drawn from each query's list, anew in each epoch and after each mining: CSR bool [N, L]."""
        if self.lists is None:
            return None
        # The draw is a function of the epoch and of the mining, so that a resumed run has the same one
        # without a saved draw.
        key = (epoch, self.snapshot_step)
        if self._drawn is None or self._drawn[0] != key:
            draw = generator(self.seed, Stream.MINED_LABELS, *key)
            self._drawn = key, draw_mined(self.config, self.lists, self.positives.shape[1], draw)
        return self._drawn[1]

    def poll(self, step: int, encoder: FrozenEncoder, offsets: np.ndarray | None) -> bool:
        """Start a mining when one is due, and take over one that has ended on all ranks.

        Args:
            step: Optimiser steps taken.
            encoder: The encoder as it is; a snapshot of it is kept while mining.
            offsets: [L], added to ``q.e``.

        Returns:
            Whether the lists are new. Equal on every rank; with W ranks and a mining on its way one
            all-reduce of a number, and at its end one all-gather of the lists.

        Raises:
            XMCError: What the search raised.
        """
        # Counted from the snapshot, not from when it was done: slow mining does not stretch the period.
        due = self.snapshot_step < 0 or step - self.snapshot_step >= self.config.every
        if self._task is None and step >= self.config.start and due:
            self._task = self._start(step, encoder, offsets)
        if self._task is None:
            return False
        if self.config.wait:
            self._task.join()
        # New lists are taken over by all ranks in the same step, or their batches would differ.
        running = torch.tensor(float(self._task.is_alive()), device=self.device)
        if bool(all_reduce_max(running, self.world)):
            return False
        task, self._task = self._task, None
        self.lists = self._gather(task.result())
        self.snapshot_step, self.seconds = task.step, task.seconds
        return True

    def close(self) -> None:
        """Stop a mining that is on its way."""
        if self._task is not None:
            self._task.stopped.set()
            self._task.join()
            self._task = None

    def metrics(self, batch_index: int, step: int) -> dict[str, Any]:
        """How many steps old the lists are, and how long they took to mine; nothing before the first."""
        if self.lists is None:
            return {}
        return {"stale_steps": step - self.snapshot_step, "seconds": round(self.seconds, 3)}

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON; the lists are `tensors`."""
        return {"snapshot_step": self.snapshot_step, "seconds": self.seconds}

    def tensors(self) -> dict[str, Tensor]:
        """The lists, for a checkpoint; empty before the first mining."""
        if self.lists is None:
            return {}
        return {
            "ids": torch.from_numpy(self.lists.ids),
            "scores": torch.from_numpy(self.lists.scores),
        }

    def load(self, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Go on with the lists of a checkpoint; a mining that was on its way then starts anew."""
        if state:
            self.snapshot_step, self.seconds = state["snapshot_step"], state["seconds"]
        if "ids" in tensors:
            self.lists = MinedLabels(tensors["ids"].numpy(), tensors["scores"].numpy())

    def _start(self, step: int, encoder: FrozenEncoder, offsets: np.ndarray | None) -> _Mining:
        start, stop = self.world.shard(len(self.queries))
        queries, positives = self.queries[start:stop], self.positives[start:stop]
        # A copy, as the optimiser changes the weights in place while the thread reads them.
        masked = None if self.masked is None else self.masked[start:stop]
        task = _Mining(self.config, step, encoder.snapshot(), queries, positives, offsets, masked)
        task.start()
        return task

    def _gather(self, mined: MinedLabels) -> MinedLabels:
        ids, scores = (
            all_gather_rows(torch.from_numpy(part).to(self.device), len(self.queries), self.world)
            .cpu()
            .numpy()
            for part in (mined.ids, mined.scores)
        )
        return MinedLabels(ids, scores)


class _Mining(threading.Thread):
    """One mining of some queries, which talks to no other rank."""

    def __init__(
        self,
        config: MinedConfig,
        step: int,
        encoder: FrozenEncoder,
        queries: np.ndarray,
        positives: sp.csr_matrix,
        offsets: np.ndarray | None,
        masked: sp.csr_matrix | None,
    ) -> None:
        super().__init__(name=f"mining-{step}", daemon=True)
        self.config, self.step, self.encoder = config, step, encoder
        self.queries, self.positives, self.offsets, self.masked = queries, positives, offsets, masked
        # Asked between chunks, as a thread cannot be ended from outside.
        self.stopped = threading.Event()
        self.seconds = 0.0
        self._result: MinedLabels | BaseException | None = None

    def run(self) -> None:
        began = time.perf_counter()
        try:
            self._result = self._mine()
        except BaseException as error:  # raised again where the training waits for the result
            self._result = error
        self.seconds = time.perf_counter() - began

    def result(self) -> MinedLabels:
        """What was found, when the thread has ended; raises what it raised."""
        if isinstance(self._result, BaseException):
            raise self._result
        assert self._result is not None
        return self._result

    def _mine(self) -> MinedLabels:
        num_labels, encoder = self.positives.shape[1], self.encoder
        labels = torch.empty(
            num_labels,
            encoder.encoder.dimension,
            dtype=torch.float16,
            device=encoder.encoder.label_tower.device,
        )
        for start in range(0, num_labels, LABELS_AT_ONCE):
            if self.stopped.is_set():
                break
            ids = np.arange(start, min(start + LABELS_AT_ONCE, num_labels))
            # Half precision: a rank searches all labels, so the embeddings are the largest thing it holds.
            labels[start : start + len(ids)] = encoder.encode_labels(ids).half()
        return mine_labels(
            self.config,
            lambda positions: encoder.encode_queries(self.queries[positions]),
            labels,
            self.positives,
            offsets=self.offsets,
            masked=self.masked,
            stop=self.stopped.is_set,
        )
