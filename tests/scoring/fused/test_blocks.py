from __future__ import annotations

import pytest
import torch

from xmc.scoring.fused.blocks import block_sizes

DEVICES = {"H200": 227 << 10, "A100": 163 << 10, "consumer": 99 << 10}


@pytest.mark.parametrize("shared_bytes", DEVICES.values(), ids=DEVICES)
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("dimension", [1, 16, 17, 100, 384, 768, 1024, 4096])
@pytest.mark.parametrize(
    ("dtype", "matrix_units"),
    [(torch.bfloat16, True), (torch.float16, True), (torch.float32, True), (torch.float32, False)],
)
def test_what_is_loaded_at_once_fits_the_device(
    dtype: torch.dtype, matrix_units: bool, dimension: int, narrow: bool, shared_bytes: int
) -> None:
    blocks = block_sizes(
        dtype, dimension, matrix_units=matrix_units, shared_bytes=shared_bytes, narrow=narrow
    )
    size = torch.finfo(dtype).bits // 8
    assert (blocks.rows + blocks.labels) * blocks.depth * size * blocks.stages <= shared_bytes
    for side in (blocks.rows, blocks.labels, blocks.depth):
        assert side >= 16 and side & (side - 1) == 0, "a power of two, and no less than matrix units take"
    assert blocks.depth == 16 or blocks.depth < 2 * dimension
    # Products and scores of a tile stay in registers: 64 of a thread's 255.
    assert blocks.rows * blocks.labels <= 64 * 32 * blocks.warps


def test_large_devices_get_large_tiles() -> None:
    sizes = {
        name: block_sizes(torch.bfloat16, 384, matrix_units=True, shared_bytes=shared)
        for name, shared in DEVICES.items()
    }
    assert sizes["H200"].labels > sizes["consumer"].labels


def test_a_fold_of_copied_tiles_lets_two_programs_run_on_a_processor() -> None:
    given = {"matrix_units": True, "shared_bytes": DEVICES["H200"]}
    fold, slopes = (block_sizes(torch.bfloat16, 384, **given, described_fold=fold) for fold in (True, False))
    assert (fold.rows, fold.labels, fold.depth) == (slopes.rows, slopes.labels, slopes.depth)
    # All 255 registers of each thread of both, and what both load at once.
    assert 2 * 32 * fold.warps * 255 <= 65_536
    assert 2 * (fold.rows + fold.labels) * fold.depth * 2 * fold.stages <= DEVICES["H200"]


def test_narrow_tiles_hold_half_the_scores_of_large_ones() -> None:
    for shared in DEVICES.values():
        narrow = block_sizes(torch.bfloat16, 384, matrix_units=True, shared_bytes=shared, narrow=True)
        assert narrow.rows * narrow.labels <= 32 * 32 * narrow.warps
