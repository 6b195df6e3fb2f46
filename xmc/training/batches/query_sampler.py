"""Which training queries each batch takes, with a state that a killed run resumes from."""

from __future__ import annotations

from typing import Any

import numpy as np

from xmc.errors import ConfigError
from xmc.files import fingerprint
from xmc.random_streams import Stream, generator

__all__ = ["QuerySampler", "equal_batches"]

FEW = 0.01
"""A share of the rows that is not worth smaller batches: who sits out changes from epoch to epoch."""


def equal_batches(num_rows: int, largest: int, multiple: int = 1) -> tuple[int, int]:
    """How many batches an epoch has, and how many rows each: all of one size, with few rows left over.

    Batches of ``largest`` where that leaves 1 % of the rows over or less. Else the rows are spread over as
    few batches as hold them all, unless that leaves more over (many small batches). One size, as inclusion
    probabilities are exact for batches of one size, and as no step then counts for more than another.

    Args:
        num_rows: N, at least ``multiple``.
        largest: Most rows of a batch.
        multiple: What the size is a multiple of, such as the rows of a cluster; it divides ``largest``.

    Returns:
        The number n and the size b; ``N - n b`` is less than ``largest``, and less than N / 2.
    """
    units, most = num_rows // multiple, largest // multiple
    whole = max(units // most, 1), min(most, units)
    fewest = -(-units // most)
    spread = fewest, units // fewest
    over = [units - number * size for number, size in (whole, spread)]
    number, size = spread if over[0] > FEW * units and over[1] < over[0] else whole
    return number, size * multiple


class QuerySampler:
    """Draws global batches of rows, each row at most once an epoch, in an order that (seed, epoch) decides.

    All batches are of one size, ``batch_size``, at most the size asked for (:func:`equal_batches`): 3,913
    rows at 512 make 8 batches of 489. The r rows left over, one here, sit the epoch out. Which ones goes
    round in one random order of the rows, r after r: all rows sit out equally often, and those of one epoch
    come first in the next.

    It knows nothing of ranks: every rank draws the same global batch and takes its share, so a state saved on
    one world size resumes on another.

    Args:
        rows: Row ids to draw from, int [N].
        largest: Most rows of a global batch.
        seed: Of the order.
        multiple: What the size of a batch is a multiple of; divides ``largest``.

    Raises:
        ConfigError: When an epoch would hold no batch.
    """

    epoch: int
    """Epoch of the last batch drawn, from 0."""
    position: int
    """Rows of that epoch drawn so far."""

    def __init__(self, rows: np.ndarray, largest: int, seed: int, *, multiple: int = 1) -> None:
        self._rows = np.asarray(rows, dtype=np.int64)
        if largest < 1:
            raise ConfigError(f"expected a batch size of at least 1, got {largest}")
        if len(self._rows) < multiple:
            raise ConfigError(
                f"expected at least {multiple} training rows for a batch, got {len(self._rows)} (validation "
                f"rows aside): hold fewer rows out for validation, or choose smaller clusters"
            )
        self.seed = seed
        self.steps_per_epoch, self.batch_size = equal_batches(len(self._rows), largest, multiple)
        self._rounds = generator(seed, Stream.ROWS_LEFT_OUT).permutation(len(self._rows))
        self._restart(0, 0)

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
        """Row ids of the next global batch, int64 [``batch_size``]."""
        if self._ended:
            self._restart(self.epoch + 1, 0)
        batch = self._order[self.position : self.position + self.batch_size]
        self.position += len(batch)
        return batch

    @property
    def place(self) -> tuple[int, int]:
        """Epoch of the last batch drawn, and rows of it drawn so far."""
        return self.epoch, self.position

    def go_back(self, place: tuple[int, int]) -> None:
        """Go on where :attr:`place` was ``place``."""
        self._restart(*place)

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

    @property
    def _ended(self) -> bool:
        """Whether the next batch begins another epoch."""
        # By rows, not by batches, as a resumed run may have batches of another size.
        return self.position + self.batch_size > self.steps_per_epoch * self.batch_size

    def _left_out(self, epoch: int) -> np.ndarray:
        """Which rows sit an epoch out: bool [N]; never two epochs in a row."""
        count = len(self._rows) - self.steps_per_epoch * self.batch_size
        left = np.zeros(len(self._rows), dtype=bool)
        if epoch >= 0 and count:
            # A stretch of one order of the rows, the next stretch each epoch: no history to remember, and
            # two stretches side by side share no row.
            left[self._rounds.take(np.arange(epoch * count, (epoch + 1) * count), mode="wrap")] = True
        return left

    def _restart(self, epoch: int, position: int) -> None:
        self.epoch, self.position = epoch, position
        order = generator(self.seed, Stream.QUERY_ORDER, epoch).permutation(len(self._rows))
        # First who sat out the epoch before; last, where no batch reaches, who sits this one out.
        place = 1 - self._left_out(epoch - 1).astype(np.int8) + self._left_out(epoch)
        self._order = self._rows[order[np.argsort(place[order], kind="stable")]]
