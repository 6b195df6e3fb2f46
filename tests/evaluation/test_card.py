from __future__ import annotations

import pytest
from huggingface_hub import ModelCard

from tests.fixtures.evaluations import made_up_evaluation
from xmc.errors import ModelError
from xmc.evaluation.card import add_evaluation, evaluation_results, evaluation_section, metric_types


def test_a_card_written_by_hand_keeps_its_text() -> None:
    text = add_evaluation("---\nlicense: mit\n---\n\n# Mine\n\nWords.\n", made_up_evaluation())
    assert text.endswith("# Mine\n\nWords.\n") and "license: mit" in text and "value: 50.0" in text


def test_a_card_without_front_matter_is_refused() -> None:
    with pytest.raises(ModelError, match="front matter"):
        add_evaluation("---\n- a list\n---\nText", made_up_evaluation())


def test_the_place_between_the_marks_is_filled_and_filled_again() -> None:
    empty = f"---\nlicense: mit\n---\n\nBefore.\n\n{evaluation_section([])}\n\nAfter.\n"
    assert "Not evaluated yet" in empty
    text = add_evaluation(empty, made_up_evaluation(metrics={"P@1": 12.345, "coverage@5": 3.0}))
    text = add_evaluation(text, made_up_evaluation(split="train", metrics={"R@10": 99.0}))
    text = add_evaluation(text, made_up_evaluation(metrics={"P@1": 67.891, "coverage@5": 3.0}))
    body = ModelCard(text).text
    assert body.index("Before.") < body.index("tiny, train; percent:") < body.index("After.")
    assert "| 67.89 |" in body and "| 99.00 |" in body and "12.3" not in text
    assert "coverage" not in text, "not of the kinds a card shows"


def test_kinds_have_the_hubs_names() -> None:
    results = evaluation_results("My set!", "ff", "test", {"P@1": 1.0, "PSP@3": 2.0, "nDCG@5": 3.0})
    assert metric_types(results) == ["precision_at_1", "propensity_scored_precision_at_3", "ndcg_at_5"]
    assert {result.dataset_type for result in results} == {"my-set"}
