from __future__ import annotations

import logging
from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from xmc.retrieval import warn_of_other_labels
from xmc.retrieval.offsets import learned_offsets


def test_offsets_are_divided_by_the_scale_and_follow_the_uids(make_encoder):
    encoder = make_encoder(offsets={"a": 2.0, "b": -4.0, "c": 6.0}, scale=2.0)
    np.testing.assert_array_equal(learned_offsets(encoder, ["a", "b", "c"]), [1.0, -2.0, 3.0])
    np.testing.assert_array_equal(learned_offsets(encoder, ["c", "a"]), [3.0, 1.0])


def test_an_unknown_label_gets_the_median(make_encoder):
    encoder = make_encoder(offsets={"a": 2.0, "b": -4.0, "c": 6.0}, scale=2.0)
    np.testing.assert_array_equal(learned_offsets(encoder, ["new", "b"]), [1.0, -2.0])


def test_none_without_offsets_or_for_other_labels(make_encoder):
    assert learned_offsets(make_encoder(), ["a"]) is None
    assert learned_offsets(make_encoder(offsets={"a": 1.0}), ["x", "y"]) is None


def test_offsets_of_other_labels_are_warned_of(make_encoder, caplog):
    other = SimpleNamespace(name="new", label_fingerprint="2")
    with caplog.at_level(logging.WARNING, logger="xmc"):
        for offsets, learned in ((None, "1"), ({"a": 1.0}, None), ({"a": 1.0}, "2")):
            encoder = make_encoder(offsets=offsets)
            encoder.metadata = replace(encoder.metadata, dataset="old", label_fingerprint=learned)
            warn_of_other_labels(encoder, other)
        assert not caplog.messages
        encoder.metadata = replace(encoder.metadata, label_fingerprint="1")
        warn_of_other_labels(encoder, other)
    assert "labels of old, which are not those of new" in caplog.text
