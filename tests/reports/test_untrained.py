from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

from xmc.data import Dataset, DatasetWriter
from xmc.encoders import DualEncoder
from xmc.encoders.config import EncoderConfig
from xmc.errors import ConfigError, DataError
from xmc.reports.curves import Curve, LearningCurves
from xmc.reports.gains import Gain, training_gains
from xmc.reports.run_facts import RunFacts
from xmc.reports.untrained import open_untrained


def test_gains_need_a_validation_before_training() -> None:
    curves = LearningCurves({}, {"P@1": Curve([0.0, 5.0, 9.0], [10.0, 30.0, 20.0])})
    assert training_gains(RunFacts(result={"best_step": 5}, curves=curves)) == [Gain("P@1", 10.0, 30.0, 5)]
    late = LearningCurves({}, {"P@1": Curve([5.0], [30.0])})
    assert training_gains(RunFacts(result={"best_step": 5}, curves=late)) == []
    assert training_gains(RunFacts(curves=curves)) == [], "a run that did not finish"


def test_what_is_no_run_has_no_untrained_encoder(dataset, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match="--untrained: expected the first"):
        open_untrained(tmp_path, dataset, "test")
    (tmp_path / "config.yaml").write_text("encoder: {modell: x}\n")
    with pytest.raises(ConfigError, match="expected the configuration of a run"):
        open_untrained(tmp_path, dataset, "test")


def test_it_is_built_from_the_texts_of_the_run_also_for_another_data_set(
    dataset: Dataset, static_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with DatasetWriter(tmp_path / "trained", name="trained") as writer:
        writer.add_label("l", "of the run", "")
        writer.add_row("train", "q", "a query of the run", "", [0])
    config = {
        "encoder": {"model": str(static_folder), "kind": "static"},
        "data": {"path": str(tmp_path / "trained"), "query_fields": None, "label_fields": None},
        "seed": 0,
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    texts: list[str] = []
    original = DualEncoder.build

    def build(config: EncoderConfig, given: Iterable[str]) -> DualEncoder:
        texts.extend(given)
        return original(config, given)

    monkeypatch.setattr(DualEncoder, "build", build)
    system = open_untrained(tmp_path, dataset, "test", progress=False)
    assert texts == ["a query of the run", "of the run"]
    assert len(system.ids) == dataset.num_test
    shutil.rmtree(tmp_path / "trained")
    with pytest.raises(DataError, match="trained"):
        open_untrained(tmp_path, dataset, "test", progress=False)
