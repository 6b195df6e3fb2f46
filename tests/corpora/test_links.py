from __future__ import annotations

from xmc.corpora.links import link_objects
from xmc.corpora.public_objects import PublicObject, collect_objects, import_public_modules


def test_names_are_resolved_in_the_class_the_module_and_the_package(package):
    objects = collect_objects(import_public_modules(package))
    names = [entry.name.removeprefix("madeup.") for entry in objects]
    links = {names[i]: [names[j] for j in found] for i, found in enumerate(link_objects(objects)) if found}
    assert links == {
        "Table": ["sort"],
        "Table.head": ["Table.tail", "sorting.order"],
        "Table.tail": ["Table.head"],
        "grid": ["Table"],
        "sort": ["Table.head", "sorting.order"],
        "sorting.order": ["sort"],
    }


def test_abbreviated_packages_and_the_nearest_scope_first():
    objects = [
        PublicObject("See also :func:`np.sort`.", ["other.f"]),
        PublicObject("Sorts.", ["numpy.sort"]),
        PublicObject("See also :func:`sort`.", ["numpy.ma.f"]),
        PublicObject("Sorts.", ["numpy.ma.sort"]),
    ]
    assert link_objects(objects) == [[1], [], [3], []]
