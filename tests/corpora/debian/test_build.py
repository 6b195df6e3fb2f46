from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xmc.cli.main import main
from xmc.corpora import CORPORA, build_debian
from xmc.corpora.debian.build import is_test
from xmc.data import Dataset
from xmc.errors import DataError, XMCError

PACKAGES = """\
Package: alpha
Section: games
Depends: beta, libdelta1
Suggests: gamma | nowhere
Description: First
 The first letter.

Package: alpha-doc
Source: alpha
Section: doc
Suggests: alpha
Description: First (documentation)

Package: beta
Section: games
Recommends: gamma
Description: Second

Package: gamma
Section: games
Enhances: beta, alpha
Description: Third

Package: libdelta1
Section: libs
Depends: beta
Description: A library
"""


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("xmc.corpora.debian.build.is_test", lambda source: source == "alpha")
    path = tmp_path / "Packages"
    path.write_text(PACKAGES)
    return path


def test_rows_labels_texts_and_filters(listed: Path, tmp_path: Path) -> None:
    built = build_debian(tmp_path / "out", packages=[listed], progress=False)
    assert list(built.uids("train")) == ["beta", "gamma"] and list(built.uids("test")) == [
        "alpha",
        "alpha-doc",
    ]
    assert list(built.uids("labels")) == ["alpha", "beta", "gamma"]
    np.testing.assert_array_equal(built.relevance("train").toarray(), [[0, 0, 1], [1, 1, 0]])
    np.testing.assert_array_equal(built.relevance("test").toarray(), [[0, 1, 1], [1, 0, 0]])
    for split, pairs in (("train", [[0, 1], [1, 2]]), ("test", [[0, 0]])):
        filters = built.filter(split)
        assert filters is not None and np.argwhere(filters.toarray()).tolist() == pairs
    assert built.texts("test")[0] == "alpha: First The first letter."
    assert built.texts("labels")[0] == "alpha: First The first letter."
    (source,) = built.manifest.sources
    assert (source["packages"], source["left_out"], source["links"]) == (5, 1, 6)
    assert source["package_lists"][0]["file"] == "Packages"


def test_building_twice_gives_the_same(listed: Path, tmp_path: Path) -> None:
    one, two = (build_debian(tmp_path / name, packages=[listed], progress=False) for name in "ab")
    assert one.fingerprint == two.fingerprint
    with pytest.raises(XMCError, match="overwrite"):
        CORPORA["debian"](tmp_path / "a", packages=[listed], progress=False)


def test_a_test_label_that_no_training_point_has_is_dropped(listed: Path, tmp_path: Path) -> None:
    listed.write_text(PACKAGES.replace("Enhances: beta, alpha", "Enhances: beta"))
    built = build_debian(tmp_path / "out", packages=[listed], progress=False)
    assert list(built.uids("test")) == ["alpha"] and built.manifest.sources[0]["test_links_dropped"] == 1


def test_lists_without_relations(listed: Path, tmp_path: Path) -> None:
    listed.write_text("Package: a\nDepends: elsewhere\n")
    with pytest.raises(DataError, match="expected packages that refer to each other, found none among 1"):
        build_debian(tmp_path / "out", packages=[listed], progress=False)
    assert not (tmp_path / "out").exists()


def test_the_split_is_a_fifth_of_the_sources() -> None:
    assert 0.17 < np.mean([is_test(f"source-{i}") for i in range(5000)]) < 0.24


def test_the_command(listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out")
    assert main(["data", "build", "debian", out, "--packages", str(listed)]) == 0
    captured = capsys.readouterr()
    assert "training rows" in captured.out and "5 packages (1 left out)" in captured.err + captured.out
    assert Dataset.load(out).num_labels == 3
    assert main(["data", "build", "api-docs", out, "--packages", str(listed)]) == 2
    assert "--packages" in capsys.readouterr().err


def test_without_lists_the_command_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("xmc.corpora.debian.build.LISTS", tmp_path / "lists")
    assert main(["data", "build", "debian", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "apt-get update" in error and "--packages" in error and not (tmp_path / "out").exists()


def test_a_list_without_long_descriptions_is_told(
    listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed.write_text(PACKAGES.replace(" The first letter.\n", ""))
    build_debian(tmp_path / "out", packages=[listed])
    captured = capsys.readouterr()
    assert "Acquire::Languages=en" in captured.out + captured.err
