"""How far a long task is: a bar on a terminal, a line every 30 seconds in a log, one line at the end in both.

A bar that is drawn again and again fills a log with carriage returns. Where stderr is no terminal (a file, a
pipe, a scheduler's log) a task therefore says what it has done, its rate and the time left once in a while.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from xmc.durations import duration

if TYPE_CHECKING:
    from tqdm.auto import tqdm

__all__ = ["SECONDS_BETWEEN_LINES", "Bar", "each", "is_interactive"]

T = TypeVar("T")

SECONDS_BETWEEN_LINES = 30.0


class Bar:
    """Counts what is done of ``total`` and tells of it on stderr; to be used in a ``with`` block.

    A block that is left by an exception says nothing more.

    Attributes:
        n: Units done so far.
        total: Units in all; None where that is not known.
        note: Shown beside the count, such as a loss; to be set.
        left: Says how many seconds are left, where that is known better than by the units so far; to be set.
    """

    left: Callable[[], float | None] | None = None

    def __init__(
        self, total: int | None, description: str, unit: str, *, initial: int = 0, shown: bool = True
    ) -> None:
        """Begin.

        Args:
            total: Units in all.
            description: What is done, such as "encoding labels".
            unit: What is counted, in the singular; "B" for bytes.
            initial: Units done before, which no rate counts.
            shown: False for silence.
        """
        self.n, self.total, self.note = initial, total, ""
        self._initial = initial
        self._description, self._unit, self._shown = description, unit, shown
        self._started = self._told = time.monotonic()
        self._bar: tqdm[Any] | None = None
        if shown and is_interactive():
            from tqdm.auto import tqdm  # brings asyncio along

            self._bar = tqdm(
                total=total, initial=initial, desc=description, unit=unit, unit_scale=unit == "B", leave=False
            )

    def __enter__(self) -> Bar:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away and, where the task is done, leave a line."""
        if self._bar is not None:
            self._bar.close()
        if self._shown and kind is None:
            self._say(self._end())

    def update(self, n: int = 1) -> None:
        """Count ``n`` units more."""
        self.n += n
        if self._bar is not None:
            self._bar.set_postfix_str(self.note, refresh=False)
            self._bar.update(n)
        elif self._shown:
            now = time.monotonic()
            if now - self._told >= SECONDS_BETWEEN_LINES:
                self._told = now
                self._say(self._middle(now - self._started))

    def _middle(self, seconds: float) -> str:
        """``encoding labels: 12,000 of 40,000 texts (30 %), 400 texts/s, about 1 min 10 s left``."""
        if not self.total:
            return f"{self._description}: {self._amount(self.n)}, {self._rate(seconds)}"
        left = None if self.left is None else self.left()
        if left is None:
            left = seconds / max(self.n - self._initial, 1) * (self.total - self.n)
        return (
            f"{self._description}: {self._number(self.n)} of {self._amount(self.total)} "
            f"({100 * self.n / self.total:.0f} %), {self._rate(seconds)}, about {duration(left)} left"
            f"{self.note and ', '}{self.note}"
        )

    def _end(self) -> str:
        """``encoding labels: 40,000 texts in 1 min 40 s, 400 texts/s``."""
        seconds = time.monotonic() - self._started
        took = duration(seconds) if seconds >= 10 else f"{seconds:.1f} s"
        return f"{self._description}: {self._amount(self.n)} in {took}, {self._rate(seconds)}"

    def _amount(self, n: int) -> str:
        return f"{self._number(n)} {self._units(n)}"

    def _number(self, n: int) -> str:
        return f"{n / 1e6:,.1f}" if self._unit == "B" else f"{n:,}"

    def _rate(self, seconds: float) -> str:
        """Units a second; below one a second, seconds a unit."""
        rate = (self.n - self._initial) / max(seconds, 1e-9)
        if self._unit == "B":
            return f"{rate / 1e6:,.1f} MB/s"
        if 0 < rate < 1:
            return f"{1 / rate:,.1f} s/{self._unit}"
        return f"{rate:,.1f} {self._units(2)}/s" if rate < 10 else f"{rate:,.0f} {self._units(2)}/s"

    def _units(self, n: int) -> str:
        if self._unit == "B":
            return "MB"
        if n == 1:
            return self._unit
        return f"{self._unit[:-1]}ies" if self._unit.endswith("ry") else f"{self._unit}s"

    def _say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)


def each(
    items: Iterable[T], description: str, unit: str, *, total: int | None = None, shown: bool = True
) -> Iterator[T]:
    """The items one after the other, told of as a `Bar` does; ``total`` where they have no length."""
    length = total if total is not None else len(items) if isinstance(items, Sized) else None
    with Bar(length, description, unit, shown=shown) as bar:
        for item in items:
            yield item
            bar.update()


def is_interactive() -> bool:
    """Whether someone is watching stderr: a terminal, or a notebook, which shows a bar of its own."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules
