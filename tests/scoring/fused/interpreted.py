"""Triton kernels in Triton's interpreter, with tiles so small that small inputs have many of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import pytest

__all__ = ["needs_interpreter", "tiny_tiles"]

needs_interpreter = pytest.mark.skipif(
    find_spec("triton") is None or os.environ.get("TRITON_INTERPRET") != "1",
    reason="needs Triton (Linux) and its interpreter (TRITON_INTERPRET=1)",
)


@contextmanager
def tiny_tiles() -> Iterator[None]:
    """Tiles of 16 x 32, 16 of the dimension at a time, and at most three parts of the labels."""
    from xmc.scoring.fused import launch
    from xmc.scoring.fused.blocks import Blocks

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "block_sizes", lambda *_, **__: Blocks(16, 32, 16, 4, 1))
        patch.setattr(launch, "TARGET_PROGRAMS", 3)
        yield
