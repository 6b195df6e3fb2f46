"""A table that is named alone, whatever it is called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from xmc.data import Dataset
from xmc.data.tables import Columns, TableOptions
from xmc.errors import ConfigError, DataError

Write = Callable[..., Path]
Run = Callable[..., Dataset]

TAKEN = r"items\.csv is taken for a table of labels by its name: if its rows are clicks, name that file alone"


@pytest.mark.parametrize(
    ("name", "text", "columns"),
    [
        ("items.csv", "title,category\nred,x\nblue,y\n", {}),
        ("products.csv", "search_term,product_id\nred,x\nblue,y\n", {}),
        ("items.csv", "search_term,item_id,title\nred,x,X\nblue,y,Y\n", {}),
        ("documents.jsonl", '{"text": "red", "labels": ["x"]}\n{"text": "blue", "labels": ["y"]}\n', {}),
        ("labels.csv", "id,text,label\n1,red,x\n2,blue,y\n", {}),
        ("catalog.csv", "Suche,Artikel\nred,x\nblue,y\n", {"query": "Suche", "label": "Artikel"}),
        ("products.csv", "product_id,title\nx,red\ny,blue\n", {"query": "title", "label": "product_id"}),
        ("test.csv", "query,label\nred,x\nblue,y\n", {}),
        ("queries.tsv", "query\tlabel\nred\tx\nblue\ty\n", {}),
    ],
)
def test_columns_make_clicks_of_a_file_of_any_name(
    name: str, text: str, columns: dict[str, str], write: Write, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = run(write(name, text), options=TableOptions(columns=Columns(**columns)))
    assert dataset.texts("train")[:] == ["red", "blue"] and dataset.num_test == 0
    assert dataset.uids("labels")[:] == ["x", "y"] and dataset.relevance("train").nnz == 2
    assert "by its name" not in caplog.text
    assert ("--part test makes test rows of it" in caplog.text) == (name == "test.csv")


@pytest.mark.parametrize(
    "text",
    ["uid,title\np1,Shoes\np2,Hats\n", "product_id,title,tags\np1,Shoes,\np2,Hats,\n", "p1,Shoes\np2,Hats\n"],
)
def test_a_table_named_and_made_as_labels_is_one(
    text: str, write: Write, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    path = write("items.csv", text)
    dataset = run(path)
    assert (dataset.num_train, dataset.texts("labels")[:]) == (0, ["Shoes", "Hats"])
    assert "no training rows: items.csv is taken for a table of labels by its name" in caplog.text
    with pytest.raises(DataError, match="expected clicks to train on, but " + TAKEN):
        run(path, split=0.1)
    caplog.clear()
    run(path, part="labels")
    assert "by its name" not in caplog.text


def test_beside_labels_a_file_alone_holds_clicks(write: Write, run: Run) -> None:
    labels = write("names.csv", "uid,title\nx,Shoes\ny,Hats\n")
    clicks = write("products.csv", "product_id,title\nx,red\ny,blue\n")
    assert run(clicks, labels=labels).texts("train")[:] == ["red", "blue"]


def test_errors_say_that_a_name_decided(write: Write, run: Run) -> None:
    clicks = write("clicks.csv", "query,label\na,p1\n")
    items = write("items.csv", "query,summary\nred,x\n")
    with pytest.raises(DataError, match=r"the labels' uid or title.*; " + TAKEN):
        run([clicks, items])
    write("items.csv", "title,tags\nred,x\n")
    with pytest.raises(
        DataError, match=r"title of items\.csv \(taken for a table of labels by its name\), got"
    ):
        run([clicks, items])
    with pytest.raises(ConfigError, match=r"items\.csv, which is taken for a table of labels by its name"):
        run([clicks, items], labels=write("names.csv", "title\na\n"))
    with pytest.raises(DataError, match="items.csv, labels.csv, taken for tables of labels by their names"):
        run([items, write("labels.csv", "title\na\n")])
