"""A recipe by rules: what the facts of a data set decide, and what is counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from xmc.data import Dataset, DatasetWriter
from xmc.errors import DataError
from xmc.tuning.facts import DataFacts, TextShape, measure_facts
from xmc.tuning.rules import choose
from xmc.tuning.rules_beside import rules_beside, set_apart

TEXT = TextShape(median=20, percentile_95=40, total=1_000_000, pieces_per_word=1.5)
FACTS = DataFacts(
    num_rows=30_000,
    num_labels=20_000,
    num_pairs=120_000,
    pairs_per_label=6.0,
    head_share=0.3,
    shared_texts=0.0,
    both_ways=0.0,
    label_lines=0.0,
    filter_pairs=0,
    queries=TEXT,
    labels=replace(TEXT, percentile_95=9),
)


def chosen(accelerator: bool = False, **changes: object) -> dict[str, object]:
    facts = replace(FACTS, **changes)  # type: ignore[arg-type]
    choices = choose(facts, accelerator=accelerator)
    assert all(choice.reason for choice in choices) and len({c.option for c in choices}) == len(choices)
    return {choice.option: choice.value for choice in choices}


def test_lengths_hold_all_but_the_longest_texts() -> None:
    options = chosen()
    assert (options["encoder.query_length"], options["encoder.label_length"]) == (48, 16)
    long = replace(TEXT, percentile_95=500)
    assert chosen(queries=long)["encoder.query_length"] == 512
    assert chosen(queries=long, accelerator=True)["encoder.query_length"] == 128


def test_the_fewer_the_rows_the_nearer_the_virtual_negative() -> None:
    found = [
        chosen(num_rows=rows).get("objective.virtual_negative") for rows in (3, 999, 1_000, 20_000, 50_000)
    ]
    assert found == [1.0, 1.0, 0.7, 0.6, None]
    assert "objective.virtual_negative" not in chosen(accelerator=True, num_rows=3)


def test_labels_whose_texts_are_names_ask_for_themselves_first() -> None:
    assert chosen()["data.label_query_until"] == 0.2 and "data.co_labels" not in chosen()
    batch = chosen()["training.batch_size"]
    assert isinstance(batch, int)
    shares = [chosen(num_labels=n * batch).get("data.label_queries") for n in (3, 4, 6, 16, 100)]
    assert shares == [None, 2.0, 3.0, 8.0, 8.0]
    many = chosen(num_rows=100_000, num_labels=100_000)  # batches of 1,024
    assert (many["data.label_queries"], many["data.label_query_until"]) == (4.0, 0.33)
    for other in ({"num_rows": 4_999}, {"shared_texts": 0.2}, {"accelerator": True}):
        assert not any(option.startswith("data.") for option in chosen(**other))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fixed", "joined"),
    [
        ({"training.learning_rate": 0.1, "negatives.uniform": 64, "training.batch_size": 5_000}, True),
        ({"training.batch_size": 5_001}, False),
        ({"negatives.mined.count": 2}, False),
        ({"data.label_queries": 0.0}, False),
        ({"objective.name": "soft_top_k"}, True),
        ({"objective.name": "./mine.py:loss"}, False),
        ({"encoder.kind": "transformer"}, False),
        ({"distillation.teachers": "teachers.parquet"}, False),
    ],
)
def test_rules_and_search_leave_alone_what_may_not_fit_fixed_options(
    fixed: dict[str, object], joined: bool
) -> None:
    found = {choice.option for choice in rules_beside(fixed, FACTS, accelerator=False)}
    assert not found & set(fixed)
    options = {"data.label_queries", "data.label_query_until", "data.co_labels"}
    assert found & options == (options - {"data.co_labels"} if joined else set())
    assert options & set_apart(fixed, FACTS) == (set() if joined else options)
    assert ("objective.virtual_negative" in found) == ("objective.name" not in fixed)


def test_one_option_of_label_queries_may_be_fixed_alone() -> None:
    fixed = {"data.label_query_until": 0.5}
    found = {c.option: c.value for c in rules_beside(fixed, FACTS, accelerator=False)}
    assert found["data.label_queries"] == 8.0 and "data.label_query_until" not in found


def test_the_device_decides_the_kind() -> None:
    assert chosen()["encoder.kind"] == "static" and chosen(accelerator=True)["encoder.kind"] == "transformer"
    assert "encoder.vocabulary" not in chosen(accelerator=True)


def test_words_that_fall_to_pieces_become_tokens_where_there_is_text_to_learn_them_from() -> None:
    assert chosen()["encoder.vocabulary"] == 60_000
    whole = replace(TEXT, pieces_per_word=1.05)
    assert "encoder.vocabulary" not in chosen(queries=whole, labels=whole)
    few = replace(TEXT, total=10_000)
    assert "encoder.vocabulary" not in chosen(queries=few, labels=few)


def test_few_pairs_share_one_table() -> None:
    assert (
        chosen()["encoder.tied"] is False and chosen(num_pairs=2_000, head_share=0.05)["encoder.tied"] is True
    )
    assert (
        chosen(num_pairs=2_000)["encoder.tied"] is False and chosen(num_pairs=1_000)["encoder.tied"] is True
    )


def test_a_relation_of_equals_shares_one_table_however_many_pairs_there_are() -> None:
    assert chosen(both_ways=0.5)["encoder.tied"] is True
    assert chosen(both_ways=0.49)["encoder.tied"] is False
    assert chosen(both_ways=1.0, shared_texts=0.1)["encoder.tied"] is False, "a text that is no name"


def test_equals_learn_longer_and_without_vectors_of_their_own() -> None:
    alike, plain = chosen(both_ways=0.9), chosen()
    assert (alike["training.epochs"], alike["training.learning_rate"]) == (14, 0.01)
    assert (plain["training.epochs"], plain["training.learning_rate"]) == (7, 0.005)
    # Of few rows each is learned by heart, and a transformer's passes are dear.
    for rows, epochs, rate in ((4_999, 10, 0.005), (5_000, 20, 0.01)):
        border = chosen(both_ways=0.9, num_rows=rows)
        assert (border["training.epochs"], border["training.learning_rate"]) == (epochs, rate)
    names = chosen(both_ways=0.9, shared_texts=0.1)
    assert (names["training.epochs"], names["training.learning_rate"]) == (7, 0.005), "a text that is no name"
    slow = chosen(both_ways=0.9, accelerator=True)
    assert slow["training.epochs"] == 7 and slow["training.learning_rate"] == 1e-4
    dense = {"pairs_per_label": 40.0}
    assert chosen(**dense)["residuals.enabled"] is True  # type: ignore[arg-type]
    assert "residuals.enabled" not in chosen(both_ways=0.9, **dense)  # type: ignore[arg-type]


def test_the_reason_of_a_length_says_what_is_not_read() -> None:
    long = replace(TEXT, percentile_95=340)
    made = {c.option: c for c in choose(replace(FACTS, queries=long, labels=long), accelerator=False)}
    assert made["encoder.label_length"].value == 128
    assert made["encoder.label_length"].reason.endswith("up to 340 tokens, of which the first 128 are read")
    assert made["encoder.query_length"].value == 352
    assert made["encoder.query_length"].reason.endswith("up to 340 tokens")


def test_a_pool_for_very_many_labels_has_more_of_them_for_larger_batches() -> None:
    few, many = chosen(num_labels=65_536), chosen(num_labels=65_537)
    assert (few["negatives.uniform"], few["training.batch_size"]) == (512, 512)
    assert (many["negatives.uniform"], many["training.batch_size"]) == (8_192, 1_024)
    many = chosen(num_labels=65_537, accelerator=True)
    assert (many["negatives.uniform"], many["training.batch_size"]) == (512, 512), "a transformer reads them"


def test_small_data_take_small_batches_and_many_passes() -> None:
    sizes = [chosen(num_rows=rows)["training.batch_size"] for rows in (200, 2_000, 30_000, 1_000_000)]
    epochs = [chosen(num_rows=rows)["training.epochs"] for rows in (200, 2_000, 30_000, 1_000_000)]
    assert sizes == sorted(sizes) and sizes[0] == 16 and sizes[-1] == 1024  # type: ignore[type-var]
    assert epochs == sorted(epochs, reverse=True) and epochs[-1] == 3  # type: ignore[type-var]
    assert chosen(num_rows=5)["training.epochs"] == 200, "a step a pass"


@pytest.mark.parametrize(
    ("rows", "each", "in_all"), [(5, "a step", 200), (18, "2 steps", 400), (180, "12 steps", 228)]
)
def test_steps_are_those_that_a_training_takes(rows: int, each: str, in_all: int) -> None:
    """Of batches of one size, which are as many as hold the rows."""
    made = {
        choice.option: choice.reason for choice in choose(replace(FACTS, num_rows=rows), accelerator=False)
    }
    assert made["training.batch_size"] == f"{each} for each pass over {rows} rows"
    assert made["training.epochs"] == f"{in_all} steps in all"


def test_labels_of_many_pairs_learn_a_vector_and_many_labels_are_sampled() -> None:
    assert chosen(shared_texts=0.2)["residuals.enabled"] is True, "a text that is no name"
    assert "residuals.enabled" not in chosen(shared_texts=0.2, pairs_per_label=1.5)
    assert "residuals.enabled" not in chosen() and chosen(pairs_per_label=40.0)["residuals.enabled"] is True
    assert chosen()["negatives.mode"] == "sampled" and chosen(num_labels=500)["negatives.mode"] == "all"


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    with DatasetWriter(tmp_path / "d", name="d", query_fields=("title",), label_fields=("title",)) as writer:
        for label in range(200):
            writer.add_label(f"l{label}", "bird" if label else "a bird of stone")
        for row in range(10):
            writer.add_row("train", f"q{row}", "the red house", "", [0, row])
        writer.add_row("train", "none", "no label", "", [])
        writer.add_row("test", "t", "word " * 400, "", [0])
        for split, label in (("train", 5), ("train", 6), ("test", 7)):
            writer.add_filter(split, 0, label)
    return Dataset.load(tmp_path / "d")


def test_facts_are_of_the_training_part(dataset: Dataset, static_folder: Path) -> None:
    facts = measure_facts(dataset, str(static_folder))
    assert (facts.num_rows, facts.num_labels, facts.num_pairs) == (10, 200, 19)
    assert facts.pairs_per_label == pytest.approx(1.9)
    # Two labels are the most frequent hundredth: one has ten of the pairs, the other one.
    assert facts.head_share == pytest.approx(11 / 19)
    assert facts.filter_pairs == 2 and facts.shared_texts == 199 / 200
    assert facts.queries.median == 3 and facts.queries.percentile_95 == 3, "the long test text is not read"
    assert facts.labels.total == 203 and facts.queries.pieces_per_word == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ({"a": "bc", "b": "a", "c": "d", "d": "c"}, 4 / 5),
        ({"a": "ba", "b": "ca"}, 2 / 2),  # a label that is no row's does not ask
        ({"a": "ab", "b": "d", "d": "a"}, 0.0),  # a pair with itself is no pair of two
        ({"a": "b", "b": "a", "x": "a"}, 1.0),  # a row that is no label's does not ask
        ({"x": "ab", "y": "a"}, 0.0),  # texts of rows that are no label's
        ({"a": "b", "b": "a", **{f"row {n}": "c" for n in range(19)}}, 0.0),  # 2 of 21 pairs
        ({"a": "b", "b": "a", **{f"row {n}": "c" for n in range(18)}}, 1.0),  # 2 of 20
    ],
)
def test_pairs_that_stand_both_ways(
    pairs: dict[str, str], expected: float, tmp_path: Path, static_folder: Path
) -> None:
    with DatasetWriter(tmp_path / "d", name="d") as writer:
        for name in "abcd":
            writer.add_label(name.upper(), name, "")
        for row, labels in pairs.items():
            writer.add_row("train", f"row of {row}", row, "", ["abcd".index(name) for name in labels])
    assert measure_facts(Dataset.load(tmp_path / "d"), str(static_folder)).both_ways == expected


def test_texts_that_are_empty_stand_for_nothing(tmp_path: Path, static_folder: Path) -> None:
    with DatasetWriter(tmp_path / "d", name="d") as writer:
        for uid, text in (("A", "a"), ("E", ""), ("B", "b")):
            writer.add_label(uid, text, "")
        writer.add_row("train", "row of a", "a", "", [1, 2])
        writer.add_row("train", "row of b", "b", "", [0])
        writer.add_row("train", "empty row", "", "", [2])
    assert measure_facts(Dataset.load(tmp_path / "d"), str(static_folder)).both_ways == 1.0


def test_labels_of_several_lines_are_counted(tmp_path: Path, static_folder: Path) -> None:
    with DatasetWriter(tmp_path / "d", name="d", query_fields="title") as writer:
        writer.add_label("a", "bird", "a fowl\nof the air")
        writer.add_label("b", "house", "red\n")
        writer.add_row("train", "q", "the red house", "", [1])
    assert measure_facts(Dataset.load(tmp_path / "d"), str(static_folder)).label_lines == 0.5


def test_data_without_a_label_to_learn_from_are_refused(tmp_path: Path, static_folder: Path) -> None:
    with DatasetWriter(tmp_path / "d", name="d") as writer:
        writer.add_label("a", "tent", "")
        writer.add_row("train", "q", "camping", "", [])
    with pytest.raises(DataError, match="training rows with labels"):
        measure_facts(Dataset.load(tmp_path / "d"), str(static_folder))
