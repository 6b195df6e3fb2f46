"""Who we are among the ranks that work together, which rows are ours, what goes between ranks and devices.

One process without a process group is a world of size one, not a special path.

Convention for gradients: there is one loss, and every rank holds its value. What a rank computes from a
gathered tensor is its own part of that loss (its shard of labels), so the gradient of a gathered tensor is
the sum over ranks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from xmc.distributed.recording import recorded
from xmc.errors import ConfigError

__all__ = [
    "LateNumber",
    "World",
    "all_gather_rows",
    "all_reduce_max",
    "all_reduce_sum",
    "current_world",
    "exchange_rows",
    "gather_rows_to_main",
    "shard_bounds",
    "sum_gradients",
    "sum_over_ranks",
    "to_device",
]


def shard_bounds(num_items: int, rank: int, size: int) -> tuple[int, int]:
    """Half-open bounds ``(start, stop)`` of a rank's shard; sizes differ by at most one, larger shards first.

    The shards of ranks 0 .. size - 1 are adjacent and cover ``range(num_items)``; a shard may be empty.

    Raises:
        ConfigError: When ``rank`` is not in ``range(size)`` or ``num_items`` is negative.
    """
    if not 0 <= rank < size or num_items < 0:
        raise ConfigError(f"expected 0 <= rank < size and num_items >= 0, got {rank=}, {size=}, {num_items=}")
    base, larger = divmod(num_items, size)
    start = rank * base + min(rank, larger)
    return start, start + base + (rank < larger)


@dataclass(frozen=True)
class World:
    """This process's ``rank`` among ``size`` ranks."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this rank writes files and prints."""
        return self.rank == 0

    def shard(self, num_items: int) -> tuple[int, int]:
        """The half-open range of ``num_items`` that this rank owns (see :func:`shard_bounds`)."""
        return shard_bounds(num_items, self.rank, self.size)

    def shard_sizes(self, num_items: int) -> list[int]:
        """How many of ``num_items`` each rank owns, in rank order."""
        bounds = (shard_bounds(num_items, rank, self.size) for rank in range(self.size))
        return [stop - start for start, stop in bounds]


def current_world() -> World:
    """The world of the initialised process group, or a world of one."""
    if dist.is_available() and dist.is_initialized():
        return World(dist.get_rank(), dist.get_world_size())
    return World()


def all_reduce_sum(tensor: Tensor, world: World) -> Tensor:
    """Sum over ranks, in place, without a gradient. One all-reduce of ``tensor``'s bytes."""
    if world.size > 1:
        with recorded(tensor):
            dist.all_reduce(tensor, dist.ReduceOp.SUM)
    return tensor


def all_reduce_max(tensor: Tensor, world: World) -> Tensor:
    """Maximum over ranks, in place, without a gradient. One all-reduce of ``tensor``'s bytes."""
    if world.size > 1:
        with recorded(tensor):
            dist.all_reduce(tensor, dist.ReduceOp.MAX)
    return tensor


def all_gather_rows(local: Tensor, num_rows: int, world: World) -> Tensor:
    """The rows of all ranks, in rank order, with gradients.

    Args:
        local: [n, D], this rank's rows; n is the size of its shard of ``num_rows`` (:meth:`World.shard`).
        num_rows: Rows over all ranks.
        world: This rank and the number of ranks.

    Returns:
        [num_rows, D]. Forward: one all-gather of ceil(num_rows / size) rows per rank; backward: one
        reduce-scatter of [num_rows, D], half the bytes of an all-reduce.

    Raises:
        ConfigError: When ``local`` is not this rank's shard.
    """
    start, stop = world.shard(num_rows)
    if len(local) != stop - start:
        raise ConfigError(
            f"expected the {stop - start} rows {start}:{stop} of {num_rows} on rank {world.rank} of "
            f"{world.size}, got {len(local)} rows"
        )
    if world.size == 1:
        return local
    gathered: Tensor = _AllGatherRows.apply(local, num_rows, world)  # type: ignore[no-untyped-call]
    return gathered


class _AllGatherRows(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, local: Tensor, num_rows: int, world: World
    ) -> Tensor:
        ctx.world = world  # type: ignore[attr-defined]
        longest = -(-num_rows // world.size)
        padded = local.new_zeros((longest, *local.shape[1:]))
        padded[: len(local)] = local
        parts = [torch.empty_like(padded) for _ in range(world.size)]
        with recorded(padded):
            dist.all_gather(parts, padded)
        sizes = world.shard_sizes(num_rows)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None, None]:
        # A reduce-scatter by an all-to-all and a sum: gloo's own is an all-reduce underneath, with all of its
        # bytes. Shards need no padding, and the order of the sum is the same on every backend.
        received = exchange_rows(gradients[0], ctx.world)  # type: ignore[attr-defined]
        return received.sum(0), None, None


def sum_over_ranks(part: Tensor, world: World) -> Tensor:
    """The sum of what every rank computed from its own labels, with gradients.

    Forward one all-reduce of ``part``'s bytes, of a copy; backward none: every rank holds the gradient of the
    one loss by the sum, which is the gradient by its part.
    """
    if world.size == 1:
        return part
    total: Tensor = _SumOverRanks.apply(part, world)  # type: ignore[no-untyped-call]
    return total


class _SumOverRanks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, part: Tensor, world: World) -> Tensor:
        return all_reduce_sum(part.contiguous().clone(), world)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def sum_gradients(parameters: Iterable[torch.nn.Parameter], world: World) -> None:
    """Sum every parameter's gradient over ranks in one bucketed all-reduce.

    Parameters without a gradient on this rank count as zero, so ranks may have touched different ones.
    """
    if world.size == 1:
        return
    trained = [p for p in parameters if p.requires_grad]
    for parameter in trained:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    for group in _by_dtype([p.grad for p in trained if p.grad is not None]):
        flat = all_reduce_sum(torch.cat([g.reshape(-1) for g in group]), world)
        for gradient, summed in zip(group, flat.split([g.numel() for g in group]), strict=True):
            gradient.copy_(summed.view_as(gradient))


def _by_dtype(tensors: list[Tensor]) -> list[list[Tensor]]:
    groups: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        groups.setdefault(tensor.dtype, []).append(tensor)
    return list(groups.values())


def exchange_rows(values: Tensor, world: World) -> Tensor:
    """Each rank's values for this rank's rows, without gradients.

    Args:
        values: [N, ...] on every rank, a value of this rank for each of the N rows of all ranks.
        world: This rank and the number of ranks.

    Returns:
        [size, n, ...]: for the n rows of this rank's shard of N (:meth:`World.shard`), the values of rank 0,
        of rank 1 and so on. One all-to-all of the bytes of ``values``.
    """
    start, stop = world.shard(len(values))
    if world.size == 1:
        return values[None]
    sizes = world.shard_sizes(len(values))
    received = values.new_empty((world.size * (stop - start), *values.shape[1:]))
    with recorded(values):
        dist.all_to_all_single(received, values.contiguous(), [stop - start] * world.size, sizes)
    return received.view(world.size, stop - start, *values.shape[1:])


def gather_rows_to_main(local: Tensor, num_rows: int, world: World) -> Tensor | None:
    """The rows of all ranks in rank order, on rank 0; None on the others. Without gradients.

    Args:
        local: [n, ...], this rank's shard of ``num_rows`` rows (:meth:`World.shard`).
        num_rows: N, over all ranks.
        world: This rank and the number of ranks.

    Raises:
        ConfigError: When ``local`` is not this rank's shard.
    """
    start, stop = world.shard(num_rows)
    if len(local) != stop - start:
        raise ConfigError(f"expected the rows {start}:{stop} of {num_rows}, got {len(local)} rows")
    if world.size == 1:
        return local
    # Shards are of equal size or one less: the shorter ones are padded by a row.
    padded = local.new_zeros((-(-num_rows // world.size), *local.shape[1:]))
    padded[: len(local)] = local
    parts = [torch.empty_like(padded) for _ in range(world.size)] if world.is_main else None
    with recorded(padded):
        dist.gather(padded, parts, dst=0)
    if parts is None:
        return None
    return torch.cat([part[:n] for part, n in zip(parts, world.shard_sizes(num_rows), strict=True)])


def to_device(values: np.ndarray | Tensor, device: torch.device) -> Tensor:
    """``values`` on ``device``, in their type; not copied where they are there already.

    To a GPU they go through page-locked memory, from which the copy takes its turn among what was launched
    before: the host goes on at once. From other memory it waits until the copy is done, and the GPU is idle
    while the host prepares what comes next.
    """
    if isinstance(values, np.ndarray):
        # torch warns of memory it must not write to, such as a memory map opened for reading
        values = torch.from_numpy(np.require(values, requirements=["C", "W"]))
    if device.type == "cuda" and values.device.type == "cpu":
        # torch keeps the page-locked memory until the copy is done, whoever lets go of the tensor before.
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


class LateNumber:
    """A scalar on its way to the host; to ask for it is to wait for what computes it, and for nothing later.

    To read a tensor of a GPU waits for all that was launched before the question. Here the copy is launched
    at once, behind what computes the number, so that work launched since does not keep the answer back.

    Args:
        value: A scalar, on any device.
    """

    def __init__(self, value: Tensor) -> None:
        self._event: torch.cuda.Event | None = None
        self._value = value.detach()
        if value.is_cuda:
            self._value = torch.empty((), dtype=value.dtype, pin_memory=True)
            self._value.copy_(value.detach(), non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record()

    @property
    def is_there(self) -> bool:
        """Whether to ask for it waits for nothing."""
        return self._event is None or bool(self._event.query())

    def __float__(self) -> float:
        """The number."""
        if self._event is not None:
            self._event.synchronize()
        return float(self._value)
