"""benchmarks/peers: systems are run, judged, kept and tabled, and those that fail are named."""

from __future__ import annotations

import importlib.util
import json
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp

from benchmarks.peers import catalogue, environments
from benchmarks.peers.__main__ import main
from benchmarks.peers.measuring import run_within
from benchmarks.peers.peer import Environment, Peer
from benchmarks.peers.results import read_result
from benchmarks.peers.systems import exchange
from benchmarks.peers.systems.features import write_rows
from benchmarks.peers.table import half_width
from xmc.data import DatasetWriter

FOUND = """
    import json, sys
    from pathlib import Path
    given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
    material, out = Path(given["--material"]), Path(given["--out"])
    facts = json.loads((material / "facts.json").read_text())
    texts = [json.loads(line) for line in open(material / "test.jsonl", encoding="utf-8")]
    labels = [json.loads(line) for line in open(material / "labels.jsonl", encoding="utf-8")]
    assert not (material / "test.npz").exists() and facts["depth"] == len(labels)
    if given.get("--fails"):
        sys.exit("no memory for it")
    import numpy as np
    ids = [sorted(range(len(labels)), key=lambda label: (labels[label] != text, label)) for text in texts]
    scores = np.tile(np.arange(len(labels), 0, -1, dtype=np.float32), (len(texts), 1))
    np.savez(out / "predictions.npz", ids=np.array(ids, dtype=np.int32), scores=scores)
    times = {"train_seconds": 2.0 + int(given["--seed"]), "predict_seconds": 0.5, "model_bytes": 2**20}
    steps = {"steps": 1_200 + int(given["--seed"]), "steps_meant": 1_201}
    (out / "report.json").write_text(json.dumps({**times, **steps, "threads": given["--threads"]}))
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A query has its own text's label, and the label after it, which its filter takes away."""
    with DatasetWriter(tmp_path / "letters", name="letters") as writer:
        for letter in "abcdef":
            writer.add_label(letter, f"{letter}{letter} née")
        for row in range(24):
            split, letter = ("test" if row % 4 == 0 else "train"), row % 6
            writer.add_row(split, f"q{row}", f"{'abcdef'[letter] * 2} née", "", [letter, (letter + 2) % 6])
            if split == "test":
                writer.add_filter(split, row // 4, (letter + 1) % 6)
    return tmp_path / "letters"


@pytest.fixture
def peers(tmp_path: Path) -> dict[str, Peer]:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(FOUND), encoding="utf-8")
    return {
        "finds": Peer("finds", "one that finds", script, None),
        "fails": Peer("fails", "one that fails", script, None, ("--fails", "yes"), random=False),
    }


def test_results_are_kept_tabled_and_not_run_again(
    data: Path, peers: dict[str, Peer], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = [str(data), "--out", str(out), "--seeds", "0", "1", "--threads", "1"]
    assert main(words, peers) == 1
    printed = capsys.readouterr().out
    assert "| one that finds | 2 | **100.00 ± 0.00** | " in printed and "| **2.5** | **0.5** | " in printed
    assert "one that finds, seed 0: stopped by its time after 1,200 of 1,201 steps." in printed
    assert "one that fails, seed 0: exit code 1: no memory for it." in printed and "seed 1" not in printed
    assert (out / "letters" / "table.md").read_text(encoding="utf-8") + "\n" == printed
    kept = read_result(out / "letters" / "finds-1.json")
    assert kept is not None and kept.metrics["P@1"] == 100.0 and kept.train_seconds == 3.0
    assert kept.report == {"steps": 1_201, "steps_meant": 1_201, "threads": "1"}
    assert kept.peak_bytes > 0 and kept.queries == 6

    # Only what is missing or another's is run again; what failed where that is asked for.
    peers["finds"].script.write_text("raise SystemExit('run again')", encoding="utf-8")
    assert main(words, peers) == 1 and capsys.readouterr().out == printed
    (out / "letters" / "finds-1.json").unlink()
    assert main([*words, "--retry"], peers) == 1
    printed = capsys.readouterr().out
    assert (
        "one that finds, seed 1: exit code 1: run again." in printed and "| one that finds | 1 |" in printed
    )
    assert "one that finds, seed 0: stopped by its time after 1,200 of 1,201 steps." in printed
    assert "one that fails, seed 0: exit code 1: run again." in printed


def test_one_that_cannot_be_installed_is_named(
    data: Path, peers: dict[str, Peer], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = Environment("nowhere", ("nothing==1",), pythons=("2.1",))
    peers = {"nowhere": Peer("nowhere", "one from nowhere", peers["finds"].script, nowhere)}
    assert main([str(data), "--out", str(tmp_path / "out"), "--seeds", "3"], peers) == 1
    assert "one from nowhere, seed 3: it needs Python 2.1, found 3." in capsys.readouterr().out


def test_an_environment_is_made_once_and_anew_for_other_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[str]] = []

    def run(command: list[str], **options: object) -> SimpleNamespace:
        calls.append(command)
        if command[1:3] == ["-m", "venv"]:
            (Path(command[3]) / "bin").mkdir(parents=True)
            (Path(command[3]) / "bin" / "python").touch()
        is_missing = "none==1" in command
        return SimpleNamespace(returncode=int(is_missing), stderr="WARNING: x\nERROR: no none", stdout="")

    monkeypatch.setattr(environments.subprocess, "run", run)
    one = Environment("one", ("a==1",), bare=("b==2",))
    python = environments.interpreter(one, tmp_path)
    assert python == tmp_path / "one" / "bin" / "python" and "--no-deps" in calls[-1] and len(calls) == 3
    assert environments.interpreter(one, tmp_path) == python and len(calls) == 3
    assert environments.interpreter(Environment("one", ("a==2",)), tmp_path) == python and len(calls) == 5
    with pytest.raises(environments.NotInstalled, match="environment two cannot be made: ERROR: no none"):
        environments.interpreter(Environment("two", ("none==1",)), tmp_path)
    assert not (tmp_path / "two" / environments.MARK).exists()


def test_a_command_ends_at_its_time(tmp_path: Path) -> None:
    words = [sys.executable, "-S", "-c", "import time; print('started', flush=True); time.sleep(60)"]
    ended = run_within(words, limit=0.3, threads=1, log=tmp_path / "log.txt")
    assert ended.code is None and 0.3 <= ended.seconds < 30 and ended.peak_bytes > 2**20


def test_lists_are_best_first_and_equal_scores_by_label() -> None:
    scores = np.array([[1.0, 3.0, 3.0, 0.5, 3.0], [0.0, 0.0, 2.0, 0.0, 0.0]], dtype=np.float32)
    ids, best = exchange.dense_lists(scores, 3)
    assert ids.tolist() == [[1, 2, 4], [2, 0, 1]] and best.tolist() == [[3, 3, 3], [2, 0, 0]]
    ids, best = exchange.dense_lists(scores, 2)
    assert ids.tolist() == [[1, 2], [2, 0]]
    ids, best = exchange.lists_of_rows(sp.csr_matrix(scores), 3)
    assert ids.tolist() == [[1, 2, 4], [2, -1, -1]]
    pairs = [[(3, 0.5), (2, 3.0), (1, 3.0), (4, 3.0)], []]
    ids, best = exchange.lists_of_pairs(pairs, 3)
    assert ids.tolist() == [[1, 2, 4], [-1, -1, -1]] and best[0].tolist() == [3, 3, 3]


def test_rows_without_words_or_labels_are_not_written(tmp_path: Path) -> None:
    """A line that has no features is read by no omikuji."""
    rows = sp.csr_matrix(np.array([[0.5, 0.0, 0.25], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype=np.float32))
    labels = sp.csr_matrix(np.array([[0, 1], [1, 0], [0, 0]], dtype=np.int8))
    write_rows(rows, labels, tmp_path / "rows.txt")
    assert (tmp_path / "rows.txt").read_text().splitlines() == ["1 3 2", "1 0:0.50000 2:0.25000"]


def test_the_interval_of_a_mean() -> None:
    # Student's t of two degrees of freedom at 97.5 %: 4.3027.
    assert half_width([1.0, 2.0, 3.0]) == pytest.approx(4.3027 / np.sqrt(3), rel=1e-4)
    assert half_width([1.0]) is None


def test_every_peer_has_its_script_and_pinned_packages() -> None:
    for name, peer in catalogue.PEERS.items():
        assert peer.name == name and peer.script.is_file()
        packages = () if peer.environment is None else (*peer.environment.packages, *peer.environment.bare)
        assert all("==" in package for package in packages)


@pytest.mark.parametrize("name", ["tfidf", "bm25"])
def test_lexical_matching_finds_equal_words(name: str, data: Path, tmp_path: Path) -> None:
    package = {"tfidf": "sklearn", "bm25": "bm25s"}[name]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    peer = Peer(name, name, catalogue.PEERS[name].script, None)
    assert main([str(data), "--out", str(tmp_path), "--seeds", "0"], {name: peer}) == 0
    kept = json.loads((tmp_path / "letters" / f"{name}-0.json").read_text())
    assert kept["metrics"]["P@1"] == 100.0 and kept["model_bytes"] > 0
