from __future__ import annotations

from xmc.reports.run_facts import RunFacts, peculiarities


def test_an_ordinary_run_has_none() -> None:
    assert (
        peculiarities(
            "a", RunFacts(result={"changes": [], "plugins": [], "skipped_steps": 0, "stopped": None})
        )
        == []
    )
    assert peculiarities("a", RunFacts()) == []


def test_what_a_configuration_does_not_say_is_told() -> None:
    result = {
        "changes": [{"step": 7, "changes": {"training.learning_rate": [0.1, 0.02]}}],
        "plugins": [{"name": "./mine.py:loss", "sha256": "0"}],
        "skipped_steps": 3,
        "stopped": "no better nDCG@5",
    }
    told = peculiarities("a", RunFacts(result=result))
    assert told == [
        "a was resumed with another configuration after step 7: training.learning_rate 0.1 to 0.02.",
        "a used code of its own: ./mine.py:loss.",
        "a skipped 3 steps, which were not finite.",
        "a ended before its last step: no better nDCG@5.",
    ]
