"""Which training queries each batch takes, with a state that a killed run resumes from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from xmc.errors import ConfigError
from xmc.files import fingerprint
from xmc.random_streams import Stream, generator

__all__ = ["QuerySampler"]


class QuerySampler:
    """Draws global batches of rows, each row once an epoch, in an order that only (seed, epoch) decides.

    It knows nothing of ranks: every rank draws the same global batch and takes its share, so a state saved on
    one world size resumes on another.

    With ``drop_last`` every batch has B rows, and the ``len(rows) % B`` rows at the end of an epoch's order
    sit that epoch out (other rows each epoch, as the order is new). Without it the last batch may be short.

    Args:
        rows: Row ids to draw from, int [N].
        batch_size: B, the global batch.
        seed: Of the order.
        drop_last: See above.

    Raises:
        ConfigError: When an epoch would hold no batch.
    """

    epoch: int
    """Epoch of the last batch drawn, from 0."""
    position: int
    """Rows of that epoch drawn so far."""

    def __init__(self, rows: np.ndarray, batch_size: int, seed: int, *, drop_last: bool = True) -> None:
        self._rows = np.asarray(rows, dtype=np.int64)
        if batch_size < 1:
            raise ConfigError(f"expected a batch size of at least 1, got {batch_size}")
        fewest = batch_size if drop_last else 1
        if len(self._rows) < fewest:
            raise ConfigError(
                f"expected at least {fewest} training rows for batches of {batch_size}, "
                f"got {len(self._rows)} (validation rows aside): choose a smaller batch size, or fewer "
                f"validation rows"
            )
        self.batch_size = batch_size
        self.seed = seed
        self.drop_last = drop_last
        self._restart(0, 0)

    @property
    def steps_per_epoch(self) -> int:
        """Batches of one epoch."""
        ratio = len(self._rows) / self.batch_size
        return math.floor(ratio) if self.drop_last else math.ceil(ratio)

    @property
    def cluster_size(self) -> int:
        """Rows that always share a batch in the current epoch."""
        return 1

    def units(self) -> np.ndarray | None:
        """The cluster of each row in the current epoch: int64 [N], -1 for those that sit it out.

        None where every row is on its own.
        """
        return None

    def next(self) -> np.ndarray:
        """Row ids of the next global batch, int64 [B] (fewer at an epoch's end without ``drop_last``)."""
        left = len(self._rows) - self.position
        if left < (self.batch_size if self.drop_last else 1):
            self._restart(self.epoch + 1, 0)
        batch = self._order[self.position : self.position + self.batch_size]
        self.position += len(batch)
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers and text for JSON; :meth:`load_state_dict` goes on with the very next batch."""
        return {
            "seed": self.seed,
            "epoch": self.epoch,
            "position": self.position,
            "rows_fingerprint": fingerprint(self._rows.tobytes()),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was taken.

        Raises:
            ConfigError: When the state belongs to another seed or to other rows.
        """
        for key, ours in (("seed", self.seed), ("rows_fingerprint", fingerprint(self._rows.tobytes()))):
            if state[key] != ours:
                raise ConfigError(
                    f"expected a sampler state with {key} {ours}, got {state[key]}: the run was started "
                    f"with another seed, data set or validation split"
                )
        self._restart(int(state["epoch"]), int(state["position"]))

    def _restart(self, epoch: int, position: int) -> None:
        self.epoch, self.position = epoch, position
        self._order = generator(self.seed, Stream.QUERY_ORDER, epoch).permutation(self._rows)
