"""What the tests of several rooms share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.distributed.ranks import Ranks

pytest_plugins = ["tests.fixtures.encoders", "tests.fixtures.tiny_models", "tests.fixtures.words"]

# Triton decides when it is first imported whether its kernels run on a GPU or in its interpreter.
os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.fixture(scope="session")
def ranks() -> Iterator[Ranks]:
    """Four processes, started once, that play worlds of up to four ranks."""
    with Ranks(4) as started:
        yield started
