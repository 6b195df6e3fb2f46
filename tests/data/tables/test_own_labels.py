"""Queries that are labels themselves: which they are, and when their own pairs are left out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from xmc.cli.main import main
from xmc.data import Dataset
from xmc.data.tables import TableOptions
from xmc.data.tables.labels import LabelTexts
from xmc.data.tables.own_labels import own_labels
from xmc.errors import ConfigError

Write = Callable[..., Path]
Run = Callable[..., Dataset]


def filtered(dataset: Dataset, split: str = "train") -> dict[str, str]:
    matrix = dataset.filter(split)
    if matrix is None:
        return {}
    found = matrix.tocoo()
    texts, names = dataset.texts(split), dataset.uids("labels")
    return {texts[int(row)]: names[int(label)] for row, label in zip(found.row, found.col, strict=True)}


def items(write: Write, count: int) -> Path:
    return write("items.csv", "uid,title\n" + "".join(f"p{n},Thing {n}\n" for n in range(count)))


def related(write: Write, queries: Iterable[tuple[str, str]], name: str = "related.csv") -> Path:
    """Clicks of queries, each on one label, by uid."""
    return write(name, "query,label\n" + "".join(f"{query},{label}\n" for query, label in queries))


def ring(count: int, selves: int = 0) -> list[tuple[str, str]]:
    """Each item clicked to the next, the first ones to themselves."""
    return [(f"Thing {n}", f"p{n if n < selves else (n + 1) % count}") for n in range(count)]


def label_texts(*given: tuple[str, str]) -> LabelTexts:
    labels = LabelTexts("here")
    for uid, title in given:
        labels.add(uid, title)
    return labels


def test_a_title_tells_where_it_is_one_labels() -> None:
    labels = label_texts(("a", "Lamp"), ("b", "Desk"), ("c", "Desk"), ("Desk", "Chair"), ("e", ""))
    texts = [(None, title, content) for title, content in (("Lamp", ""), ("Lamp", "of brass"), ("Desk", ""))]
    assert own_labels([*texts, (None, "", "nothing"), (None, "Stool", "")], labels).tolist() == [
        0,
        0,
        -1,
        -1,
        -1,
    ]
    # In another case where that is one label's, and as it is where it is not.
    twins = label_texts(("a", "VPN"), ("b", "vpn"), ("c", "Fax"))
    texts = [(None, title, "") for title in ("vpn", "VPN", "Vpn", "FAX ")]
    assert own_labels(texts, twins).tolist() == [1, 0, -1, 2]


def test_uids_tell_where_they_are_those_of_labels() -> None:
    labels = label_texts(("p1", "Lamp"), ("p2", "Desk"), ("p3", "Desk"), ("p4", "Chair"))
    # The desk of uid p3 is not p2, a lamp of another uid is another lamp, and case is of no account.
    texts = [("p3", "Desk", ""), ("p4", "chair", ""), ("x1", "Lamp", ""), ("p2", "Desk", "")]
    assert own_labels(texts, labels).tolist() == [2, 3, -1, 1]
    # Two without a title are not the same for that.
    untitled = label_texts(("1", ""), ("2", ""))
    assert own_labels([("1", "", "red"), ("2", "", "blue")], untitled).tolist() == [-1, -1]
    # Numbers of queries that are also numbers of labels name nothing.
    numbered = label_texts(("1", "Lamp"), ("2", "Desk"), ("3", "Chair"))
    assert own_labels([("1", "Desk", ""), ("2", "Chair", ""), ("3", "Sofa", "")], numbered).tolist() == [
        1,
        2,
        -1,
    ]


def test_texts_may_be_worded_otherwise_where_uids_are_names(write: Write, run: Run) -> None:
    def made(uid: str, labels: str | None, split: float | None = None) -> Dataset:
        rows = "".join(f"{uid}{n},Thing {n}. Of wood,{uid}{(n + 1) % 30}\n" for n in range(30))
        clicks = write("related.csv", "query_uid,query,label\n" + rows)
        table = None if labels is None else write("items.csv", labels)
        return run(clicks, labels=table, split=split)

    cut = "uid,title,content\n" + "".join(f"p{n},Thing {n},Of wood\n" for n in range(30))
    whole = "uid,content\n" + "".join(f"p{n},Thing {n}. Of wood\n" for n in range(30))
    for labels in (cut, whole, None):  # without a table labels are names alone
        assert len(filtered(made("p", labels))) == 30
    numbers = "uid,title,content\n" + "".join(f"{n},Thing {n},Of wood\n" for n in range(30))
    assert not filtered(made("", numbers)) and not filtered(made("", None))
    # Both sides of a split are taken alike.
    dataset = made("p", cut, split=0.3)
    assert len(filtered(dataset)) + len(filtered(dataset, "test")) == 30


def test_of_related_items_an_item_is_not_its_own(
    write: Write, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    clicks, labels = related(write, ring(30)), items(write, 30)
    with caplog.at_level(logging.INFO):
        dataset = run(clicks, labels=labels)
    assert filtered(dataset) == {f"Thing {n}": f"p{n}" for n in range(30)}
    said = "related.csv: 30 of 30 queries are labels themselves, 0 with a click on themselves: each of the 30"
    assert (
        f"{said} without is left out of training and ranking for itself, as of related items" in caplog.text
    )
    kept = run(clicks, labels=labels, options=TableOptions(own_label="keep"))
    assert not filtered(kept) and kept.fingerprint != dataset.fingerprint


@pytest.mark.parametrize(
    ("queries", "others", "selves", "left_out"),
    [
        (19, 0, 0, False),
        (20, 0, 0, True),
        (40, 40, 0, True),
        (40, 41, 0, False),
        (200, 0, 2, True),
        (200, 0, 3, False),
    ],
)
def test_when_items_are_told_from_searches(
    queries: int, others: int, selves: int, left_out: bool, write: Write, run: Run
) -> None:
    words = [(f"word {n}", "p0") for n in range(others)]
    dataset = run(related(write, ring(queries, selves) + words), labels=items(write, queries))
    assert len(filtered(dataset)) == (queries - selves if left_out else 0)
    # Who asks for it gets it; a click on itself stands.
    asked = run(
        related(write, ring(queries, selves) + words),
        labels=items(write, queries),
        options=TableOptions(own_label="filter"),
    )
    assert len(filtered(asked)) == queries - selves


def test_what_is_not_done_is_said_where_it_may_matter(
    write: Write, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    def said(clicks: Path, **given: object) -> str:
        caplog.clear()
        with caplog.at_level(logging.INFO):
            run(clicks, **given)
        return caplog.text

    labels = items(write, 200)
    assert (
        "200 of 200 queries are labels themselves, 3 with a click on themselves: --own-label filter leaves"
        in said(related(write, ring(200, 3)), labels=labels)
    )
    many = related(write, ring(200)[:21] + [(f"word {n}", "p0") for n in range(189)])
    assert "21 of 210 queries are labels" in said(many, labels=labels)
    few = related(write, ring(200)[:20] + [(f"word {n}", "p0") for n in range(189)])
    assert "themselves" not in said(few, labels=labels)
    assert "themselves" not in said(labels, part="labels")
    # Asked for, it says what it found, also nothing.
    strangers = related(write, [("one", "p1"), ("two", "p2")])
    told = said(strangers, labels=labels, options=TableOptions(own_label="filter"))
    assert "0 of 2 queries are labels themselves, 0 with a click on themselves: each of the 0" in told
    one = related(write, [("Thing 1", "p1"), ("Thing 2", "p1"), ("two", "p2")])
    told = said(one, labels=labels, options=TableOptions(own_label="filter"))
    assert "2 of 3 queries are labels themselves, 1 with a click on itself: the 1 without is left out" in told


def test_training_and_test_rows_are_judged_together(write: Write, run: Run) -> None:
    # Of the test rows alone a quarter are labels, of all rows most.
    clicks, labels = related(write, ring(30)[:-1]), items(write, 30)
    test = related(write, [("Thing 29", "p2"), ("a", "p1"), ("b", "p1"), ("c", "p1")], "test.csv")
    dataset = run(clicks, labels=labels, test=test)
    assert filtered(dataset, "test") == {"Thing 29": "p29"} and len(filtered(dataset)) == 29


def test_clicks_on_a_data_sets_labels_are_like_its_own(
    write: Write, run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from xmc.data import prepare

    labels = items(write, 30)
    for own, expected in (("keep", {}), ("auto", {"Thing 3": "p3"})):
        folder = tmp_path / own
        prepare(
            related(write, ring(30)),
            folder,
            labels=labels,
            options=TableOptions(own_label=own),
            progress=False,
        )
        # Of a month of few items and of one of many: as there, and not as they are.
        month = [("Thing 3", "p2"), ("a", "p1"), ("b", "p1")] if expected else ring(30)
        june = related(write, month, "june.csv")
        with caplog.at_level(logging.INFO):
            assert filtered(run(june, labels=folder, part="test"), "test") == expected
        assert (
            f"june.csv: --own-label {'filter' if expected else 'keep'}, as in the data set {folder}"
            in caplog.text
        )
    assert f"june.csv: --own-label filter, as in the data set {tmp_path / 'auto'}" in caplog.text


def test_the_side_of_a_split_has_its_own(write: Write, run: Run) -> None:
    words = [f"thing {number}" for number in range(60)]
    lines = [f"{word},{words[number - 1]}" for number, word in enumerate(words)]
    dataset = run(write("clicks.csv", "\n".join(["query,label", *lines]) + "\n"), split=0.3)
    for split in ("train", "test"):
        assert filtered(dataset, split) == {text: text for text in dataset.texts(split)}


def test_it_is_refused_where_there_are_no_clicks(write: Write, run: Run) -> None:
    with pytest.raises(ConfigError, match="own_label: expected with clicks, got 'filter' with labels alone"):
        run(items(write, 3), part="labels", options=TableOptions(own_label="filter"))


def test_it_is_named_where_no_table_is_read(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = str(tmp_path / "set")
    assert (
        main(["data", "import", str(related(write, ring(30))), made, "--labels", str(items(write, 30))]) == 0
    )
    capsys.readouterr()
    assert main(["data", "import", made, str(tmp_path / "other"), "--own-label", "keep"]) == 2
    assert f"own_label: expected with files, but {made} is a prepared data set" in capsys.readouterr().err


def test_the_command_takes_the_option(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data", "import", str(related(write, ring(30))), str(tmp_path / "set"), "--overwrite"]
    words += ["--labels", str(items(write, 30))]
    for choice, line in (
        ("auto", "filter pairs               30 train"),
        ("keep", "filter pairs               0 train"),
    ):
        assert main([*words, "--own-label", choice]) == 0
        assert line in capsys.readouterr().out
