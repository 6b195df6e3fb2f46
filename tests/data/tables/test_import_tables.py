"""Tables to prepared data sets: what is folded, left out, refused, split."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmc.data import Dataset
from xmc.data.changing import LabelChanges, change_labels
from xmc.data.fewer_labels import keep_labels
from xmc.data.tables import Columns, TableOptions, TextOptions
from xmc.data.text_keys import folded
from xmc.errors import ConfigError, DataError, XMCError

Write = Callable[..., Path]
Run = Callable[..., Dataset]

EXCEL = (
    '\ufeffSearch term;Product;Clicks\r\n"rote ""Schuhe""\r\nfür Kinder";00123;3\r\n'
    'Stiefel;"Winter; Stiefel";\r\n'
    ";00123;2\r\n stiefel ;00123;1\r\nStiefel;00123;1\r\nStiefel;00123;2.5\r\nhat;;1\r\nhat;00123;0\r\n"
)


def pairs(dataset: Dataset, split: str = "train") -> dict[str, dict[str, float]]:
    """Query text to label uid to weight."""
    uids, relevance = dataset.uids("labels"), dataset.relevance(split).tolil()
    return {
        text: {
            uids[label]: value for label, value in zip(relevance.rows[row], relevance.data[row], strict=True)
        }
        for row, text in enumerate(dataset.texts(split))
    }


def test_a_file_as_excel_writes_it(write: Write, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    path = write("clicks.csv", EXCEL)
    with caplog.at_level(logging.INFO, "xmc"):
        dataset = run(path)
    assert pairs(dataset) == {
        'rote "Schuhe"\r\nfür Kinder': {"00123": 3.0},
        "Stiefel": {"Winter; Stiefel": 1.0, "00123": 3.5},
        "stiefel": {"00123": 1.0},
    }
    assert dataset.name == "clicks" and dataset.num_test == 0
    assert dataset.manifest.sources[0] == {"format": "tables"}
    assert dataset.manifest.sources[1]["file"] == "clicks.csv"
    for why, line in (("without a query", 5), ("without a label", 9), ("of weight 0", 10)):
        assert f"left out rows {why}: 1 (the first: {path}, line {line})" in caplog.text
    assert (
        "clicks 5, different queries 3, clicks that came again and are added to their pair 1" in caplog.text
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "query,label\nred,x\nblue,y\nred,y\nred,x\n"),
        ("a.tsv", "red\tx\nblue\ty\nred\ty\nred\tx\n"),
        ("a.csv", "query,labels\nred,x|y\nblue,y\nred,x\n"),
        ("a.csv", "query,clicks,sku\nred,2,x\nblue,1,y\nred,1,y\n"),
        (
            "a.jsonl",
            '{"query": "red", "label": "x", "n": 2}\n{"query": "blue", "label": "y"}\n'
            '{"query": "red", "label": "y"}\n',
        ),
        (
            "a.jsonl",
            '{"text": "red", "labels": ["x", "y"], "relevance": [2, 1]}\n{"text": "blue", "labels": ["y"]}\n',
        ),
    ],
)
def test_one_content_in_many_shapes(name: str, text: str, write: Write, run: Run) -> None:
    dataset = run(write(name, text))
    assert pairs(dataset) == {"red": {"x": 2.0, "y": 1.0}, "blue": {"y": 1.0}}
    assert dataset.uids("labels")[:] == ["x", "y"] == dataset.texts("labels")[:]


def test_weights_of_one_and_ids_that_pandas_made_floats(tmp_path: Path, run: Run) -> None:
    table = pa.table({"query": ["a", "a", "b", "b"], "product_id": [7.0, 7.0, 8.0, None]})
    pq.write_table(table, tmp_path / "clicks.parquet")
    assert pairs(run(tmp_path / "clicks.parquet")) == {"a": {"7": 2.0}, "b": {"8": 1.0}}
    once = run(tmp_path / "clicks.parquet", options=TableOptions(weights="one"))
    assert pairs(once) == {"a": {"7": 1.0}, "b": {"8": 1.0}}


@pytest.mark.parametrize("weights", ["sum", "one"])
def test_labels_of_weight_0_are_not_relevant(
    weights: Any, write: Write, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    records = [
        {"query": "red", "labels": ["x", "y"], "relevance": [1, 0]},
        {"query": "red", "labels": ["x"]},
        {"query": "blue", "labels": ["y"]},
    ]
    path = write("a.jsonl", "".join(json.dumps(record) + "\n" for record in records))
    with caplog.at_level(logging.INFO, "xmc"):
        dataset = run(path, options=TableOptions(weights=weights))
    assert pairs(dataset) == {"red": {"x": 2.0 if weights == "sum" else 1.0}, "blue": {"y": 1.0}}
    assert f"left out clicks of weight 0: 1 (the first: {path}, line 1)" in caplog.text
    assert (
        "clicks 3, different queries 2, clicks that came again and are added to their pair 1" in caplog.text
    )


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("query,x,label,description", "red"),
        ("description,x,label,query", "more"),
        ("title,x,label,description", "red more"),
        ("query,x,label,query_content", "red more"),
    ],
)
def test_a_description_is_of_the_query_where_that_has_a_title(
    header: str, text: str, write: Write, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = run(write("a.csv", f"{header}\nred,y,l1,more\n"))
    assert dataset.texts("train")[:] == [text]
    aside = "description" in header and not header.startswith("title")
    assert ("column 'description' is not read" in caplog.text) == aside


def test_clicks_beside_products(tmp_path: Path, write: Write, run: Run) -> None:
    write("clicks.csv", "query,product\nred,p1\nblue,Boots\n")
    write("products.csv", "sku;name;description\np1;Shoes;for feet\np2;Boots;\np3;Hats;\n")
    write("test.csv", "query,product\ngreen,p2\n")
    write("notes.csv", "not,read\n")
    dataset = run(tmp_path)
    assert pairs(dataset) == {"red": {"p1": 1.0}, "blue": {"p2": 1.0}}
    assert pairs(dataset, "test") == {"green": {"p2": 1.0}}
    assert dataset.texts("labels")[:] == ["Shoes for feet", "Boots", "Hats"]
    assert dataset.manifest.sources[0]["format"] == "tables" and len(dataset.manifest.sources) == 4


def test_columns_as_told(write: Write, run: Run) -> None:
    path = write("a.csv", "Suchwort;Artikel;x\nrot;p1, p2;9\n")
    with pytest.raises(DataError, match="expected 2 fields|no such column"):
        run(path, options=TableOptions(columns=Columns(query="Suche")))
    options = TableOptions(columns=Columns(query="Suchwort", label="2"), separator=",")
    assert pairs(run(path, options=options)) == {"rot": {"p1": 1.0, "p2": 1.0}}
    header = TableOptions(columns=Columns(query="1", label="2"), header=True)
    assert pairs(run(path, options=header)) == {"rot": {"p1, p2": 1.0}}


def test_what_the_columns_of_queries_are_called_is_kept(write: Write, run: Run, tmp_path: Path) -> None:
    columns = Columns(query="Suchwort", query_content="Mehr", label="Artikel")
    own = write("a.csv", "Suchwort;Mehr;Artikel\nrot;gelb;p1\nblau;;p2\ngrau;;p1\nbraun;;p2\n")
    dataset = run(own, options=TableOptions(columns=columns))
    assert dataset.manifest.query_columns == {"title": "Suchwort", "content": "Mehr"}
    assert dataset.manifest.query_columns_of(("content", "title")) == ("Mehr", "Suchwort")
    changes = LabelChanges(removed=frozenset(["p2"]))
    removed = change_labels(dataset, changes, tmp_path / "removed").dataset
    one_label = keep_labels(dataset, tmp_path / "fewer", np.array([True, False]))
    assert (
        removed.manifest.query_columns == one_label.manifest.query_columns == dataset.manifest.query_columns
    )
    named = write("b.jsonl", '{"search_term": "red", "label": "a"}\n')
    made = run([write("c.csv", "red hat,b\n"), named])
    assert made.manifest.query_columns == {"title": "search_term"}
    assert made.manifest.query_columns_of(("title", "content")) is None
    bare = run(write("c.csv", "red hat,b\n"))
    assert not bare.manifest.query_columns
    assert "query_columns" not in json.loads((bare.path / "dataset.json").read_text(encoding="utf-8"))


def test_case_and_spaces_of_told_names_are_of_no_account(write: Write, run: Run) -> None:
    path = write("a.csv", "Such Wort;Artikel;x\nrot;p1;9\n")
    options = TableOptions(columns=Columns(query="suchwort", label="ARTIKEL"))
    assert pairs(run(path, options=options)) == {"rot": {"p1": 1.0}}
    for told in ("Suche", "4"):
        wrong = TableOptions(columns=Columns(query=told, label="Artikel"))
        with pytest.raises(DataError, match=f"column '{told}': .* the file has 'Such Wort', 'Artikel', 'x'"):
            run(path, options=wrong)
    both = write("b.csv", "Wort;wort;Artikel\nrot;blau;p1\n")
    for told, query in (("Wort", "rot"), ("wort", "blau"), ("2", "blau")):
        options = TableOptions(columns=Columns(query=told, label="artikel"))
        assert pairs(run(both, options=options)) == {query: {"p1": 1.0}}
    with pytest.raises(DataError, match="column 'WORT': .* there is no such column"):
        run(both, options=TableOptions(columns=Columns(query="WORT", label="Artikel")))


def test_query_uids_and_content(write: Write, run: Run) -> None:
    path = write("a.csv", "qid,title,content,label\nq7,red,long,x\nq7,red,long,y\nq8,red,long,x\n")
    dataset = run(path)
    assert dataset.uids("train")[:] == ["q7", "q8"] and dataset.texts("train")[:] == ["red long", "red long"]
    assert dataset.relevance("train").toarray().tolist() == [[1, 1], [1, 0]]
    write("a.csv", "qid,query,label\nq7,red,x\nq7,blue,y\n")
    with pytest.raises(
        DataError, match=r"a\.csv, line 3, column 'qid': expected one text for each query uid"
    ):
        run(path)


def test_a_file_without_a_header_says_so(write: Write, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    path = write("a.tsv", 'blue "shoes\tshoes\t2\nred\thats\t1.5\n')
    assert pairs(run(path)) == {'blue "shoes': {"shoes": 2.0}, "red": {"hats": 1.5}}
    assert "no header" in caplog.text and "as query, label, weight" in caplog.text
    assert "otherwise say which column is which (--columns), or --header yes" in caplog.text
    options = TableOptions(header=False, text=TextOptions(quote=None))
    assert pairs(run(write("b.tsv", 'query\tlabel\n"red\tx\n'), options=options))['"red'] == {"x": 1.0}


def test_labels_are_named_by_a_first_column_that_is_some_thing_s_id(write: Write, run: Run) -> None:
    clicks = write("clicks.csv", "query,label\nvpn,7\nprinter,8\n")
    labels = write("articles.csv", "article_id,title\n7,Set up VPN\n8,Printers\n")
    assert list(run(clicks, labels=labels).uids("labels")) == ["7", "8"]
    # Not one that stands elsewhere, such as the id of a category.
    labels = write("named.csv", "title,category_id\nSet up VPN,1\nPrinters,1\n")
    found = run(write("named-clicks.csv", "query,label\nvpn,Set up VPN\nink,Printers\n"), labels=labels)
    assert list(found.uids("labels")) == ["Set up VPN", "Printers"]


def test_a_table_of_labels_is_not_told_of_an_option_that_is_for_clicks(
    write: Write, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    clicks = write("clicks.csv", "query,label\nshoe,1\nhat,2\n")
    run(clicks, labels=write("l.csv", "Produktnummer,Bezeichnung\n1,Shoe\n2,Hat\n"))
    assert "otherwise say which column is which (--columns)" in caplog.text
    assert "--header" not in caplog.text


def test_what_becomes_of_unknown_labels_is_asked_with_a_table_alone(write: Write, run: Run) -> None:
    clicks = write("clicks.csv", "query,label\nshoe,1\nhat,2\n")
    with pytest.raises(ConfigError, match="unknown: expected with a table of labels, got 'skip' without one"):
        run(clicks, options=TableOptions(unknown="skip"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("query,count\na,1\n", r"a\.csv: expected a column with the label of each click.* 'query', 'count'"),
        ("label,count\na,1\n", r"a\.csv: expected a column with the queries' text"),
        (
            "Export of 2024\nquery;label\nred;a\n",
            r"the label of each click.*but the first line, which is no header.*, has 'Export of 2024' "
            r"alone: begin with the header, say which column .*--columns label=NAME.*\(--delimiter\)",
        ),
        (
            "Ticket ID,Ticket Text,Assigned Tags\n1,red,x\n",
            r"a\.csv: expected a header with known names.* got 'Ticket ID', 'Ticket Text', 'Assigned Tags': "
            r"say which column is which \(--columns query=NAME label=NAME.*--header no",
        ),
        ("Suche,Artikel,Anzahl\nred,x,2\n", "got 'Suche', 'Artikel', 'Anzahl'"),
        (
            "query,my tag,category,tags\nred,,x,y\n",
            r"expected one column of labels, got 'category', named as a label a row, and 'tags', named as a "
            r"list: say which it is \(--columns label=category or --columns labels=tags\)",
        ),
        ("query,label,labels\nred,x,y\n", "got 'label', .* and 'labels'"),
        (
            'query,label,n\na,x,1\n"b\nc",y,"1,5"\n',
            r"a\.csv, line 3, column 'n': expected a number of at least 0",
        ),
        ("query,label,n\na,x,-1\n", "line 2, column 'n'"),
        ("query,label,Query\na,x,b\n", r"a\.csv: expected one column 'query', got 2: .*--columns query=1"),
        ("query,label,n\na,x,nan\n", "line 2, column 'n'"),
        ("query,label\n,x\n", "expected at least one click with a query and a label"),
        ("qid,query,label\n,a,x\n", "line 2, column 'qid': expected a uid for every query"),
    ],
)
def test_bad_clicks(text: str, message: str, write: Write, run: Run, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        run(write("a.csv", text))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "uid,title\np1,a\np1,b\n",
            r"labels\.csv, line 3, column 'uid': expected each label once, got 'p1' again",
        ),
        ("title\na\na\n", r"line 3, column 'title': expected each label once"),
        ("uid,title\n,a\n", r"line 2, column 'uid': expected a label, got an empty field"),
        ("content\na\n", "expected a column with the labels' uid or title"),
        ("uid,title\n", "expected at least one label"),
    ],
)
def test_bad_labels(text: str, message: str, write: Write, run: Run) -> None:
    clicks = write("clicks.csv", "query,label\na,p1\n")
    with pytest.raises(DataError, match=message):
        run(clicks, labels=write("labels.csv", text))


def test_clicks_on_unknown_labels(write: Write, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    clicks = write("clicks.csv", "query,label\na,p1\nb,gone\na,gone\nc,lost\n")
    labels = write("labels.csv", "uid,title\np1,Shoes\np2,Shoes\n")
    message = (
        r"clicks\.csv, line 3, column 'label': expected a uid or title of labels\.csv, got 'gone'; 3 clicks "
    )
    with pytest.raises(DataError, match=message + "name 2 labels"):
        run(clicks, labels=labels)
    lists = write("lists.csv", 'query,label\na,"p1, p2"\nb,p1\n')
    with pytest.raises(
        DataError, match=r"a list of labels that are there: cut it at ',' \(--separator ','\)$"
    ):
        run(lists, labels=labels)
    titles = write("titles.csv", "query,label\na,Shoes/p1\n")
    with pytest.raises(DataError, match=r"or make labels of them \(--unknown add\)$"):
        run(titles, labels=labels)  # a title of two labels
    skipped = run(clicks, labels=labels, options=TableOptions(unknown="skip"))
    assert pairs(skipped) == {"a": {"p1": 1.0}} and "clicks on unknown labels: 3" in caplog.text
    added = run(clicks, labels=labels, options=TableOptions(unknown="add"))
    assert added.uids("labels")[:] == ["p1", "p2", "gone", "lost"] and added.num_train == 3
    with pytest.raises(
        DataError, match="line 2, column 'label': expected a label's uid, got 'Shoes', the title of"
    ):
        run(write("c.csv", "query,label\na,Shoes\n"), labels=labels)


def test_ids_that_pandas_gave_a_point_are_pointed_out(write: Write, run: Run, tmp_path: Path) -> None:
    write("products.csv", "sku,title\n3,Shoes\n4,Hats\n")
    write("clicks.csv", "query,sku\nred,3.0\nblue,4.0\n")
    with pytest.raises(DataError, match=r"got '3.0'; 2 clicks .*; '3' is there: .* write them without it"):
        run(tmp_path)


def test_a_split_by_text(write: Write, run: Run) -> None:
    words = [f"word {number}" for number in range(300)]
    lines = [
        f"{text},x{number % 7}\n"
        for number, word in enumerate(words)
        for text in (word, word.upper(), f"{word} ", f" {word.upper()}")
    ]
    path = write("clicks.csv", "query,label\n" + "".join(lines))
    dataset = run(path, split=0.2)
    sides = [{folded(text) for text in dataset.texts(split)} for split in ("train", "test")]
    assert not sides[0] & sides[1] and len(sides[0] | sides[1]) == 300
    assert 30 < len(sides[1]) < 90 and dataset.num_test == 2 * len(sides[1])
    assert dataset.manifest.sources[0] == {"format": "tables", "split": 0.2, "seed": 0}
    # In any order, with any other rows: on the same side.
    part = run(write("clicks.csv", "query,label\n" + "".join(reversed(lines[:800]))), split=0.2)
    assert {folded(text) for text in part.texts("test")} == sides[1] & {folded(word) for word in words[:200]}
    assert {folded(text) for text in run(path, split=0.2, seed=1).texts("test")} != sides[1]


def test_small_data_have_a_test_row_or_are_refused(write: Write, run: Run) -> None:
    dataset = run(write("clicks.csv", "query,label\na,x\nb,y\n"), split=0.01)
    assert (dataset.num_train, dataset.num_test) == (1, 1)
    with pytest.raises(ConfigError, match="at least two different texts"):
        run(write("clicks.csv", "query,label\na,x\nA,y\n"), split=0.5)
    with pytest.raises(ConfigError, match="split: expected a share between 0 and 1"):
        run(write("clicks.csv", "query,label\na,x\nb,y\n"), split=10)
    with pytest.raises(ConfigError, match="no file of test clicks"):
        run(write("clicks.csv", "query,label\na,x\n"), split=0.1, test=write("t.csv", "query,label\na,x\n"))


def test_labels_alone_and_tests_alone(write: Write, run: Run, tmp_path: Path) -> None:
    labels = run(write("whatever.csv", "uid,title\np1,Shoes\np2,Hats\n"), part="labels")
    assert (labels.num_labels, labels.num_train, labels.num_test) == (2, 0, 0)
    labels.path.rename(tmp_path / "labels")
    tests = run(write("june.csv", "query,label\na,Hats\n"), part="test", labels=tmp_path / "labels")
    assert (tests.num_train, tests.num_test) == (0, 1) and tests.label_fingerprint == labels.label_fingerprint
    assert pairs(tests, "test") == {"a": {"p2": 1.0}}


def test_several_files_of_clicks(write: Write, run: Run) -> None:
    may, june = write("may.csv", "query,label\na,x\n"), write("june.tsv", "label\tquery\nx\ta\ny\tb\n")
    assert pairs(run([may, june])) == {"a": {"x": 2.0}, "b": {"y": 1.0}}


def test_an_error_leaves_what_was_there(write: Write, run: Run) -> None:
    before = run(write("clicks.csv", "query,label\na,x\n"))
    with pytest.raises(XMCError):
        run(write("clicks.csv", "query,label\na,x\nb\n"))
    assert pairs(Dataset.load(before.path)) == {"a": {"x": 1.0}}


def test_relevance_of_a_long_file_is_that_of_a_plain_loop(write: Write, run: Run) -> None:
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, 30, (2000, 2)).tolist()
    path = write(
        "c.jsonl", "".join(json.dumps({"query": f"q{q}", "label": f"l{n}"}) + "\n" for q, n in drawn)
    )
    expected: dict[str, dict[str, float]] = {}
    for query, label in drawn:
        row = expected.setdefault(f"q{query}", {})
        row[f"l{label}"] = row.get(f"l{label}", 0.0) + 1
    assert pairs(run(path)) == expected


def test_a_list_cut_at_another_mark_is_pointed_out(
    write: Write, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    path = write("a.csv", 'query,tags\nred,"a, b"\nblue,"b, c"\n')
    assert run(path).uids("labels")[:] == ["a, b", "b, c"]
    assert "have no | to be cut at: is it --separator ','?" in caplog.text
    caplog.clear()
    assert run(path, options=TableOptions(separator=",")).uids("labels")[:] == ["a", "b", "c"]
    assert "separator" not in caplog.text


def test_lists_in_json_are_lists(write: Write, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    text = 'query,labels\nred,"[""a, b"", ""c|d""]"\nblue,\ngreen,[7]\n'
    found = pairs(run(write("a.csv", text)))
    assert found == {"red": {"a, b": 1.0, "c|d": 1.0}, "green": {"7": 1.0}}
    assert "separator" not in caplog.text
    lines = [{"query": "red", "labels": '["a", "b"]'}, {"query": "blue", "labels": "[]"}]
    path = write("a.jsonl", "\n".join(map(json.dumps, lines)))
    assert pairs(run(path)) == {"red": {"a": 1.0, "b": 1.0}}
    told = TableOptions(separator=" ")
    assert pairs(run(write("a.csv", 'query,labels\nred,"[""a"" ""b""]"\n'), options=told))["red"].keys() == {
        '["a"',
        '"b"]',
    }
    # Brackets may be of a name, where the first row is no list.
    assert run(write("b.csv", "query,labels\nred,[x|y]\nblue,[7]\n")).uids("labels")[:] == ["[x", "y]", "[7]"]
    for second, message in (
        ("x|y", "line 3, column 'labels': expected a JSON list of labels, .* got 'x.y'"),
    ):
        with pytest.raises(DataError, match=message):
            run(write("c.csv", f"query,labels\nred,[7]\nblue,{second}\n"))
    with pytest.raises(
        DataError, match="line 2, column 'labels': .* a list as Python prints it, .*json.dumps"
    ):
        run(write("d.csv", "query,labels\nred,\"['a', 'b']\"\n"))


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("query,url,labels\nred,u,x|y\n", ["x", "y"]),
        ("query,label,tags\nred,u,x|y\n", ["u"]),
    ],
)
def test_of_a_label_and_a_list_the_one_of_its_own_name_is_read(
    text: str, labels: list[str], write: Write, run: Run
) -> None:
    assert run(write("a.csv", text)).uids("labels")[:] == labels


def test_of_a_label_and_a_list_the_told_one_is_read(write: Write, run: Run) -> None:
    path = write("a.csv", "query,category,tags\nred,u,x|y\n")
    for columns, labels in ((Columns(label="category"), ["u"]), (Columns(labels="tags"), ["x", "y"])):
        assert run(path, options=TableOptions(columns=columns)).uids("labels")[:] == labels


@pytest.mark.parametrize(
    "weight", ["click_count", " Click Count ", "ClickCount", "CLICKS", "count", "num-clicks"]
)
def test_weights_of_many_names(weight: str, write: Write, run: Run) -> None:
    assert pairs(run(write("a.csv", f"Search Term,Product_ID,{weight}\nred,x,3\n"))) == {"red": {"x": 3.0}}


def test_a_third_column_without_a_header(write: Write, run: Run) -> None:
    numbers = run(write("a.csv", "red,x,2\nblue,y,\n"))
    assert pairs(numbers) == {"red": {"x": 2.0}, "blue": {"y": 1.0}}
    path = write("a.csv", "red,x,shop\nblue,y,web\n")
    assert pairs(run(path, options=TableOptions(header=False))) == {"red": {"x": 1.0}, "blue": {"y": 1.0}}
    told = TableOptions(columns=Columns(query="3", label="2"))
    assert pairs(run(path, options=told)) == {"shop": {"x": 1.0}, "web": {"y": 1.0}}


def test_columns_that_are_read_are_named(write: Write, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    clicks = write("a.csv", "date,query,category,author\n1,red,x,me\n")
    labels = write("names.csv", "uid,title\nx,X\n")
    with caplog.at_level(logging.INFO, "xmc"):
        run(clicks, labels=labels)
    assert f"{clicks}: columns: query = query, label = category; not read: date, author" in caplog.messages
    assert f"{labels}: columns: uid = uid, title = title" in caplog.messages
    caplog.clear()
    wide = write("a.csv", ",".join(["query", "label", *(f"c{n}" for n in range(23))]) + "\nred,x" + "," * 23)
    with caplog.at_level(logging.INFO, "xmc"):
        run(wide)
    assert ", c18, c19 and 3 more" in caplog.text and "c20" not in caplog.text
