from __future__ import annotations

import logging

import pytest

from xmc.cli.quiet import SaidOnce


def test_what_was_cut_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    logger, other = logging.getLogger("test.cut"), logging.getLogger("test.other")
    handler = logging.StreamHandler()
    handler.addFilter(SaidOnce("test.cut"))
    for one in (logger, other):
        one.addHandler(handler)
        one.propagate = False
    for count in (3, 3, 4, 3):
        logger.warning("%s texts were cut", count)
        other.warning("again")
    assert capsys.readouterr().err.split("\n") == [
        *("3 texts were cut", "again", "again", "4 texts were cut", "again", "again", ""),
    ]
