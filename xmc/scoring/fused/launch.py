"""From tensors to kernel launches: grids, block sizes, precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from xmc.scoring.arithmetic import HALF
from xmc.scoring.engine import Problem
from xmc.scoring.fused.blocks import Blocks, block_sizes
from xmc.scoring.fused.kernels import INTERPRETED, fold_kernel, slope_kernel
from xmc.scoring.fused.row_pairs import RowPairs, row_pairs
from xmc.scoring.positives import Positives
from xmc.scoring.statistic import Fold, RowNumbers

__all__ = ["Launcher", "float32_precision"]

TARGET_PROGRAMS = 1024
"""The labels are split into parts until about so many programs run: a few for each core of a large GPU.

It is fixed, so that the order of sums does not depend on how many cores a device has.
"""

INTERPRETER_SHARED_BYTES = 96 << 10
DESCRIBED_FROM = (9, 0)
"""The generation from which a GPU copies tiles by their descriptors."""

DESCRIBED_BYTES = 16
"""What addresses and strides of described tensors are multiples of."""

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
    """How a problem is cut into tiles.

    Attributes:
        blocks: The size of a tile.
        num_blocks: Of rows.
        num_tiles: Of labels, in each block of rows.
    """

    blocks: Blocks
    num_blocks: int
    num_tiles: int

    def parts(self, tiles: int) -> tuple[int, int]:
        """How many parts ``tiles`` tiles of labels are split into, and how many tiles each has."""
        # Few row blocks alone would leave most of the GPU idle, so the labels are split too.
        wanted = max(1, min(tiles, TARGET_PROGRAMS // max(1, self.num_blocks)))
        each = max(1, triton.cdiv(tiles, wanted))
        return max(1, triton.cdiv(tiles, each)), each


class Launcher:
    """Launches the kernels on one problem; holds what all launches share."""

    def __init__(self, problem: Problem) -> None:
        """Choose types and tiles, and sort the listed pairs by row."""
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
        # Tiles of other units are too small to be worth it; the interpreter runs what can be run.
        copied = _copies_tiles(self.device) and (self._units or INTERPRETED)
        self.described = copied and all(map(_describable, (self.queries, self.labels)))
        self._type_of_tiles = dtype
        self.tiling = self._cut()
        """Of the slopes."""
        inputs, masks = problem.inputs, problem.statistic.masks_positives
        # A masked score needs no mark of its own: what is left out is never asked for its weight.
        marked = not masks and self.log_weights is not None
        self.positives = self._by_row(inputs.pairs) if marked else None
        self.left_out = self._by_row(inputs.left_out(masks))

    def _cut(self, fold: Fold | None = None) -> Tiling:
        """The tiles that a fold takes, or the slopes."""
        blocks = block_sizes(
            self._type_of_tiles,
            self.queries.shape[1],
            matrix_units=self._units,
            shared_bytes=_shared_bytes(self.device),
            narrow=fold is not None and fold.narrow,
            described_fold=fold is not None and self.described,
        )
        num_blocks = triton.cdiv(len(self.queries), blocks.rows)
        return Tiling(blocks, num_blocks, triton.cdiv(len(self.labels), blocks.labels))

    def _by_row(self, pairs: Positives | None) -> RowPairs | None:
        if pairs is None or not len(pairs):
            return None
        rows, columns, _ = self.problem.inputs.own_pairs(pairs)
        return row_pairs(rows, columns, num_rows=len(self.queries), num_columns=len(self.labels))

    def scan(self, fold: Fold, numbers: RowNumbers) -> Tensor:
        """See :data:`xmc.scoring.statistic.Scan`."""
        num_rows, tiling = len(self.queries), self._cut(fold)
        parts, each = tiling.parts(tiling.num_tiles)
        out = torch.empty(parts, fold.columns, num_rows, device=self.device)
        if num_rows:
            with self._on_device():
                fold_kernel[(tiling.num_blocks, parts)](
                    *self._matrices(tiling.blocks),
                    *self._list(self.positives, tiling.blocks, 0, parts, each),
                    *self._list(self.left_out, tiling.blocks, 0, parts, each),
                    *self._rows(numbers),
                    out,
                    *self._sizes(),
                    tiling.num_tiles,
                    each,
                    START=fold.start,
                    ADD=fold.add,
                    STORE=fold.store,
                    COLUMNS=fold.columns,
                    **self._options(tiling.blocks),
                )
        return out

    def slopes(self, slope: Any, numbers: RowNumbers, first_tile: int, tiles: int, out: Tensor) -> None:
        """Write the slopes of ``tiles`` tiles of labels to ``out`` [B, width], left-out pairs' among them."""
        blocks, num_blocks = self.tiling.blocks, self.tiling.num_blocks
        with self._on_device():
            slope_kernel[(num_blocks * tiles,)](
                *self._matrices(blocks),
                *self._list(self.positives, blocks, first_tile, tiles, 1),
                *self._rows(numbers),
                self._matrix(out, blocks.rows, blocks.labels),
                *self._sizes(),
                out.stride(0),
                first_tile,
                num_blocks,
                SLOPE=slope,
                **self._options(blocks),
            )

    def _matrix(self, matrix: Tensor, rows: int, columns: int) -> Any:
        """What a kernel takes of a matrix: a descriptor of its tiles, or the matrix."""
        return TensorDescriptor.from_tensor(matrix, [rows, columns]) if self.described else matrix

    def _matrices(self, blocks: Blocks) -> list[Any]:
        """What makes a score."""
        queries = self._matrix(self.queries, blocks.rows, blocks.depth)
        labels = self._matrix(self.labels, blocks.labels, blocks.depth)
        return [queries, labels, self.scale, self.offsets, self.log_weights]

    def _list(
        self, pairs: RowPairs | None, blocks: Blocks, first_tile: int, parts: int, each: int
    ) -> list[Tensor | None]:
        """A list of pairs, for programs of ``each`` tiles from ``first_tile`` on."""
        if pairs is None:
            return [None] * 3
        edges = (first_tile + each * torch.arange(parts, device=self.device)) * blocks.labels
        return [pairs.columns, pairs.firsts(edges), pairs.stops]

    def _rows(self, numbers: RowNumbers) -> list[Any]:
        # The kernels load both numbers of a row whatever the statistic: zeros where it has none.
        first, second = (_row_vector(vector, self.queries) for vector in (numbers.first, numbers.second))
        return [first, second, float(numbers.constant)]

    def _sizes(self) -> tuple[int, ...]:
        return len(self.queries), len(self.labels), self.queries.stride(0), self.labels.stride(0)

    def _options(self, blocks: Blocks) -> dict[str, Any]:
        return {
            "DIMENSION": self.queries.shape[1],
            "M": blocks.rows,
            "N": blocks.labels,
            "K": blocks.depth,
            "DTYPE": TRITON_TYPES[self.dtype],
            "PRECISION": self.precision,
            "DESCRIBED": self.described,
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


def _copies_tiles(device: torch.device) -> bool:
    """Whether the device has a copy engine that takes descriptors of tiles."""
    if INTERPRETED:
        return True
    if device.type != "cuda" or torch.version.hip is not None:
        return False
    return torch.cuda.get_device_capability(device) >= DESCRIBED_FROM


def _describable(matrix: Tensor) -> bool:
    """Whether a matrix can be copied by descriptors of its tiles."""
    row_bytes = matrix.stride(0) * matrix.element_size()
    aligned = row_bytes % DESCRIBED_BYTES == 0 and matrix.data_ptr() % DESCRIBED_BYTES == 0
    return aligned and matrix.numel() > 0


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
