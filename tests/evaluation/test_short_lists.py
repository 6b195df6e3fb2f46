from __future__ import annotations

import logging

import numpy as np
import pytest

from xmc.evaluation.short_lists import short_lists, warn_of_short_lists


def test_each_cut_off_that_a_list_does_not_reach_is_named(caplog: pytest.LogCaptureFixture) -> None:
    lengths, room = np.array([0, 3, 3, 9]), np.array([50, 50, 3, 50])
    with caplog.at_level(logging.WARNING, logger="xmc"):
        warn_of_short_lists("run.npz", lengths, room, (1, 5, 10))
    assert short_lists(lengths, room, 10) == 3
    assert caplog.messages == [
        "run.npz: 1 of 4 queries has fewer than 1, 2 of 4 queries have fewer than 5, 3 of 4 queries have "
        "fewer than 10 predictions (1 has none): metrics at these cut-offs count what is missing as wrong"
    ]


def test_cut_offs_that_as_many_queries_do_not_reach_are_one(caplog: pytest.LogCaptureFixture) -> None:
    lengths, room = np.array([0, 2, 2]), np.full(3, 3)
    with caplog.at_level(logging.WARNING, logger="xmc"):
        warn_of_short_lists("words", lengths, room, (1, 3, 5, 10))
    assert short_lists(lengths, room, 10) == 3
    assert caplog.messages == [
        "words: 1 of 3 queries has fewer than 1, 3 of 3 queries have fewer than 3, 5 or 10 predictions "
        "(1 has none): metrics at these cut-offs count what is missing as wrong"
    ]


def test_lists_that_are_full_or_empty_are_told_in_a_word(caplog: pytest.LogCaptureFixture) -> None:
    lengths, room = np.array([0, 3, 0]), np.full(3, 3)
    with caplog.at_level(logging.WARNING, logger="xmc"):
        warn_of_short_lists("words", lengths, room, (1, 3, 100))
    assert short_lists(lengths, room, 100) == 2
    assert caplog.messages == [
        "words: 2 of 3 queries have no predictions: metrics count what is missing as wrong"
    ]


def test_full_lists_say_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="xmc"):
        warn_of_short_lists("run.npz", np.array([10, 3]), np.array([50, 3]), (1, 10))
    assert short_lists(np.array([10, 3]), np.array([50, 3]), 10) == 0
    assert not caplog.messages
