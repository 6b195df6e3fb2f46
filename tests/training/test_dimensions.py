"""Runs on prefixes of the vectors: what they log, keep, refuse and resume."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fixtures.killed import train_until_killed
from tests.runs import logged, losses
from xmc.encoders import DualEncoder
from xmc.errors import ConfigError
from xmc.evaluation import Evaluation, evaluate
from xmc.retrieval import LabelIndex
from xmc.training import Trainer, train
from xmc.training.batches import NegativesConfig
from xmc.training.batches.memory.config import MemoryConfig


@pytest.fixture
def short(config, changed):
    return changed(
        config,
        encoder={"dimensions": [24, 6], "dimension_weights": [1, 3]},
        training={"epochs": 2, "checkpoint_every": 5},
        residuals={"enabled": True},
    )


def test_each_dimension_is_measured_and_a_killed_run_goes_on(short, changed, dataset, tmp_path, monkeypatch):
    result = train(short)
    assert {"nDCG@5", "d6/nDCG@5"} <= set(result.validation)
    said = [line["validation"] for line in logged(short.run.dir) if "validation" in line]
    assert len(said) > 1 and all("d6/P@1" in line for line in said)
    killed = changed(short, run={"dir": str(tmp_path / "killed")})

    train_until_killed(killed, 8, monkeypatch)
    again = train(changed(killed, run={"resume": True}))
    assert losses(short.run.dir) == losses(tmp_path / "killed")
    model = DualEncoder.load(result.last_path)
    assert model.fingerprint == DualEncoder.load(again.last_path).fingerprint
    assert model.metadata.dimensions == (24, 6)
    measured = evaluate(model, dataset, progress=False)
    alone = evaluate(model.truncated(6), dataset, progress=False)
    assert measured.dimensions == {"6": alone.metrics} and not alone.dimensions
    table = measured.table().splitlines()
    assert [line.split()[0] for line in table[-2:]] == ["24", "6"]
    assert Evaluation.from_json(measured.to_json()) == measured


def test_a_short_prefix_learns_what_it_does_not_learn_by_itself(config, changed, dataset, tmp_path):
    """A control: the same run without, cut to as many components, ranks worse."""
    options = {"dimensions": [24, 4]}
    trained = train(changed(config, encoder=options))
    whole = train(changed(config, run={"dir": str(tmp_path / "whole")}))
    scores = [
        evaluate(DualEncoder.load(run.last_path).truncated(4), dataset, progress=False).metrics["nDCG@5"]
        for run in (trained, whole)
    ]
    assert scores[0] > scores[1] + 3


def test_an_index_keeps_the_components_it_is_asked_for(short, dataset, tmp_path, caplog):
    model = DualEncoder.load(train(short).last_path)
    index = LabelIndex.build(model, dataset, kind="exact", dimensions=6, progress=False)
    assert not caplog.records
    index.save(tmp_path / "index")
    loaded = LabelIndex.load(tmp_path / "index")
    assert loaded.manifest.truncated_to == loaded.manifest.dimension == 6
    texts = list(dataset.texts("test")[:5])
    queries = model.truncated(6).encode_queries(texts)
    wanted = index.search_vectors(queries, 5)
    for found in (index.search(texts, 5), loaded.search(texts, 5, model), index.search(texts, 5, model)):
        np.testing.assert_array_equal(found[0], wanted[0])
    loaded.add("query1 label2", "new")
    assert len(loaded) == 41 and loaded.encoder.dimension == 6
    # An index of whole vectors takes the model that another index has cut.
    again = LabelIndex.build(model, dataset, kind="exact", progress=False)
    again.save(tmp_path / "whole")
    assert LabelIndex.load(tmp_path / "whole", loaded.encoder).encoder.dimension == 24
    LabelIndex.build(model, dataset, kind="exact", dimensions=5, progress=False)
    assert "was trained to rank by 24, 6 components" in caplog.text
    with pytest.raises(ConfigError, match="1 to 24 components"):
        LabelIndex.build(model, dataset, dimensions=25, progress=False)
    parts = [LabelIndex.build(model, ["a"], dimensions=d, uids=[str(d)], progress=False) for d in (6, None)]
    with pytest.raises(ConfigError, match="of one dimension"):
        LabelIndex.merge(parts, progress=False)


def test_what_does_not_go_with_prefixes_is_refused(config, changed):
    options = {"dimensions": [24, 6]}
    with pytest.raises(ConfigError, match="expected null with a factored head"):
        changed(
            config,
            encoder=options,
            head={"kind": "factored"},
            objective={"name": "spherical_softmax", "label_offsets": False},
            negatives={"mode": "all", "uniform": 0},
        )
    memory = NegativesConfig(mode="sampled", uniform=12, memory=MemoryConfig(enabled=True))
    with pytest.raises(ConfigError, match=r"encoder.dimensions: expected null with negatives.memory"):
        changed(
            changed(config, encoder=options),
            objective={"name": "spherical_softmax", "label_offsets": False},
            negatives={"memory": memory.memory},
        )
    with pytest.raises(ConfigError, match="expected 24, the components"):
        Trainer(changed(config, encoder={"dimensions": [12, 6]}))
