"""Validation gives every number of ranks the metrics of a whole sort on one, to the last bit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from tests.distributed.ranks import Ranks
from tests.fixtures.encoders import NumberEncoder
from xmc.data import Dataset, DatasetWriter, inverse_propensity
from xmc.distributed import current_world
from xmc.encoders import add_residuals
from xmc.evaluation import ranking_metrics
from xmc.heads import HeadConfig
from xmc.training.config import DataConfig, ObjectiveConfig, RunOptions, TrainConfig
from xmc.training.validation import DEPTH, Validator

NUM_LABELS, SCALE = 151, 4.0


@dataclass
class Frozen:
    """What a `FrozenEncoder` gives, of texts that spell their vectors."""

    dataset: Dataset
    residual: torch.Tensor | None

    def encode_queries(self, rows: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(NumberEncoder().encode_queries(self.dataset.texts("train", ["title"])[rows]))

    def encode_labels(self, ids: np.ndarray) -> torch.Tensor:
        labels = torch.from_numpy(NumberEncoder().encode_labels(self.dataset.texts("labels", ["title"])[ids]))
        return labels if self.residual is None else add_residuals(labels, self.residual[ids])


@dataclass
class Learned:
    """The parts of a `Learner` that rank labels; whole numbers, so that scores are exact and often tied."""

    objective: str
    offsets: np.ndarray | None = None
    table: torch.Tensor | None = None
    residual: torch.Tensor | None = None

    @property
    def head(self) -> Any:
        return None if self.table is None else SimpleNamespace(table=lambda dtype: self.table.to(dtype))

    @property
    def parameters(self) -> Any:
        return SimpleNamespace(scale=torch.tensor(SCALE), relative_offsets=lambda: self.offsets)

    @property
    def config(self) -> TrainConfig:
        return TrainConfig(
            data=DataConfig("data"),
            run=RunOptions("run"),
            objective=ObjectiveConfig(name=self.objective, scale=SCALE),
            head=HeadConfig(kind="none" if self.table is None else "factored"),
        )


def random_numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-2, 3, shape).astype(np.float32)


CASES = {
    "scores": Learned("softmax"),
    "offsets": Learned("softmax", offsets=random_numbers(NUM_LABELS)),
    "residuals": Learned("softmax", residual=torch.from_numpy(random_numbers(NUM_LABELS, 3, seed=1))),
    "magnitude": Learned("spherical_softmax", table=torch.from_numpy(random_numbers(NUM_LABELS, 3, seed=2))),
    "shifted": Learned("taylor_softmax", table=torch.from_numpy(random_numbers(NUM_LABELS, 3, seed=3))),
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("validation") / "data"
    rng = np.random.default_rng(0)
    with DatasetWriter(folder, name="numbers") as writer:
        for label in range(NUM_LABELS):
            writer.add_label(f"l{label}", " ".join(map(str, rng.integers(-2, 3, 3))))
        for row in range(60):
            labels = rng.choice(NUM_LABELS, rng.integers(0, 9), replace=False).tolist()
            writer.add_row("train", f"t{row}", " ".join(map(str, rng.integers(-2, 3, 3))), "", labels)
            for label in rng.choice(NUM_LABELS, 20, replace=False).tolist():
                writer.add_filter("train", row, label)
    return Dataset.load(folder)


def validate(folder: Path, name: str, rows: np.ndarray) -> dict[str, float]:
    learned = CASES[name]
    world, device = current_world(), torch.device("cpu")
    dataset = Dataset.load(folder)
    validator = Validator(dataset, rows, world, device, learned.config)
    return validator(learned, Frozen(dataset, learned.residual))  # type: ignore[arg-type]


def by_a_whole_sort(dataset: Dataset, name: str, rows: np.ndarray) -> dict[str, float]:
    learned = CASES[name]
    queries = NumberEncoder().encode_queries(dataset.texts("train", ["title"])[rows])
    labels = torch.from_numpy(NumberEncoder().encode_labels(list(dataset.texts("labels", ["title"]))))
    if learned.residual is not None:
        labels = add_residuals(labels, learned.residual)
    if learned.table is not None:
        labels = learned.table
    scores = (torch.from_numpy(queries) @ labels.T).numpy()
    if learned.offsets is not None:
        scores = scores + learned.offsets
    if name in ("magnitude", "shifted"):
        scores = np.abs(scores + (1 / SCALE if name == "shifted" else 0.0))
    scores[dataset.filter("train")[rows].toarray()] = -np.inf  # type: ignore[index]
    ids = np.argsort(-scores, axis=1, kind="stable")[:, :DEPTH]
    relevance, constants = dataset.relevance("train"), dataset.propensity
    weights = inverse_propensity(relevance, constants.a, constants.b)
    return ranking_metrics(sp.csr_matrix(relevance[rows]), ids, weights)


@pytest.mark.parametrize("num_rows", [23, 2])  # three ranks: uneven, and one without a query
@pytest.mark.parametrize("name", CASES)
def test_ranks_measure_what_a_whole_sort_measures(
    ranks: Ranks, dataset: Dataset, name: str, num_rows: int
) -> None:
    rows = np.random.default_rng(1).choice(60, num_rows, replace=False)
    expected = by_a_whole_sort(dataset, name, rows)
    assert num_rows == 2 or any(0 < value < 100 for value in expected.values())
    for size in (1, 2, 3):
        assert ranks.run(validate, dataset.path, name, rows, size=size) == [expected] * size


def test_pairs_apart_are_neither_right_nor_wrong(dataset: Dataset) -> None:
    rows, learned = np.arange(20), CASES["scores"]
    validator = Validator(dataset, rows, current_world(), torch.device("cpu"), learned.config)
    frozen: Any = Frozen(dataset, None)
    validator(learned, frozen)  # type: ignore[arg-type]
    before = [ids[ids >= 0].tolist() for ids in validator.ranking[0]]  # type: ignore[index]
    truth = sp.csr_matrix(dataset.relevance("train")[rows])
    apart = (truth.toarray() != 0) & (np.random.default_rng(3).random(truth.shape) < 0.5)
    validator.apart = sp.csr_matrix(apart)
    metrics = validator(learned, frozen)  # type: ignore[arg-type]
    after = validator.ranking[0]  # type: ignore[index]
    for row, ids in enumerate(before):
        left = [label for label in ids if not apart[row, label]]
        assert after[row][: len(left)].tolist() == left
    relevance, constants = dataset.relevance("train"), dataset.propensity
    weights = inverse_propensity(relevance, constants.a, constants.b)
    kept = sp.csr_matrix(np.where(apart, 0, truth.toarray()))
    assert metrics == ranking_metrics(kept, after, weights) and metrics != ranking_metrics(
        truth, after, weights
    )
