"""What the tests of several rooms share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.distributed.ranks import Ranks


@pytest.fixture(scope="session")
def ranks() -> Iterator[Ranks]:
    """Four processes, started once, that play worlds of up to four ranks."""
    with Ranks(4) as started:
        yield started
