"""One small valid folder of every kind of input that the package reads, for the corpus to damage."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp
import torch
import yaml
from torch import nn

from tests.fixtures.libraries import sbert, transformers
from tests.fixtures.tiny_models import SPECIAL, WORDS, save_static, tiny_tokenizer
from xmc.data import Dataset, DatasetWriter
from xmc.encoders import DualEncoder, LabelOffsets, LabelResiduals, LabelVectors
from xmc.evaluation import Evaluation, save_predictions
from xmc.machine import save_machine
from xmc.retrieval import LabelIndex
from xmc.training.learned.optimisers.adamw import AdamW, ParameterGroup
from xmc.training.learned.optimisers.optimiser import Optimiser
from xmc.training.run.checkpoint import Checkpointer

__all__ = ["DATA", "KINDS", "learner", "make_valid"]

LABELS = ["the house", "a red bird", "green stone", "the night", "a small tree", "big blue river"]
TRAIN = [("red bird", [1]), ("stone in the river", [2, 5]), ("", [0]), ("night", []), ("a tree", [4, 0, 3])]
TEST = [("house of stone", [0, 2]), ("bird song", [1]), ("day", [5])]
DATA = "prepared"


def make_valid(root: Path) -> None:
    """Write ``root/<kind>`` for every kind, and ``root/prepared``, the data set that predictions are for."""
    for name, make in KINDS.items():
        folder = root / name
        folder.mkdir(parents=True)
        make(folder)
    _dataset(root / DATA)


def _lines(path: Path, lines: list[str]) -> None:
    data = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def _rows(rows: list[tuple[str, list[int]]], key: str) -> list[dict[str, object]]:
    return [
        {"uid": f"q{row}", "title": text, "content": f"about {text}", key: ids, "relevance": [1.0] * len(ids)}
        for row, (text, ids) in enumerate(rows)
    ]


def _matrix(rows: list[tuple[str, list[int]]]) -> sp.csr_matrix:
    dense = np.zeros((len(rows), len(LABELS)), dtype=np.float32)
    for row, (_, ids) in enumerate(rows):
        dense[row, ids] = 1.0 + np.arange(len(ids))
    return sp.csr_matrix(dense)


def _dexml(folder: Path) -> None:
    for name, rows in (("trn.json.gz", TRAIN), ("tst.json", TEST)):
        _lines(folder / name, [json.dumps(row) for row in _rows(rows, "target_ind")])
    _lines(
        folder / "lbl.json", [json.dumps({"uid": f"l{i}", "title": text}) for i, text in enumerate(LABELS)]
    )
    _lines(folder / "filter_labels_test.txt", ["0 1", "2 5"])


def _xc_text(folder: Path) -> None:
    for name, rows in (("trn", TRAIN), ("tst", TEST)):
        _lines(folder / f"{name}_X.txt", [text for text, _ in rows])
        sparse = [" ".join(f"{label}:{i + 1}.5" for i, label in enumerate(ids)) for _, ids in rows]
        _lines(folder / f"{name}_X_Y.txt", [f"{len(rows)} {len(LABELS)}", *sparse])
    _lines(folder / "Y.txt", LABELS)
    _lines(folder / "filter_labels_train.txt", ["0 1"])


def _xc_npz(folder: Path) -> None:
    (folder / "raw").mkdir()
    for name, rows in (("trn", TRAIN), ("tst", TEST)):
        _lines(folder / "raw" / f"{name}_X.txt.gz", [text for text, _ in rows])
        sp.save_npz(folder / f"Y.{name}.npz", _matrix(rows))
    _lines(folder / "raw" / "Y.txt", LABELS)


def _pecos(folder: Path) -> None:
    for name, rows in (("trn", TRAIN), ("tst", TEST)):
        _lines(folder / f"X.{name}.txt", [text for text, _ in rows])
        sp.save_npz(folder / f"Y.{name}.npz", _matrix(rows), compressed=name == "trn")
    _lines(folder / "output-items.txt", LABELS)


def _jsonl(folder: Path) -> None:
    _lines(folder / "train.jsonl", [json.dumps(row) for row in _rows(TRAIN, "labels")])
    _lines(folder / "test.jsonl.gz", [json.dumps(row) for row in _rows(TEST, "labels")])
    _lines(
        folder / "labels.jsonl", [json.dumps({"uid": f"l{i}", "text": text}) for i, text in enumerate(LABELS)]
    )


def _jsonl_names(folder: Path) -> None:
    rows = [{"text": text, "labels": [LABELS[i] for i in ids]} for text, ids in TRAIN]
    _lines(folder / "train.jsonl", [json.dumps(row) for row in rows])


def _parquet(folder: Path) -> None:
    pq.write_table(pa.Table.from_pylist(_rows(TRAIN, "labels")), folder / "train-00.parquet")
    pq.write_table(pa.Table.from_pylist(_rows(TEST, "labels")), folder / "test.parquet", compression="zstd")
    labels = [{"uid": f"l{i}", "title": text} for i, text in enumerate(LABELS)]
    pq.write_table(pa.Table.from_pylist(labels), folder / "labels.parquet")


def _tables(folder: Path) -> None:
    clicks = [f'"{text}, so",l{label},{label + 1}' for text, ids in TRAIN if text for label in ids]
    _lines(folder / "clicks.csv", ["query,label,weight", *clicks])
    _lines(folder / "test.tsv.gz", ["query\tlabel", *(f"{text}\tl{ids[0]}" for text, ids in TEST)])
    labels = [{"uid": f"l{i}", "title": text} for i, text in enumerate(LABELS)]
    pq.write_table(pa.Table.from_pylist(labels), folder / "products.parquet")


def _hub(folder: Path) -> None:
    labels = [{"uid": f"l{i}", "title": text} for i, text in enumerate(LABELS)]
    tables = {"train": _rows(TRAIN, "labels"), "test": _rows(TEST, "labels"), "labels": labels}
    made = datasets.DatasetDict({name: datasets.Dataset.from_list(rows) for name, rows in tables.items()})
    made.save_to_disk(str(folder))


def _dataset(folder: Path) -> None:
    folder.rmdir() if folder.exists() else None
    with DatasetWriter(folder, name="fuzz") as writer:
        for label, text in enumerate(LABELS):
            writer.add_label(f"l{label}", text, f"about {text}")
        for split, rows in (("train", TRAIN), ("test", TEST)):
            for row, (text, ids) in enumerate(rows):
                writer.add_row(split, f"q{row}", text, "", ids)
        writer.add_filter("test", 0, 1)


def _recipe(folder: Path) -> None:
    content = {
        "data": {"path": "data/x", "query_fields": ["title"]},
        "run": {"dir": "runs/x", "keep_best": 2, "trackers": []},
        "seed": 3,
        "encoder": {"model": "embedded", "kind": "static", "dropout": 0.1, "query_length": 32},
        "objective": {
            "name": "softmax",
            "scale": 20.0,
            "terms": [{"name": "spherical_z_loss", "weight": 0.5}],
        },
        "negatives": {"mode": "sampled", "uniform": 12},
        "training": {"epochs": 2, "batch_size": 14, "learning_rate": 0.1},
        "validation": {"rows": 20, "every": 10, "metric": "P@1"},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def _options(folder: Path) -> None:
    words = ["--data.path", "d", "--run.dir", "r", "--seed", "3", "--training.epochs", "2"]
    words += ["--objective.options", "{k: 5}", "--encoder.query_length", "32", "--data.query_fields", "title"]
    (folder / "words.json").write_text(json.dumps(words))


def _ranking() -> tuple[np.ndarray, np.ndarray]:
    ids = np.array([[0, 2, 4, 5], [1, 0, 3, -1], [5, 1, -1, -1]], dtype=np.int32)
    scores = np.array([[4, 3, 2, 1], [4, 3, 3, 0], [2, 1, 0, 0]], dtype=np.float32)
    return ids, scores


def _predictions_npz(folder: Path) -> None:
    save_predictions(folder / "predictions.npz", *_ranking())


def _predictions_csr(folder: Path) -> None:
    generator = np.random.default_rng(0)
    sp.save_npz(folder / "predictions.npz", sp.csr_matrix(generator.random((len(TEST), len(LABELS)))))


def _named() -> list[tuple[str, str, float]]:
    ids, scores = _ranking()
    return [
        (f"q{row}", f"l{label}", float(score))
        for row in range(len(ids))
        for label, score in zip(ids[row], scores[row], strict=True)
        if label >= 0
    ]


def _predictions_trec(folder: Path) -> None:
    _lines(folder / "predictions.run", [f"{q} Q0 {label} 1 {score} tag" for q, label, score in _named()])


def _predictions_jsonl(folder: Path) -> None:
    lines = []
    for query in ("q0", "q1", "q2"):
        mine = [(label, score) for q, label, score in _named() if q == query]
        lines.append(
            json.dumps({"uid": query, "labels": [m[0] for m in mine], "scores": [m[1] for m in mine]})
        )
    _lines(folder / "predictions.jsonl.gz", lines)


def _static(folder: Path) -> Path:
    torch.manual_seed(1)
    weights = torch.randn(len(SPECIAL + WORDS), 8)
    return save_static(folder, tiny_tokenizer(), embedding_weights=weights)


def _model_static(folder: Path) -> None:
    base = _static(folder.with_name(f"base of {folder.name}"))
    made = DualEncoder.load(base)
    folder.rmdir()
    uids = [f"l{i}" for i in range(len(LABELS))]
    made.label_offsets = LabelOffsets(uids, np.linspace(0, 1, len(uids)))
    residuals = np.full((2, 8), 0.1, dtype=np.float32)
    made.label_residuals = LabelResiduals(uids, np.arange(len(uids)) % 2, residuals)
    made.save(folder)
    shutil.rmtree(base)


def _model_vectors(folder: Path) -> None:
    base = _static(folder.with_name(f"base of {folder.name}"))
    made = DualEncoder.load(base)
    folder.rmdir()
    vectors = np.random.default_rng(0).random((len(LABELS), 8)).astype(np.float16)
    made.label_vectors = LabelVectors([f"l{i}" for i in range(len(LABELS))], vectors)
    made.save(folder)
    shutil.rmtree(base)


def _model_bert(folder: Path) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    config = transformers.BertConfig(
        vocab_size=len(SPECIAL + WORDS), max_position_embeddings=16, pad_token_id=0, **sizes
    )
    transformers.BertModel(config).save_pretrained(folder / "base")
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), SPECIAL, strict=True))
    wrapped = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tiny_tokenizer(), model_max_length=16, **names
    )
    wrapped.save_pretrained(folder / "base")
    model = sbert.SentenceTransformer(str(folder / "base"), device="cpu")
    shutil.rmtree(folder / "base")
    model.save_pretrained(str(folder), create_model_card=False)


def _index(factory: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        encoder = DualEncoder.load(_static(folder / "model"))
        LabelIndex.build(encoder, LABELS, factory=factory, progress=False).save(folder / "index")
        shutil.rmtree(folder / "model")

    return make


def _run(folder: Path) -> None:
    _recipe(folder)
    (folder / "recipe.yaml").rename(folder / "config.yaml")
    lines = [{"step": step, "loss": 1 / (1 + step), "validation": {"P@1": 10.0 + step}} for step in range(4)]
    _lines(folder / "metrics.jsonl", [json.dumps(line) for line in lines])
    change = {"step": 2, "changes": {"training.epochs": [1, 2]}}
    _lines(folder / "changes.jsonl", [json.dumps(change)])
    result = {"num_steps": 4, "best_step": 3, "seconds": 1.5, "rows_per_second": 10.0, "changes": [change]}
    (folder / "result.json").write_text(
        json.dumps({**result, "plugins": [{"name": "mine"}], "stopped": None})
    )
    save_machine(folder)
    (folder / "evaluations").mkdir()
    save_predictions(folder / "evaluations" / "fuzz-test.npz", *_ranking())
    prepared = folder / "prepared"
    _dataset(prepared)
    evaluation = Evaluation(
        metrics={"P@1": 50.0},
        dataset="fuzz",
        dataset_fingerprint=Dataset.load(prepared).fingerprint,
        split="test",
        num_queries=len(TEST),
        num_labels=len(LABELS),
        filtered_pairs=0,
        depth=100,
        propensity={"a": 0.55, "b": 1.5},
        model="abc",
        offsets=False,
        seconds=1.0,
    )
    shutil.rmtree(prepared)
    (folder / "evaluations" / "fuzz-test.json").write_text(evaluation.to_json())


def learner() -> tuple[dict[str, nn.Module], dict[str, Optimiser]]:
    """What a checkpoint of the corpus is of."""
    torch.manual_seed(0)
    module = nn.Linear(3, 2)
    return {"encoder": module}, {"adamw": AdamW([ParameterGroup(list(module.parameters()), 0.1)])}


def _checkpoint(folder: Path) -> None:
    Checkpointer(folder, *learner()).save(7)


KINDS: dict[str, Callable[[Path], None]] = {
    "import-dexml": _dexml,
    "import-xc-text": _xc_text,
    "import-xc-npz": _xc_npz,
    "import-pecos": _pecos,
    "import-jsonl": _jsonl,
    "import-jsonl-names": _jsonl_names,
    "import-parquet": _parquet,
    "import-hub": _hub,
    "import-tables": _tables,
    "dataset": _dataset,
    "recipe": _recipe,
    "options": _options,
    "score-npz": _predictions_npz,
    "score-csr": _predictions_csr,
    "score-trec": _predictions_trec,
    "score-jsonl": _predictions_jsonl,
    "index-flat": _index("Flat"),
    "index-hnsw": _index("HNSW8"),
    "model-static": _model_static,
    "model-vectors": _model_vectors,
    "model-bert": _model_bert,
    "run": _run,
    "checkpoint": _checkpoint,
}
"""How to make each; the folder is there and empty."""
