"""Mining in the background reads the weights of the step it began at, whatever later steps make of them."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch

from xmc.training import Trainer
from xmc.training.batches import MinedConfig
from xmc.training.batches.mined.source import HardNegatives
from xmc.training.learned.frozen_encoder import FrozenEncoder


@pytest.mark.parametrize("residuals", [False, True])
def test_lists_are_those_of_the_weights_when_mining_began(
    residuals: bool, config: Any, changed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mined = MinedConfig(count=2, last=6)
    trainer = Trainer(changed(config, negatives={"mined": mined}, residuals={"enabled": residuals}))
    inputs = trainer.prepare_inputs()
    source = next(s for s in inputs.batches.sources if isinstance(s, HardNegatives))
    encoder = inputs.frozen

    def lists() -> np.ndarray:
        """Of a mining that nothing disturbs."""
        alone = HardNegatives(
            source.config, source.queries, source.positives, source.world, source.device, seed=0
        )
        if not alone.poll(0, encoder, None):  # so few rows may be mined before it looks
            assert alone._task is not None
            alone._task.join()
            assert alone.poll(0, encoder, None)
        assert alone.lists is not None
        return alone.lists.ids

    before = lists()
    stepped, original = threading.Event(), FrozenEncoder.encode_labels

    def late(self: FrozenEncoder, label_ids: np.ndarray) -> torch.Tensor:
        assert stepped.wait(30)
        return original(self, label_ids)

    monkeypatch.setattr(FrozenEncoder, "encode_labels", late)
    assert not source.poll(0, encoder, None), "it mines"
    # As an optimiser does: in place, while the mining has yet to read a weight.
    changes = [*encoder.encoder.model.parameters()] if not residuals else [encoder.residuals[1]]  # type: ignore[index]
    with torch.no_grad():
        for parameter in changes:
            parameter.copy_(torch.randn_like(parameter))
    stepped.set()
    assert source._task is not None
    source._task.join()
    assert source.poll(1, encoder, None) and source.lists is not None
    np.testing.assert_array_equal(source.lists.ids, before)
    assert (lists() != before).any(), "the new weights find others"
