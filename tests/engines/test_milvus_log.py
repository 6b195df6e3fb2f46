"""What Milvus Lite's server logs of methods that it has not, and of all else."""

from __future__ import annotations

import logging
import sys

import pytest

from xmc.engines.milvus import is_no_missing_method


def record(error: Exception) -> logging.LogRecord:
    """As grpc logs what a server's method raises."""
    try:
        raise error
    except Exception:
        what = f"Exception calling application: {error}"
        return logging.LogRecord("grpc._server", logging.ERROR, __file__, 1, what, (), sys.exc_info())


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (NotImplementedError("Method not implemented!"), False),
        (NotImplementedError("no such index"), True),
        (RuntimeError("Method not implemented!"), True),
        (OSError("no space left on device"), True),
    ],
)
def test_only_a_missing_method_is_kept_back(error: Exception, shown: bool) -> None:
    assert is_no_missing_method(record(error)) is shown


def test_a_line_without_an_exception_is_shown() -> None:
    plain = logging.LogRecord("grpc._server", logging.INFO, __file__, 1, "started", (), None)
    assert is_no_missing_method(plain)
