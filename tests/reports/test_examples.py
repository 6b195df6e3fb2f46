from __future__ import annotations

import numpy as np

from xmc.reports.examples import best_and_worst, examples, named, short


def test_best_and_worst_and_their_ties() -> None:
    values = np.array([0.0, 1.0, 1.0, 0.0, 0.5, 0.0])
    positives = np.array([1, 2, 7, 3, 1, 0])
    confidence = np.array([0.1, 0.5, 0.5, 0.9, 0.2, 1.0])
    best, worst = best_and_worst(values, positives, confidence, 2)
    assert best == [2, 1], "more positives first"
    assert worst == [3, 0], "most surely wrong first; row 5 has no positive"
    assert best_and_worst(values[:2], positives[:2], confidence[:2], 5) == ([1, 0], [])


def test_truth_and_predictions_with_texts(dataset, make_system) -> None:  # type: ignore[no-untyped-def]
    system = make_system("a", 0.8)
    values = np.linspace(0, 1, 60)
    found = examples(dataset, "test", [system], [values], [9])[0]
    positives = dataset.relevance("test")[9].indices
    points = np.bincount(dataset.relevance("train").indices, minlength=30)
    wanted = sorted(positives.tolist(), key=lambda label: -points[label])
    assert [label.uid for label in found.positives] == [f"l{label}" for label in wanted]
    texts = dataset.texts("labels")
    assert [label.text for label in found.positives] == [named(f"l{i}", texts[i]) for i in wanted]
    ranked = system.ids[9].tolist()
    places = [ranked.index(i) + 1 if i in ranked else None for i in wanted]
    assert [label.ranks for label in found.positives] == [{"a": place} for place in places]
    assert found.num_positives == 4
    assert found.query == dataset.texts("test")[9] and found.values == {"a": 100 * values[9]}
    assert len(found.predictions["a"]) == 5
    assert [p.score for p in found.predictions["a"]] == system.scores[9, :5].tolist()


def test_a_text_that_begins_with_its_uid_does_not_repeat_it() -> None:
    assert named("np.all", "np.all Test whether") == "np.all Test whether" and named("l1", "l1") == "l1"
    assert named("l1", "l10 metres") == "l1 l10 metres" and named("B0042", "a\ntent") == "B0042 a tent"


def test_short_texts() -> None:
    assert short("a\n b", 10) == "a b" and short("abc def", 5) == "abc…" and len(short("x" * 50, 20)) == 20
