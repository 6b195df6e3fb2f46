"""The page as a reader without a browser sees it."""

from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.reports.conftest import NASTY
from xmc.errors import ConfigError, DataError, DependencyError
from xmc.reports import page
from xmc.reports.figures import FigureParts
from xmc.reports.page import to_html, to_json, to_markdown, write_report
from xmc.reports.report import Report, build_report
from xmc.reports.svg import line_style

VOID = {"meta", "br", "link", "img", "hr", "input"}
SECTIONS = [
    "summary",
    "curves",
    "groups",
    "scores",
    "calibration",
    "queries",
    "configuration",
    "dataset",
    "hardware",
    "cost",
    "definitions",
]


class Checker(HTMLParser):
    """Keeps every tag, attribute and text, and fails where tags do not nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run's folder holds, beside its models."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text(
        "data: {path: somewhere}\ntraining: {epochs: 3.0, clip_norm: null}\nobjective: {options: {}}\n"
    )
    (folder / "result.json").write_text(
        '{"num_steps": 20, "best_step": 10, "seconds": 75.0, "rows_per_second": 1234.5}'
    )
    (folder / "metrics.jsonl").write_text(
        "".join(
            f'{{"step": {step}, "loss": {5 / step}}}\n{{"step": {step}, "validation": {{"P@1": {step}}}}}\n'
            for step in (5, 10, 20)
        )
    )
    return folder


@pytest.fixture(scope="module")
def report(dataset, make_system, run: Path) -> Report:  # type: ignore[no-untyped-def]
    systems = [
        make_system("first <i>", 0.4, seed=1, run=run, scale=20.0),
        make_system("second & third $x_$", 0.7, seed=2),
    ]
    return build_report(systems, dataset)


@pytest.fixture(scope="module")
def figures(report: Report) -> dict[str, FigureParts | None]:
    return page._figures(report)


@pytest.fixture
def drawn(figures: dict[str, FigureParts | None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every page has the figures of `report`, for tests of its texts: to draw them is most of the work."""
    monkeypatch.setattr(page, "_figures", lambda _: figures)


@pytest.fixture(scope="module")
def html(report: Report, figures: dict[str, FigureParts | None]) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "_figures", lambda _: figures)
        return to_html(report)


def test_the_page_is_well_formed_and_whole(html: str) -> None:
    checker = Checker()
    checker.feed(html)
    checker.close()
    assert checker.open == []
    ids = [value for name, value in checker.attributes if name == "id"]
    assert len(ids) == len(set(ids)) and [name for name in ids if name in SECTIONS] == SECTIONS
    panels = [value for name, value in checker.attributes if name == "aria-label"]
    assert len(panels) == 2 + 3 + 2 + 2, "learning curves, groups of labels, scores, calibration"
    linked = [value[1:] for name, value in checker.attributes if name in ("href", "xlink:href")]
    assert set(linked) <= set(ids)


def test_nothing_is_fetched_and_nothing_runs(html: str) -> None:
    checker = Checker()
    checker.feed(html)
    assert not {"script", "img", "link", "iframe", "object"} & set(checker.tags)
    for name, value in checker.attributes:
        assert not name.startswith("on"), name
        assert "://" not in value or name.startswith("xmlns"), value
    assert not re.search(r"url\((?!#)|@import|@font-face", html)


def test_texts_cannot_inject_markup(html: str, report: Report) -> None:
    """A query, a label, a data set's and a system's name hold markup: it is shown, not obeyed."""
    assert "<script>alert" not in html and "first <i>" not in html and "words <b>" not in html
    assert "&lt;script&gt;alert(&#39;x&#39;)" in html
    assert "second &amp; third" in html
    checker = Checker()
    checker.feed(html)
    assert any("<script>alert('x')" in text for text in checker.texts)
    markdown = to_markdown(report)
    assert "<script>" not in markdown and "\\*stars\\*" in markdown


def test_figures_keep_text_as_text(html: str) -> None:
    figure = re.search(r"<svg[^>]*aria-label=\"Scores of positives.*?</svg>", html, re.DOTALL)
    assert figure is not None
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", figure[0])
    assert "first &lt;i&gt;" in texts and "score" in texts
    assert len(re.findall("<metadata", html)) == 0


def test_styles_differ_without_colour() -> None:
    styles = [line_style(number) for number in range(84)]
    assert len({(style.color, style.marker) for style in styles}) == 84
    assert len({style.marker for style in styles[:12]}) == 12 and len({s.color for s in styles[:7]}) == 7
    assert styles[0].line != styles[7].line


def test_json_holds_every_part(report: Report, dataset) -> None:  # type: ignore[no-untyped-def]
    content = json.loads(to_json(report))
    assert content["dataset"]["fingerprint"] == dataset.fingerprint
    assert [row["metric"] for row in content["summary"]][:3] == ["P@1", "P@3", "P@5"]
    value = content["summary"][0]["values"]["first <i>"]
    assert value["low"] <= value["value"] <= value["high"]
    assert content["summary"][0]["changes"]["second & third $x_$"]["p_value"] > 0
    assert content["configuration"]["first <i>"]["training.epochs"] == 3.0
    assert (
        content["cost"]["first <i>"]["rows_per_second"] == 1234.5
        and not content["cost"]["second & third $x_$"]
    )
    assert content["curves"]["first <i>"]["training"]["loss"]["steps"] == [5, 10, 20]
    assert content["report_machine"]["cores"] >= 1
    assert "first <i>" in content["calibration"]["softmax"]
    assert "second & third $x_$" not in content["calibration"]["softmax"], "its scale is not known"


def test_the_page_says_what_the_json_says(html: str, report: Report) -> None:
    p1 = report.content["summary"][0]["values"]["first <i>"]
    assert f"{p1['value']:.2f}<small>[{p1['low']:.2f}, {p1['high']:.2f}]" in html
    assert "1 min 15 s" in html and "1,234" in html and "training.epochs" in html
    assert f"{p1['value']:.2f}" in to_markdown(report) and f"{p1['value']:.2f}" in report.summary_table()


@pytest.mark.usefixtures("drawn")
def test_published_results_stand_beside_the_same_rows_only(monkeypatch, dataset, make_system) -> None:  # type: ignore[no-untyped-def]
    from xmc.evaluation import PublishedResult

    asked = []

    def published(name: str, split: str = "test", sizes: tuple[int, int, int] | None = None):  # type: ignore[no-untyped-def]
        asked.append((name, split, sizes))
        row = PublishedResult("Theirs", name, split, sizes, {"P@1": 77.77}, "a paper", "primary", "a note")
        return [row] if split == "test" and wanted in (None, sizes) else []

    monkeypatch.setattr("xmc.reports.report.published_results", published)
    wanted = (dataset.num_train, dataset.num_test, dataset.num_labels)
    found = build_report([make_system("ours", 0.5)], dataset)
    assert (dataset.name, "test", wanted) in asked
    shown = to_html(found)
    assert "Theirs" in shown and "77.77" in shown and "a paper (primary)" in shown and "a note" in shown
    assert "Theirs" in to_markdown(found)
    wanted = (1, 2, 3)
    assert "Theirs" not in to_html(build_report([make_system("ours", 0.5)], dataset))


def test_one_system_and_many(dataset, make_system, figures, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    one = to_html(build_report([make_system("only", 0.5)], dataset))
    assert "wins / losses / ties" not in one and "Gained most" not in one
    assert "None of these systems has a training log" in one
    # Figures are drawn of two systems, and of nine, elsewhere here.
    monkeypatch.setattr(page, "_figures", lambda _: figures)
    three = to_html(build_report([make_system(name, 0.5) for name in "abc"], dataset))
    assert "b less a" in three and "c less a" in three
    with pytest.raises(ConfigError, match="one run or more"):
        build_report([], dataset)


def test_more_systems_than_columns_are_lines(dataset, make_system) -> None:  # type: ignore[no-untyped-def]
    names = [f"system-{number}" for number in range(9)]
    report = build_report([make_system(name, 0.1 * n, seed=n) for n, name in enumerate(names)], dataset)
    html = to_html(report)
    checker = Checker()
    checker.feed(html)
    assert checker.open == [] and "<h1>9 systems on" in html
    assert all(f'<th scope="row"><b>{name}</b></th>' in html for name in names)
    assert not any(f'<th scope="col" class="n">{name}</th>' in html for name in names)
    assert f'not recorded <span class="note">{", ".join(names)}</span>' in html, "said once for all of them"


def test_every_cell_of_a_stacked_table_says_what_it_is(html: str) -> None:
    """On a narrow screen the heading is gone, and a cell shows its label."""
    stacked = re.findall(r'<table class="[^"]*stack.*?</table>', html, re.DOTALL)
    assert len(stacked) > 5
    for table in stacked:
        cells = re.findall(r"<td ([^>]*)>", table)
        assert cells and all('data-label="' in cell or 'class="system"' in cell for cell in cells)


def test_groups_are_named_alike_in_figure_and_caption(html: str, report: Report) -> None:
    groups = {row.bounds for table in report.segments if table.name == "deciles" for row in table.rows}
    assert f"Labels in {len(groups)} groups by their training points" in html
    figure = re.search(r"<svg[^>]*aria-label=\"part of P@1.*?</svg>", html, re.DOTALL)
    assert figure is not None
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", figure[0])
    ticks = {"none" if b.startswith("no ") else b.rpartition(" ")[0].replace(" to ", "–") for b in groups}
    assert ticks <= set(texts) and "training points of a label" in texts


def test_the_page_begins_with_what_it_comes_to(html: str, report: Report) -> None:
    headline = report.content["verdict"]["headline"]
    assert html.index('class="headline"') < html.index('id="summary"')
    assert "second & third $x_$ is better than first <i> by nDCG@5 on 60 test queries" in headline
    assert headline in report.verdict_text() and "xmc report RUN --untrained" in html
    assert "No other system was measured" not in html


def test_labels_are_told_apart_by_uid(html: str) -> None:
    assert re.search(r"<li>l\d+ label \d+", html), "title alone would do for two labels of one title"


def test_markdown_has_the_curves_as_tables(report: Report) -> None:
    markdown = to_markdown(report)
    assert "| 10 (kept) | 0.5000 | 10.00 |" in markdown and "step 0 is the untrained encoder" in markdown


@pytest.mark.usefixtures("drawn")
def test_only_options_that_say_something_are_listed(dataset, make_system, run: Path) -> None:  # type: ignore[no-untyped-def]
    defaults = {"training.epochs": 5.0, "training.clip_norm": None, "objective.options": {}}
    one = to_html(build_report([make_system("a", 0.5, run=run)], dataset, defaults=defaults))
    assert "training.epochs" in one and "training.clip_norm" not in one
    assert "The other 2 of 4 options are as by default" in one


def test_a_split_without_rows_is_refused(tmp_path, make_system) -> None:  # type: ignore[no-untyped-def]
    from xmc.data import Dataset, DatasetWriter

    with DatasetWriter(tmp_path / "d", name="d") as writer:
        writer.add_label("l", "label")
        writer.add_row("train", "q", "query", "", [0])
    with pytest.raises(DataError, match="name another split"):
        build_report([make_system("a", 0.5)], Dataset.load(tmp_path / "d"))


@pytest.mark.usefixtures("drawn")
def test_three_files_are_written(report: Report, tmp_path: Path) -> None:
    paths = write_report(report, tmp_path / "new" / "report")
    assert [path.name for path in paths] == ["report.html", "report.md", "report.json"]
    assert sorted(path.name for path in (tmp_path / "new" / "report").iterdir()) == sorted(page.FILES)
    assert NASTY not in paths[0].read_text(encoding="utf-8")


def test_a_missing_library_names_the_extra(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(DependencyError, match=r"xmc-dual-encoder\[report\]"):
        to_html(report)
