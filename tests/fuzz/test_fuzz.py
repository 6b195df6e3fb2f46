"""The corpus: a slice by default, all 10,000 cases under ``slow``."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.corpus import NUM_CASES, kind_of, make_case
from tests.fuzz.valid import DATA, KINDS, make_valid
from tests.fuzz.watch import run_case, run_watched

# One of every kind.
SLICE = range(len(KINDS))


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz") / "valid"
    make_valid(folder)
    return folder


@pytest.fixture
def work() -> Iterator[Path]:
    # Damaged folders may be hard to remove, as one without permissions is; so not among pytest's own.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _told(facts: dict[str, object]) -> str:
    return f"case {facts['number']} ({facts['kind']}), {facts['said']}:\n{facts['fault']}"


def test_what_is_damaged_is_valid_before(valid: Path, work: Path) -> None:
    from tests.fuzz.corpus import Case
    from tests.fuzz.oracle import check

    for kind in KINDS:
        made = work / kind
        made.mkdir()
        assert check(Case(0, kind, valid / kind, ()), valid / DATA, made) == "valid", kind


def test_a_case_is_decided_by_its_number_alone(valid: Path, work: Path) -> None:
    for number in (7, 19):
        first, second = (make_case(number, valid, work / f"{number}-{turn}") for turn in "ab")
        assert first.said == second.said and first.kind == second.kind == kind_of(number)
        for path in sorted(first.folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                assert path.read_bytes() == (second.folder / path.relative_to(first.folder)).read_bytes()


def test_a_slice_of_the_corpus(valid: Path, work: Path) -> None:
    results = [run_case(number, valid, work) for number in SLICE]
    faults = [_told(facts) for facts in results if facts["fault"]]
    assert not faults, "\n\n".join(faults)
    # Neither all refused nor all taken: else the corpus would test nothing but one of the two.
    valid_ones = sum(facts["result"] == "valid" for facts in results)
    assert len(SLICE) / 20 < valid_ones < len(SLICE) / 2


@pytest.mark.slow
def test_the_whole_corpus(valid: Path, work: Path) -> None:
    results = list(run_watched(range(NUM_CASES), valid, work / "cases"))
    faults = [_told(facts) for facts in results if facts["fault"]]
    assert not faults, "\n\n".join(faults)
    assert len(results) == NUM_CASES
    assert min(Counter(facts["kind"] for facts in results).values()) >= NUM_CASES // len(KINDS)


def test_a_hang_a_crash_and_a_hunger_for_memory_are_found(
    valid: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mmap
    import time

    import tests.fuzz.oracle as oracle
    import tests.fuzz.watch as watch

    monkeypatch.setattr(watch, "MAX_GROWTH", 1 << 24)

    def sleep(*_: object) -> str:
        time.sleep(9)
        return "valid"

    def fill(*_: object) -> str:
        # Pages of its own: a process that has trained keeps freed memory, which would be used again.
        with mmap.mmap(-1, 1 << 26, flags=mmap.MAP_PRIVATE) as pages:
            return f"{pages.write(bytes(1 << 26))}"

    def fail(*_: object) -> str:
        raise ZeroDivisionError

    def spin(*_: object) -> str:
        while True:
            pass

    for check, fault in (
        (fill, "MiB more"),
        (fail, "ZeroDivision"),
        (sleep, "longer than"),
        (spin, "longer than"),
    ):
        if check is sleep:
            monkeypatch.setattr(watch, "MAX_SECONDS", 0.05)
        monkeypatch.setattr(oracle, "check", check)
        assert fault in str(watch.run_case(3, valid, work)["fault"])
