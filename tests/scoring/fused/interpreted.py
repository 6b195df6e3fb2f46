"""Triton kernels in Triton's interpreter, with tiles so small that small inputs have many of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import pytest

__all__ = ["needs_interpreter", "tiny_tiles"]

needs_interpreter = pytest.mark.skipif(
    find_spec("triton") is None or os.environ.get("TRITON_INTERPRET") != "1",
    reason="needs Triton (Linux) and its interpreter (TRITON_INTERPRET=1)",
)


@contextmanager
def tiny_tiles() -> Iterator[None]:
    """Tiles of 16 x 32 (narrow: 16 x 16), 16 of the dimension at a time, three parts of labels."""
    from xmc.scoring.fused import launch
    from xmc.scoring.fused.blocks import Blocks

    with pytest.MonkeyPatch.context() as patch:
        wide, narrow = Blocks(16, 32, 16, 4, 1), Blocks(16, 16, 16, 4, 1)
        patch.setattr(launch, "block_sizes", lambda *_, **given: narrow if given["narrow"] else wide)
        patch.setattr(launch, "TARGET_PROGRAMS", 3)
        _language_patched_once(patch)
        yield


def _language_patched_once(patch: pytest.MonkeyPatch) -> None:
    """At each call within a kernel the interpreter looks through Triton's language for built-ins.

    It replaced them when the kernel began, and finds none: a fifth of the time of small kernels.
    """
    from triton.runtime import interpreter

    replace = getattr(interpreter, "_patch_builtin", None)
    if replace is None:
        return

    def once(package: Any, builder: Any, scope: Any) -> None:
        if "_replaced" not in vars(package):
            replace(package, builder, scope)
            scope.set_attr(package, "_replaced", True)  # until the kernel ends

    patch.setattr(interpreter, "_patch_builtin", once)
