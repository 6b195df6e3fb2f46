"""What got slower is told, measured again where it may be chance, and an exit code of 1."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import guard

ONE = {"step": 6.0, "scoring": 3.0, "encoding": 7.0, "optimiser": 1.0, "optimiser_share": 0.1, "cores": 0.9}
PLAIN = {case: dict(ONE) for case in guard.CASES}


def with_ratio(value: float, name: str = "scoring") -> guard.Ratios:
    changed = copy.deepcopy(PLAIN)
    changed["memory"][name] = value
    return changed


def test_what_is_slower() -> None:
    assert guard.slower(PLAIN, with_ratio(3.4)) == {}
    assert guard.slower(PLAIN, with_ratio(3.6)) == {("memory", "scoring"): pytest.approx(1.2)}
    # Something else got faster; neighbours are at work.
    assert guard.slower(PLAIN, with_ratio(0.5, "optimiser_share")) == {}
    assert guard.slower(PLAIN, with_ratio(0.1, "cores")) == {}
    with pytest.raises(ValueError, match="--record them anew"):
        guard.slower({"sampled": PLAIN["sampled"]}, PLAIN)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs the guard, each measurement of which is the next of those that are given."""
    monkeypatch.setattr(guard, "build_synthetic", lambda *arguments, **options: None)
    monkeypatch.setattr(guard.torch, "set_num_threads", lambda number: None)

    def go(measured: list[guard.Ratios], *words: str) -> int:
        answers = iter(measured)
        monkeypatch.setattr(guard, "measure", lambda data, steps: next(answers))
        code = guard.main([*words, "--file", str(tmp_path / "ratios.json")])
        assert next(answers, None) is None, "measured fewer times than expected"
        return code

    return go


def test_slower_each_time_is_a_failure(run: Any, tmp_path: Path, capsys: Any) -> None:
    assert run([with_ratio(9.0), PLAIN, with_ratio(1.0)], "--record") == 0
    (recorded,) = json.loads((tmp_path / "ratios.json").read_text())
    assert recorded["cases"] == PLAIN and recorded["machine"]["cores"] >= 1 and recorded["date"] > "2026"
    assert run([PLAIN]) == 0
    assert run([with_ratio(4.0), PLAIN]) == 0
    # Another ratio each time is chance, too.
    assert run([with_ratio(4.0), with_ratio(9.0, "encoding")]) == 0
    capsys.readouterr()
    assert run([with_ratio(4.5), with_ratio(3.6), with_ratio(3.9)]) == 1
    printed = capsys.readouterr()
    assert "slower: memory: scoring is 1.20 times what it was on" in printed.out
    assert "| memory: scoring | 3.000 | 3.900 |" in printed.out and not printed.err


def test_another_machine_is_told_and_another_size_refused(run: Any, tmp_path: Path, capsys: Any) -> None:
    run([PLAIN] * 3, "--record")
    file = tmp_path / "ratios.json"
    (recorded,) = json.loads(file.read_text())
    recorded["machine"]["cpu"] = "an abacus"
    file.write_text(json.dumps([recorded]))
    assert run([PLAIN]) == 0
    assert "recorded elsewhere (cpu an abacus, now " in capsys.readouterr().err
    with pytest.raises(SystemExit, match="5000 labels and 15 steps, got 300 labels and 15 steps"):
        run([], "--labels", "300")
    with pytest.raises(SystemExit, match="5000 labels and 15 steps, got 5000 labels and 14 steps"):
        run([], "--steps", "14")
    del recorded["steps"]
    file.write_text(json.dumps([recorded]))
    with pytest.raises(SystemExit, match="expected the number of steps in .*, got none: --record anew"):
        run([])


def test_a_processor_is_compared_with_its_own_record(run: Any, tmp_path: Path, capsys: Any) -> None:
    file, slow = tmp_path / "ratios.json", with_ratio(30.0)
    run([slow] * 3, "--record")
    (abacus,) = guard.read_records(file)
    abacus["machine"]["cpu"] = "an abacus"
    file.write_text(json.dumps([abacus]))
    run([PLAIN] * 3, "--record")
    assert [one["cases"] for one in guard.read_records(file)] == [slow, PLAIN]
    file.write_text(json.dumps(guard.read_records(file)[::-1]))  # wherever it stands
    assert run([slow] * 3) == 1 and "elsewhere" not in capsys.readouterr().err
    run([with_ratio(2.0)] * 3, "--record")
    assert [one["cases"] for one in guard.read_records(file)] == [slow, with_ratio(2.0)]


def test_a_file_of_no_records_is_refused(run: Any, tmp_path: Path) -> None:
    for text in ("[]", '{"cases": {}}'):
        (tmp_path / "ratios.json").write_text(text)
        with pytest.raises(SystemExit, match="expected a list of records in .*: remove it and --record anew"):
            run([])


def test_the_recorded_ratios_are_of_the_cases_there_are() -> None:
    records = guard.read_records(guard.FILE)
    assert len({one["machine"]["cpu"] for one in records}) == len(records) > 0
    for recorded in records:
        assert recorded["cases"].keys() == guard.CASES.keys()
        assert (recorded["labels"], recorded["steps"]) == (5_000, 15), "what is compared without options"
        assert all(ratios[name] > 0 for ratios in recorded["cases"].values() for name in guard.GUARDED)


@pytest.mark.slow
def test_scores_that_are_not_kept_are_slower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores that are made twice cost a fourth product: 33 % more."""
    words = ["--labels", "5000", "--steps", "8", "--file", str(tmp_path / "ratios.json")]
    monkeypatch.setattr(guard.torch, "set_num_threads", lambda number: None)
    monkeypatch.setattr(guard, "CASES", {"sampled": {}})
    assert guard.main([*words, "--record"]) == 0
    monkeypatch.setattr(guard, "CASES", {"sampled": {"scoring.memory_mb": "1"}})
    assert guard.main(words) == 1
