"""What must hold of every case: a typed error in one line, or a result whose parts fit together."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from tests.fuzz.corpus import Case
from tests.fuzz.valid import learner
from xmc.cli.config import load_train_config
from xmc.cli.main import guarded, main
from xmc.data import Dataset
from xmc.encoders import DualEncoder
from xmc.received import read_json
from xmc.reports.run_facts import peculiarities, read_run
from xmc.reports.stored import load_evaluation, stored_evaluations
from xmc.reports.systems import dataset_of
from xmc.retrieval import LabelIndex
from xmc.training.run.changes import read_changes
from xmc.training.run.checkpoint import Checkpointer

__all__ = ["Fault", "check"]

_LONGEST = 2100
"""Characters of an error; a hostile value is cut where it is shown."""


class Fault(Exception):
    """A case that ended neither in a typed error nor in a valid result."""


def check(case: Case, prepared: Path, work: Path) -> str:
    """Read a case as its kind is read, and return "valid" or the text of its typed error.

    Args:
        case: To read.
        prepared: The data set that predictions are for.
        work: A folder for what is made.

    Raises:
        Fault: When the result is not valid or an error takes more than a line.
    """
    for name, read in _READERS.items():
        if case.kind.startswith(name):
            return read(case.folder, prepared, work)
    raise AssertionError(case.kind)


def _command(words: list[str]) -> str:
    """Run a command; its error, or "valid"."""
    return _guarded(lambda: main(words))


def _as_a_command(work: Callable[[], None]) -> str:
    """Do what a command does; what it would say, or "valid"."""
    return _guarded(lambda: guarded(work))


def _guarded(run: Callable[[], int]) -> str:
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        code = run()
    lines = [line for line in errors.getvalue().splitlines() if line.startswith("error")]
    if code == 0:
        return "valid"
    if code != 2 or len(lines) != 1:
        raise Fault(f"exit code {code}, {errors.getvalue()!r:.500}")
    _in_a_line(lines[0] + errors.getvalue().partition(lines[0])[2].rstrip())
    return lines[0]


def _in_a_line(text: str) -> str:
    listed = "expected the files of one of these formats" in text
    if ("\n" in text and not listed) or len(text) > _LONGEST or "\x1b" in text or "Traceback" in text:
        raise Fault(f"expected an error in one line, got {text[:500]!r}")
    return text


def _require(holds: object, what: str) -> None:
    if not holds:
        raise Fault(what)


def _import(folder: Path, prepared: Path, work: Path) -> str:
    out = work / "out"
    said = _command(["data", "import", str(folder), str(out)])
    _require((said == "valid") == out.exists(), f"{said}, and the data set's folder is there: {out.exists()}")
    _require(
        not [path for path in work.iterdir() if path.name.endswith(".partial")], "something is left over"
    )
    if said == "valid":
        _check_dataset(Dataset.load(out))
    return said


def _read_dataset(folder: Path, prepared: Path, work: Path) -> str:
    return _as_a_command(lambda: _check_dataset(Dataset.load(folder)))


def _check_dataset(dataset: Dataset) -> None:
    for split, size in (("train", dataset.num_train), ("test", dataset.num_test)):
        matrix, texts = dataset.relevance(split), dataset.texts(split)
        _require(matrix.shape == (size, dataset.num_labels) and len(texts) == size, f"{split}: sizes differ")
        _require(np.isfinite(matrix.data).all() and (matrix.data > 0).all(), f"{split}: weights")
        _require(all(isinstance(text, str) for text in texts[:]), f"{split}: texts")
        excluded = dataset.filter(split)
        _require(excluded is None or excluded.shape == matrix.shape, f"{split}: filter")
    uids = dataset.uids("labels")[:]
    _require(len(uids) == dataset.num_labels, "labels")


def _recipe(folder: Path, prepared: Path, work: Path) -> str:
    return _as_a_command(lambda: _load([str(folder / "recipe.yaml")]))


def _options(folder: Path, prepared: Path, work: Path) -> str:
    try:
        words = read_json(folder / "words.json")
        words = [str(word) for word in (words if isinstance(words, list) else [words])]
    except (ValueError, OSError, RecursionError) as error:
        return f"no words: {error}"
    return _as_a_command(lambda: _load(words))


def _load(words: list[str]) -> None:
    config = load_train_config(words)
    _require(isinstance(config.run.dir, str) and type(config.seed) is int, "a value of another type")


def _score(folder: Path, prepared: Path, work: Path) -> str:
    found = sorted(path for path in folder.iterdir() if path.name.startswith("predictions"))
    report = work / "scores.json"
    said = _command(
        ["score", str(found[0] if found else folder / "gone"), str(prepared), "--json", str(report)]
    )
    if said == "valid":
        metrics = json.loads(report.read_text())["metrics"]
        _require(all(0 <= value <= 1000 for value in metrics.values()), f"metrics {metrics}")
    return said


def _index(folder: Path, prepared: Path, work: Path) -> str:
    def search() -> None:
        index = LabelIndex.load(folder / "index")
        queries = np.random.default_rng(0).normal(size=(2, index.manifest.dimension)).astype(np.float32)
        ids, scores = index.search_vectors(queries, 3)
        hits = [index.hits_of(*row) for row in zip(ids, scores, strict=True)]
        _require(all(isinstance(hit.uid, str) for row in hits for hit in row), "uids")
        _require(not np.isnan(scores[ids >= 0]).any(), "scores")

    return _as_a_command(search)


def _model(folder: Path, prepared: Path, work: Path) -> str:
    def encode() -> None:
        encoder = DualEncoder.load(folder, device="cpu")
        queries = encoder.encode_queries(["red bird", "stone"])
        _require(queries.shape == (2, encoder.dimension) and np.isfinite(queries).all(), "embeddings")

    return _as_a_command(encode)


def _run(folder: Path, prepared: Path, work: Path) -> str:
    dataset = Dataset.load(prepared)
    said = {
        _as_a_command(lambda: peculiarities("a", read_run(folder))),
        _as_a_command(lambda: read_changes(folder)),
        _as_a_command(lambda: stored_evaluations(folder)),
        _as_a_command(lambda: dataset_of([str(folder)])),
        _as_a_command(lambda: load_evaluation(folder, dataset, "test", None)),
    }
    return "; ".join(sorted(said - {"valid"})) or "valid"


def _checkpoint(folder: Path, prepared: Path, work: Path) -> str:
    def load() -> None:
        modules, optimisers = learner()
        step = Checkpointer(folder, modules, optimisers).load_latest()
        weights = [value for module in modules.values() for value in module.state_dict().values()]
        _require(step is None or step >= 0, f"step {step}")
        _require(all(torch.isfinite(value).all() for value in weights), "weights")

    return _as_a_command(load)


_READERS = {
    "import": _import,
    "dataset": _read_dataset,
    "recipe": _recipe,
    "options": _options,
    "score": _score,
    "index": _index,
    "model": _model,
    "run": _run,
    "checkpoint": _checkpoint,
}
