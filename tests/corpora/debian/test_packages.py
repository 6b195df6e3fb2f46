from __future__ import annotations

from pathlib import Path

import pytest

from xmc.corpora.debian.packages import Package, is_left_out, link_packages, read_packages
from xmc.errors import DataError

PACKAGES = """\
Package: zoo
Source: animals (1.2-3)
Section: universe/games
Depends: ape (>= 2), libc6 | libc7, zoo
RECOMMENDS: bear:any
Suggests: ape
Enhances: cage
Conflicts: never
Description: Animals
 to keep.
 .
 And feed.

Package: ape
Section: games
Description: An ape
Description-md5: 123

Package: bear
"""
TRANSLATION = """\
Package: ape
Description-md5: 123
Description-en: An ape
 It climbs.
"""


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "x_Packages", tmp_path / "x_Translation-en", tmp_path / "y_Packages"]
    texts = [PACKAGES, TRANSLATION, "Package: ape\nDescription: Another ape\n\nPackage: yak\nDepends: zoo\n"]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return paths


def test_packages_of_all_lists(files: list[Path]) -> None:
    ape, bear, yak, zoo = read_packages(files)
    assert ape == Package("ape", "ape", "games", "An ape", "It climbs.", ())
    assert bear == Package("bear", "bear", "", "", "", ())
    assert yak.related == ("zoo",)
    related = ("ape", "libc6", "libc7", "bear", "cage")
    assert zoo == Package("zoo", "animals", "games", "Animals", "to keep. And feed.", related)
    assert link_packages([ape, bear, yak, zoo]) == [[], [], [3], [0, 1]]


def test_without_translations_the_synopsis_is_all_there_is(files: list[Path]) -> None:
    assert read_packages(files[:1])[0].description == ""


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "Packages"
    path.write_text("Package: a\nDepends: b c\n")
    with pytest.raises(
        DataError, match="Packages: package a: expected names of packages in depends, got b c"
    ):
        read_packages([path])
    path.write_text("Origin: Debian\nLabel: Debian\n")
    with pytest.raises(DataError, match="expected the field Package in every stanza, got only origin, label"):
        read_packages([path])


@pytest.mark.parametrize(
    ("name", "section", "synopsis", "left_out"),
    [
        ("libfoo1", "libs", "Foo", True),
        ("foo", "oldlibs", "Foo", True),
        ("foo", "utils", "transitional package for bar", True),
        ("foo", "utils", "Transitional dummy package", True),
        ("gnome", "metapackages", "The desktop", True),
        ("foo", "utils", "Foo (metapackage)", True),
        ("foo", "utils", "Foo meta-package", True),
        ("foo-dbg", "utils", "Foo", True),
        ("foo", "debug", "Foo", True),
        ("foo", "utils", "debugging symbols for foo", True),
        ("linux-image-6.1.0-1-amd64", "kernel", "Linux", True),
        ("linux-headers-6.1", "devel", "Linux", True),
        ("libreoffice-l10n-de", "utils", "German", True),
        ("firefox-esr-l10n-de", "localization", "German", True),
        ("libfoo-dev", "libdevel", "Foo", False),
        ("gdb", "devel", "GNU Debugger", False),
        ("metalog", "admin", "Metadata of packages", False),
        ("debug-me", "utils", "secure remote debugging", False),
        ("linux-cpupower", "admin", "CPU power", False),
    ],
)
def test_what_is_left_out(name: str, section: str, synopsis: str, left_out: bool) -> None:
    assert is_left_out(Package(name, name, section, synopsis, "", ())) is left_out
