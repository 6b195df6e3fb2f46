"""A bar where someone watches; a line every 30 seconds and one at the end where nobody does."""

from __future__ import annotations

import io
import sys

import pytest

from xmc import progress
from xmc.progress import Bar, each

Capture = pytest.CaptureFixture[str]


class Clock:
    """Time that passes when it is told to."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def test_a_log_gets_a_line_every_30_seconds_and_one_at_the_end(clock: Clock, capsys: Capture) -> None:
    with Bar(400, "encoding labels", "text") as bar:
        for _ in range(100):
            clock.now += 1.0
            bar.update(4)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "encoding labels: 120 of 400 texts (30 %), 4.0 texts/s, about 1 min 10 s left",
        "encoding labels: 240 of 400 texts (60 %), 4.0 texts/s, about 40 s left",
        "encoding labels: 360 of 400 texts (90 %), 4.0 texts/s, about 10 s left",
        "encoding labels: 400 texts in 1 min 40 s, 4.0 texts/s",
    ]


def test_whoever_knows_better_says_how_long_it_will_take(clock: Clock, capsys: Capture) -> None:
    with Bar(400, "training", "step") as bar:
        for known in (None, 500.0):
            bar.left = lambda seconds=known: seconds
            clock.now += 40.0
            bar.update(100)
        bar.update(200)
    assert [line.rpartition(", ")[2] for line in capsys.readouterr().err.splitlines()[:2]] == [
        "about 2 min 0 s left",
        "about 8 min 20 s left",
    ]


def test_a_short_task_is_one_line_without_carriage_returns(clock: Clock, capsys: Capture) -> None:
    with Bar(3, "ranking", "query") as bar:
        clock.now += 0.5
        bar.update(3)
    assert capsys.readouterr().err == "ranking: 3 queries in 0.5 s, 6.0 queries/s\n"


def test_slow_units_bytes_and_unknown_totals(clock: Clock, capsys: Capture) -> None:
    with Bar(None, "reading", "row") as bar:
        clock.now += 60
        bar.update(30)
    with Bar(4_000_000, "trn.json", "B") as bar:
        clock.now += 40
        bar.update(2_000_000)
        bar.update(2_000_000)
    assert capsys.readouterr().err.splitlines() == [
        "reading: 30 rows, 2.0 s/row",
        "reading: 30 rows in 1 min 0 s, 2.0 s/row",
        "trn.json: 2.0 of 4.0 MB (50 %), 0.1 MB/s, about 40 s left",
        "trn.json: 4.0 MB in 40 s, 0.1 MB/s",
    ]


def test_silence_and_failure(clock: Clock, capsys: Capture) -> None:
    with Bar(3, "ranking", "query", shown=False) as bar:
        clock.now += 100
        bar.update(3)
    with pytest.raises(ValueError, match="broken"), Bar(3, "ranking", "query"):
        raise ValueError("broken")
    assert capsys.readouterr().err == ""


def test_each_gives_the_items_and_counts_them(clock: Clock, capsys: Capture) -> None:
    assert list(each([3, 4], "shapes", "shape")) == [3, 4]
    assert list(each((n for n in (1, 2)), "files", "file", total=2)) == [1, 2]
    err = capsys.readouterr().err
    assert "shapes: 2 shapes in 0.0 s" in err and "files: 2 files in" in err


def test_a_terminal_gets_a_bar_that_leaves_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Bar(2, "ranking", "query") as bar:
        bar.update(2)
    shown = terminal.getvalue()
    assert "\r" in shown and shown.count("\n") == 1
    last = shown.rpartition("\r")[2]
    assert last.startswith("ranking: 2 queries in") and last.endswith("\n")
