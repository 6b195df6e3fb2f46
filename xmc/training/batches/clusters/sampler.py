"""Batches of neighbouring queries: rows in the order of a clustering, in runs that grow by schedule."""

from __future__ import annotations

from typing import Any

import numpy as np

from xmc.errors import ConfigError
from xmc.random_streams import Stream, generator
from xmc.training.batches.clusters.config import ClustersConfig
from xmc.training.batches.query_sampler import QuerySampler

__all__ = ["ClusteredSampler"]


class ClusteredSampler(QuerySampler):
    """A :class:`QuerySampler` whose batches are made of clusters of neighbouring rows.

    In an epoch of cluster size c the rows, in the order of the last clustering, are cut into runs of c; the
    runs are shuffled, and B / c of them make a batch. Batches are of one size, as without clusters, and a
    multiple of the largest cluster; the rows left over sit an epoch out in turn. With c = 1 the batches are
    those of a :class:`QuerySampler` of such a size.

    Whoever draws batches asks `clustering_due` before each one, and then gives the new order to `set_order`.
    Like its base it knows nothing of ranks.
    """

    def __init__(self, rows: np.ndarray, largest: int, seed: int, schedule: ClustersConfig) -> None:
        """Prepare the sampler.

        Args:
            rows: Row ids to draw from, int [N].
            largest: Most rows of a global batch.
            seed: Of the order.
            schedule: Cluster sizes; the largest divides ``largest``.

        Raises:
            ConfigError: When an epoch would hold no batch, or the largest cluster does not divide one.
        """
        if schedule.largest < 1 or largest % schedule.largest:
            raise ConfigError(
                f"negatives.clusters.largest: expected a divisor of the batch of {largest} queries, got "
                f"{schedule.largest}"
            )
        self.schedule = schedule
        self.order: np.ndarray | None = None
        self.ordered_epoch = -1
        super().__init__(rows, largest, seed, multiple=schedule.largest)

    @property
    def cluster_size(self) -> int:
        """See :attr:`QuerySampler.cluster_size`."""
        return 1 if self.order is None else self.schedule.size(self.epoch)

    @property
    def next_epoch(self) -> int:
        """The epoch of the next batch."""
        return self.epoch + self._ended

    @property
    def clustering_due(self) -> bool:
        """Whether the next batch begins an epoch for which rows are to be clustered anew."""
        begins = self.position == 0 or self.next_epoch > self.epoch
        stale = self.order is None or self.next_epoch - self.ordered_epoch >= self.schedule.refresh_every
        return begins and self.schedule.size(self.next_epoch) > 1 and stale

    def set_order(self, order: np.ndarray) -> None:
        """Take a new clustering: positions in ``range(N)``, neighbours side by side; from the next epoch on.

        Raises:
            ConfigError: When it does not hold each position once.
        """
        order = np.asarray(order, dtype=np.int64)
        if not np.array_equal(np.sort(order), np.arange(len(self._rows))):
            raise ConfigError(
                f"expected an order of the {len(self._rows)} rows, each once, got {order.shape}"
            )
        self.order, self.ordered_epoch = order, self.next_epoch
        if self.position == 0:
            self._restart(self.epoch, 0)

    def units(self) -> np.ndarray | None:
        """See :meth:`QuerySampler.units`."""
        size = self.cluster_size
        if size == 1:
            return None
        units = np.full(len(self._rows), -1, dtype=np.int64)
        # In the order in which rows are drawn each run of size rows is a cluster.
        units[self._positions] = np.arange(len(self._positions)) // size
        return units

    def state_dict(self) -> dict[str, Any]:
        """As :meth:`QuerySampler.state_dict`, with the order of the last clustering."""
        order = None if self.order is None else self.order.tolist()
        return {**super().state_dict(), "order": order, "ordered_epoch": self.ordered_epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """As :meth:`QuerySampler.load_state_dict`."""
        order = state["order"]
        self.order = None if order is None else np.asarray(order, dtype=np.int64)
        self.ordered_epoch = int(state["ordered_epoch"])
        super().load_state_dict(state)

    def _restart(self, epoch: int, position: int) -> None:
        super()._restart(epoch, position)
        size = self.cluster_size
        if size == 1 or self.order is None:
            return
        # The order is cut into runs without the rows that sit out, so that runs stay whole.
        left = self._left_out(epoch)
        runs = self.order[~left[self.order]].reshape(-1, size)
        self._positions = generator(self.seed, Stream.CLUSTER_ORDER, epoch).permutation(runs).reshape(-1)
        # The rows that sit the epoch out come last, where no batch reaches.
        self._order = self._rows[np.concatenate([self._positions, np.flatnonzero(left)])]
