from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import yaml
from scipy.special import logsumexp

from tests.cli.conftest import COLOURS, THINGS
from tests.fixtures.tiny_cross_encoder import save_cross_encoder
from xmc.cli.main import main
from xmc.data import Dataset
from xmc.distillation.cross_encoder import CrossEncoderModel
from xmc.distillation.file import TeacherFile
from xmc.encoders import DualEncoder
from xmc.evaluation import save_predictions

Capture = pytest.CaptureFixture[str]


def test_the_file_the_ensemble_and_the_student(
    recipe: Path, model_folder: Path, dataset_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    ensemble = tmp_path / "ensemble.npz"
    words = ["distill", str(recipe), "--teachers", str(model_folder), "--top=5", "--ensemble", str(ensemble)]
    assert main(words) == 0
    out = capsys.readouterr().out
    file = tmp_path / "run-teachers.parquet"
    assert f"teachers: {file}, 1 of them" in out and f"ensemble: {ensemble}" in out and "model: " in out
    facts = TeacherFile.open(file).facts
    assert (facts.top, facts.sampled, facts.num_rows, facts.teachers) == (5, 4, 60, (str(model_folder),))
    saved = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text(encoding="utf-8"))
    assert saved["distillation"]["teachers"] == str(file)
    # A file of the same teachers is taken as it is; others are refused.
    again = [*words, "--run.overwrite", "true", "--only-file"]
    written = file.stat().st_mtime_ns
    assert main(again) == 0 and file.stat().st_mtime_ns == written
    assert main(["distill", str(recipe), "--teachers", str(model_folder), "--only-file"]) == 2
    assert "expected no file, or that of these teachers" in capsys.readouterr().err
    assert main(["score", str(ensemble), str(dataset_folder), "--json", str(tmp_path / "s.json")]) == 0
    assert json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))["num_queries"] == 20


def test_a_model_a_cross_encoder_and_a_file_teach_together(
    recipe: Path, model_folder: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    """The mean of three softmaxes, each over what its teacher knows, against the dense thing by hand."""
    dataset = Dataset.load(dataset_folder)
    num_labels = dataset.num_labels
    cross = save_cross_encoder(tmp_path / "cross", ["number", *COLOURS, *THINGS])
    random = np.random.default_rng(5)
    ids = np.array([random.choice(num_labels, 4, replace=False) for _ in range(60)])
    listed = -np.sort(-random.uniform(-2, 2, (60, 4)).astype(np.float32), axis=1)
    ids[7], listed[7] = -1, -np.inf  # a query that the file says nothing of
    save_predictions(tmp_path / "lists.npz", ids, listed)
    teachers = f"{model_folder},cross:{cross},{tmp_path / 'lists.npz'}"
    words = ["distill", str(recipe), "--teachers", teachers, "--top=3", "--sampled=0", "--temperature=2"]
    assert main([*words, "--file", str(tmp_path / "three.parquet"), "--only-file"]) == 0
    file = TeacherFile.open(tmp_path / "three.parquet")
    assert file.facts.teachers == tuple(teachers.split(",")[:1] + [str(cross), teachers.split(",")[2]])
    found = sp.vstack([block for _, block in file.blocks()], format="csr").toarray()

    model, pairs = DualEncoder.load(model_folder), CrossEncoderModel(cross)
    queries, labels = dataset.texts("train"), dataset.texts("labels")
    scores = model.metadata.scale * (model.encode_queries(queries) @ model.encode_labels(labels).T) / 2
    for row, positive in enumerate(dataset.relevance("train").indices):
        own = np.exp(scores[row] - logsumexp(scores[row]))
        candidates = {int(positive), *np.argsort(-scores[row])[:3].tolist()} | {
            i for i in ids[row][:3] if i >= 0
        }
        at = sorted(candidates)
        rest = 1 - own[at].sum()
        says = [own[at]]
        if row != 7:
            known = dict(zip(ids[row].tolist(), listed[row].tolist(), strict=True))
            every = {label: known.get(label, min(known.values())) / 2 for label in {*known, *at}}
            mass = logsumexp(list(every.values()))
            says.append(np.exp([every[label] - mass for label in at]))
            rest = (rest + 1 - says[1].sum()) / 2
        read = pairs.scores([(queries[row], labels[label]) for label in at]) / 2
        says.append((1 - rest) * np.exp(read - logsumexp(read)))
        expected = np.zeros(num_labels)
        expected[at] = np.mean(says, axis=0)
        np.testing.assert_allclose(found[row], expected, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ([], "teachers must be given"),
        (["--teachers", "[]"], "--teachers: expected at least one"),
        (["--teachers", "x", "--temperature", "0"], "--temperature: expected a number above 0"),
        (["--teachers", "x", "--seeds", "0,1"], "expected neither --profile nor --seeds"),
        (
            ["--teachers", "FILE", "--ensemble", "e.npz"],
            "--ensemble: expected teachers that rank test queries",
        ),
        (["--teachers", "x", "--head.kind", "factored"], "expected head.kind 'none'"),
        (["--teachers", "nothing-there", "--only-file"], "nothing-there"),
    ],
)
def test_wrong_words_are_refused(recipe: Path, capsys: Capture, more: list[str], text: str) -> None:
    words = [str(recipe) if word == "FILE" else word for word in more]  # any file
    assert main(["distill", str(recipe), *words]) == 2
    assert text in capsys.readouterr().err


def test_options_of_the_student_without_effect_are_told(
    recipe: Path, model_folder: Path, capsys: Capture
) -> None:
    words = ["distill", str(recipe), "--teachers", str(model_folder), "--top", "5"]
    words += ["--distillation.hard_weight", "0", "--objective.name", "softmax", "--training.max_steps", "1"]
    assert main([*words, "--only-file"]) == 0
    assert "note: " not in capsys.readouterr().out
    assert main(words) == 0
    told = capsys.readouterr().out
    assert told.startswith("note: objective.name = softmax has no effect with distillation.teachers and ")


def test_it_is_one_process(recipe: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["distill", str(recipe), "--teachers", "x"]) == 2
    assert "expected one process" in capsys.readouterr().err
