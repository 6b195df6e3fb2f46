"""Labels that clicks name: numbers and lists in one field are told, and names of things are not."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from xmc.data import describe, prepare
from xmc.data.label_names import label_names, separator_of
from xmc.data.tables import Columns, TableOptions

WORDS = "red blue green chair table lamp desk sofa".split()


def clicks(path: Path, labels: list[str], head: str = "query,label") -> Path:
    rows = (f'word {row},"{label}"' for row, label in enumerate(labels))
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("separator", [";", "|", ", ", "\t"])
def test_lists_in_one_field_are_told(tmp_path: Path, separator: str) -> None:
    rng = random.Random(1)
    labels = [separator.join(rng.sample(WORDS, 2)) for _ in range(60)]
    path = clicks(tmp_path / "clicks.csv", labels)
    names = label_names(prepare(path, tmp_path / "out", progress=False))
    assert names.separator == separator.strip(" ") and names.example in labels and not names.num_numbers


def test_the_advice_mends_it(tmp_path: Path) -> None:
    rng = random.Random(2)
    path = clicks(tmp_path / "clicks.csv", [";".join(rng.sample(WORDS, 2)) for _ in range(60)])
    (line,) = (
        line for line in describe(prepare(path, tmp_path / "a", progress=False)).advice if "several" in line
    )
    assert line.endswith("import again with --columns labels=COLUMN --separator ';'")
    options = TableOptions(columns=Columns(labels="label"), separator=";")
    again = prepare(path, tmp_path / "b", options=options, progress=False)
    assert again.num_labels == len(WORDS) and label_names(again).separator is None


@pytest.mark.parametrize(
    "names",
    [
        [f"shirt {n}, {size}" for n in range(90) for size in ("S", "M", "L")],
        [f"{family}, {given}" for family in WORDS for given in ("Ann", "Ben", "Cay", "Dan", "Eve")],
        [f"A|{kind}|{n}" for kind in WORDS for n in range(20)],
    ],
)
def test_parts_that_have_their_places_are_of_one_name(names: list[str]) -> None:
    assert separator_of(names) is None


def test_decimal_commas_are_of_numbers(tmp_path: Path) -> None:
    labels = [f"{whole},{part}" for whole in range(6) for part in range(6)]
    names = label_names(prepare(clicks(tmp_path / "clicks.csv", labels), tmp_path / "out", progress=False))
    assert (names.num_numbers, names.separator) == (36, None)


def test_names_with_commas_are_names() -> None:
    assert separator_of([f"Chair {n}, of oak and {n} more" for n in range(50)]) is None
    assert separator_of(["red;blue"] + [f"thing {n}" for n in range(50)]) is None, "one of fifty"
    assert separator_of([]) is None


@pytest.mark.parametrize(
    ("labels", "numbers"),
    [(["7", "12", "-3", "4.5", "word"], 4), (["7", "one", "two"], 0), (["v1", "v2"], 0)],
)
def test_numbers_are_told_where_most_are(tmp_path: Path, labels: list[str], numbers: int) -> None:
    built = prepare(clicks(tmp_path / "clicks.csv", labels), tmp_path / "out", progress=False)
    assert label_names(built).num_numbers == numbers
    told = [line for line in describe(built).advice if "are numbers such as '7'" in line]
    assert len(told) == (numbers > 0)


def test_a_table_of_labels_says_what_numbers_are(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("uid,title\n7,seven\n12,twelve\n", encoding="utf-8")
    path = clicks(tmp_path / "clicks.csv", ["7", "12"])
    built = prepare(path, tmp_path / "out", labels=table, progress=False)
    assert label_names(built).num_numbers == 0
