from __future__ import annotations

import pytest

from xmc.corpora.public_objects import collect_objects, import_public_modules
from xmc.errors import DependencyError


def test_public_modules_only_and_broken_ones_left_out(package, capsys):
    assert [module.__name__ for module in import_public_modules(package)] == ["madeup", "madeup.sorting"]
    assert "noise" not in capsys.readouterr().out


def test_objects_once_under_their_shortest_public_path(package):
    objects = {entry.name: entry for entry in collect_objects(import_public_modules(package))}
    assert list(objects) == [
        "madeup",
        "madeup.Table",
        "madeup.Table.head",
        "madeup.Table.tail",
        "madeup.Wide",
        "madeup.grid",
        "madeup.sort",
        "madeup.sorting",
        "madeup.sorting.order",
    ]
    assert sorted(objects["madeup.sort"].paths) == ["madeup.sort", "madeup.sorting.sort"]
    # Inherited: one object; documented in the same words: folded.
    assert sorted(objects["madeup.Table.head"].paths) == ["madeup.Table.head", "madeup.Wide.head"]
    assert "madeup.Wide.tail" in objects["madeup.Table.tail"].paths


def test_a_missing_package_is_explained():
    with pytest.raises(DependencyError, match="pip install a_package_that_is_not_there"):
        import_public_modules("a_package_that_is_not_there")


def test_an_instance_speaks_through_its_class_only_where_that_is_not_public(package):
    objects = {entry.name: entry for entry in collect_objects(import_public_modules(package))}
    assert objects["madeup.grid"].doc.startswith("Makes a grid.") and "madeup.example" not in objects


def test_an_array_does_not_speak_for_its_class():
    chebyshev = [module for module in import_public_modules("numpy") if module.__name__.endswith("chebyshev")]
    names = {entry.name for entry in collect_objects(chebyshev)}
    assert "numpy.polynomial.chebyshev.chebval" in names
    assert "numpy.polynomial.chebyshev.chebdomain" not in names
