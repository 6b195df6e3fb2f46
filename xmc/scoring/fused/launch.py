"""From tensors to kernel launches: grids, block sizes, precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from xmc.scoring.arithmetic import HALF
from xmc.scoring.engine import Problem
from xmc.scoring.fused.blocks import PAIRS, Blocks, block_sizes
from xmc.scoring.fused.kernels import INTERPRETED, fold_kernel, slope_kernel
from xmc.scoring.fused.pair_tiles import PairTiles, pair_tiles
from xmc.scoring.positives import Positives
from xmc.scoring.statistic import Fold, RowNumbers

__all__ = ["Launcher", "float32_precision"]

TARGET_PROGRAMS = 1024
"""The labels are split into parts until about so many programs run: a few for each core of a large GPU.

It is fixed, so that the order of sums does not depend on how many cores a device has.
"""

INTERPRETER_SHARED_BYTES = 96 << 10
TRITON_TYPES = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}


def float32_precision() -> str:
    """Triton's "tf32" where torch may take float32 products in TF32, else "ieee"."""
    matmul = torch.backends.cuda.matmul
    # Newer torch has fp32_precision; there the older switch raises once the newer one has been set.
    if hasattr(matmul, "fp32_precision"):
        return "tf32" if matmul.fp32_precision == "tf32" else "ieee"
    return "tf32" if matmul.allow_tf32 else "ieee"


@dataclass(frozen=True)
class Tiling:
    """How a problem is cut into tiles, and the listed pairs of each.

    Attributes:
        blocks: The size of a tile.
        num_blocks: Of rows.
        num_tiles: Of labels, in each block of rows.
        positives: The pairs that keep the weight 1; None where no kernel asks for them.
        left_out: The pairs that are not scored; None for none.
    """

    blocks: Blocks
    num_blocks: int
    num_tiles: int
    positives: PairTiles | None
    left_out: PairTiles | None


class Launcher:
    """Launches the kernels on one problem; holds what all launches share."""

    def __init__(self, problem: Problem) -> None:
        """Choose types and tiles, and sort the listed pairs by tile."""
        self.problem = problem
        self.queries, self.labels = (_rows_together(t) for t in (problem.queries, problem.labels))
        self.device = self.queries.device
        self.scale = problem.scale.float()
        self.offsets, self.log_weights = (_vector(v) for v in (problem.offsets, problem.log_weights))
        # Products of mixed types are taken in float32, which holds either.
        dtype = self.queries.dtype if self.queries.dtype == self.labels.dtype else torch.float32
        # Triton's interpreter multiplies the bits of bfloat16 as integers.
        self.dtype = torch.float32 if INTERPRETED else dtype
        self.precision = "ieee" if dtype in HALF else float32_precision()
        self._units = dtype in HALF or self.precision == "tf32"
        self._type_of_tiles = dtype
        self._narrow: Tiling | None = None
        self.tiling = self._cut(narrow=False)

    def _cut(self, *, narrow: bool) -> Tiling:
        blocks = block_sizes(
            self._type_of_tiles,
            self.queries.shape[1],
            matrix_units=self._units,
            shared_bytes=_shared_bytes(self.device),
            narrow=narrow,
        )
        num_blocks = triton.cdiv(len(self.queries), blocks.rows)
        num_tiles = triton.cdiv(len(self.labels), blocks.labels)
        inputs, masks = self.problem.inputs, self.problem.statistic.masks_positives

        def by_tile(pairs: Positives | None) -> PairTiles | None:
            if pairs is None:
                return None
            rows, columns, _ = inputs.own_pairs(pairs)
            return pair_tiles(
                rows,
                columns,
                num_blocks=num_blocks,
                num_tiles=num_tiles,
                block_rows=blocks.rows,
                block_labels=blocks.labels,
            )

        # A masked score needs no mark of its own: what is left out is never asked for its weight.
        positives = None if masks else by_tile(inputs.pairs)
        return Tiling(blocks, num_blocks, num_tiles, positives, by_tile(inputs.left_out(masks)))

    def _tiling_of(self, fold: Fold) -> Tiling:
        """The tiles that a fold takes; a statistic's slopes and its narrow folds may differ in them."""
        if not fold.narrow:
            return self.tiling
        if self._narrow is None:
            self._narrow = self._cut(narrow=True)
        return self._narrow

    def scan(self, fold: Fold, numbers: RowNumbers) -> Tensor:
        """See :data:`xmc.scoring.statistic.Scan`."""
        num_rows, tiling = len(self.queries), self._tiling_of(fold)
        # Few row blocks alone would leave most of the GPU idle, so the labels are split too.
        wanted = max(1, min(tiling.num_tiles, TARGET_PROGRAMS // max(1, tiling.num_blocks)))
        per_part = max(1, triton.cdiv(tiling.num_tiles, wanted))
        parts = max(1, triton.cdiv(tiling.num_tiles, per_part))
        out = torch.empty(parts, fold.columns, num_rows, device=self.device)
        if num_rows:
            with self._on_device():
                fold_kernel[(tiling.num_blocks, parts)](
                    *self._inputs(tiling, numbers),
                    out,
                    *self._sizes(),
                    tiling.num_tiles,
                    per_part,
                    START=fold.start,
                    ADD=fold.add,
                    STORE=fold.store,
                    COLUMNS=fold.columns,
                    **self._options(tiling.blocks),
                )
        return out

    def slopes(
        self, slope: Any, numbers: RowNumbers, first_tile: int, tiles: int, out: Tensor, sums: Tensor | None
    ) -> None:
        """Write the slopes of ``tiles`` tiles of labels to ``out`` [B, width].

        Their sums by row block go to ``sums`` [num_blocks, width].
        """
        tiling = self.tiling
        with self._on_device():
            slope_kernel[(tiling.num_blocks * tiles,)](
                *self._inputs(tiling, numbers),
                out,
                sums,
                *self._sizes(),
                out.stride(0),
                tiling.num_tiles,
                first_tile,
                tiling.num_blocks,
                SLOPE=slope,
                **self._options(tiling.blocks),
            )

    def _inputs(self, tiling: Tiling, numbers: RowNumbers) -> list[Any]:
        lists: list[Tensor | None] = []
        for pairs in (tiling.positives, tiling.left_out):
            lists += [None] * 3 if pairs is None else [pairs.rows, pairs.columns, pairs.starts]
        # The kernels load both numbers of a row whatever the statistic: zeros where it has none.
        rows = [_row_vector(v, self.queries) for v in (numbers.first, numbers.second)]
        tensors = [self.queries, self.labels, self.scale, self.offsets, self.log_weights]
        return [*tensors, *lists, *rows, float(numbers.constant)]

    def _sizes(self) -> tuple[int, ...]:
        (num_rows, dimension), num_labels = self.queries.shape, len(self.labels)
        return num_rows, num_labels, dimension, self.queries.stride(0), self.labels.stride(0)

    def _options(self, blocks: Blocks) -> dict[str, Any]:
        return {
            "M": blocks.rows,
            "N": blocks.labels,
            "K": blocks.depth,
            "PAIRS": PAIRS,
            "DTYPE": TRITON_TYPES[self.dtype],
            "PRECISION": self.precision,
            "num_warps": blocks.warps,
            "num_stages": blocks.stages,
        }

    def _on_device(self) -> AbstractContextManager[Any]:
        return torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext()


def _shared_bytes(device: torch.device) -> int:
    """Shared memory that a program may take."""
    if device.type != "cuda":
        return INTERPRETER_SHARED_BYTES
    properties = torch.cuda.get_device_properties(device)
    # What a program may ask for, which is more than what it gets unasked.
    return int(getattr(properties, "shared_memory_per_block_optin", properties.shared_memory_per_block))


def _rows_together(matrix: Tensor) -> Tensor:
    """The numbers of a row next to each other, as the kernels read them."""
    # Rows may be apart, as in a slice: the kernels take the stride between them.
    return matrix if matrix.stride(1) == 1 else matrix.contiguous()


def _vector(vector: Tensor | None) -> Tensor | None:
    return None if vector is None else vector.float().contiguous()


def _row_vector(vector: Tensor | None, queries: Tensor) -> Tensor:
    if vector is None:
        return torch.zeros(len(queries), device=queries.device)
    return vector.float().contiguous()
