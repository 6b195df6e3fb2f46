from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xmc.cli.main import main
from xmc.corpora import build_debian
from xmc.corpora.debian.facets import facet_labels
from xmc.corpora.debian.packages import read_packages
from xmc.errors import ConfigError, DataError

PACKAGES = """\
Package: alpha
Section: contrib/games
Maintainer: "The Games Team" <games@example.org>
Tag: game::board, interface::{text-mode, x11},
 role::program
Description: First

Package: alpha-doc
Source: alpha
Section: doc
Maintainer: A Person <person@example.org>
Tag: role::documentation
Description: First (documentation)

Package: beta
Section: games
Maintainer: The Games Team <games@example.org>
Tag: role::program, game::board
Description: Second

Package: gamma
Description: Third
"""


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("xmc.corpora.debian.build.is_test", lambda source: source == "beta")
    path = tmp_path / "Packages"
    path.write_text(PACKAGES)
    return path


def test_tags_and_maintainers_are_read(listed: Path) -> None:
    alpha, _, beta, gamma = read_packages([listed])
    assert alpha.tags == ("game::board", "interface::text-mode", "interface::x11", "role::program")
    assert (alpha.maintainer, beta.maintainer) == ("The Games Team", "The Games Team")
    assert (gamma.tags, gamma.maintainer, gamma.section) == ((), "", "")


def test_packages_lead_to_their_tags(listed: Path, tmp_path: Path) -> None:
    built = build_debian(tmp_path / "out", packages=[listed], variant="tags", progress=False)
    labels = ["game::board", "interface::text-mode", "interface::x11", "role::documentation", "role::program"]
    assert list(built.uids("labels")) == labels and built.manifest.name == "debian-tags"
    assert list(built.texts("labels"))[1] == "interface text mode"
    assert list(built.uids("train")) == ["alpha", "alpha-doc"] and list(built.uids("test")) == ["beta"]
    np.testing.assert_array_equal(built.relevance("train").toarray(), [[1, 1, 1, 0, 1], [0, 0, 0, 1, 0]])
    np.testing.assert_array_equal(built.relevance("test").toarray(), [[1, 0, 0, 0, 1]])
    assert built.filter("train") is None and built.texts("train")[0] == "alpha: First"
    (source,) = built.manifest.sources
    assert (source["variant"], source["links"], source["left_out"]) == ("tags", 7, 0)


@pytest.mark.parametrize(
    ("variant", "labels"),
    [("section", ["doc", "games"]), ("maintainer", ["A Person", "The Games Team"])],
)
def test_packages_lead_to_one_of_what_a_list_says(
    variant: str, labels: list[str], listed: Path, tmp_path: Path
) -> None:
    assert main(["data", "build", "debian", str(tmp_path / "out"), "--packages", str(listed)]) == 2
    words = ["--packages", str(listed), "--variant", variant]
    assert main(["data", "build", "debian", str(tmp_path / "out"), *words]) == 0
    from xmc.data import Dataset

    built = Dataset.load(tmp_path / "out")
    assert list(built.uids("labels")) == labels
    assert built.relevance("test").toarray().tolist() == [[0, 1]]


def test_what_is_not_there_is_told(listed: Path, tmp_path: Path) -> None:
    listed.write_text("Package: gamma\nDescription: Third\n")
    with pytest.raises(DataError, match="expected a maintainer of packages, found none among 1"):
        build_debian(tmp_path / "out", packages=[listed], variant="maintainer", progress=False)
    with pytest.raises(ConfigError, match="expected variant among relations, tags, section, maintainer"):
        build_debian(tmp_path / "out", packages=[listed], variant="colour", progress=False)


def test_a_label_is_worded_without_signs() -> None:
    assert facet_labels(["works-with::software:package"]) == [
        ("works-with::software:package", "works with software:package", "")
    ]
