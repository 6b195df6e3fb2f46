"""What a client is told when a request cannot be answered: what was expected, what came, what to do."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse

__all__ = ["Problem", "shown"]

_SHOWN = 80


class Problem(Exception):
    """An answer of 400 and above.

    Args:
        status: The HTTP status.
        code: A word for programs, which does not change with the wording.
        expected: What would have been answered.
        got: What came.
        mend: What to do.
        headers: More headers of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        *,
        expected: str,
        got: str,
        mend: str,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(f"expected {expected}, got {got}: {mend}")
        self.status = status
        self.headers = headers
        self.body = {"code": code, "expected": expected, "got": got, "mend": mend}

    def response(self) -> JSONResponse:
        """The answer: the four texts as JSON."""
        return JSONResponse(self.body, self.status, self.headers)


def shown(value: Any) -> str:
    """A value that a client sent, short and in ASCII: it may hold what no JSON text can."""
    text = ascii(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
