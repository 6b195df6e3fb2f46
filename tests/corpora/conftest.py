from __future__ import annotations

import sys

import pytest

FILES = {
    "__init__.py": '''
        """A package."""
        __version__ = "1.2"
        from madeup.sorting import sort
        from math import floor
        class _Grid:
            """Makes a grid.

            See Also
            --------
            Table
            """
        grid = _Grid()
        class Table:
            """A table.

            See Also
            --------
            sort : Sorts.
            Table : Itself.
            """
            def head(self):
                """The first rows.

                See Also
                --------
                tail, sorting.order : Others.
                """
            def tail(self):
                """The last rows.

                See Also
                --------
                head, nowhere
                """
            def _private(self):
                """Hidden."""
        example = Table()
        class Wide(Table):
            """A wide table."""
            def tail(self):
                """The last rows.

                See Also
                --------
                head, nowhere
                """
    ''',
    "sorting.py": '''
        """Sorting."""
        __all__ = ["sort", "order"]
        def sort(x):
            """Sort x.

            See Also
            --------
            order : Where things go.
            madeup.Table.head
            """
        def order(x):
            """Order x.

            See Also
            --------
            sort
            """
        def unlisted(x):
            """Not in __all__."""
    ''',
    "optional.py": "import a_package_that_is_not_there",
    "exits.py": "import sys; print('noise'); sys.exit(3)",
    "_hidden.py": "raise RuntimeError('must not be imported')",
    "tests.py": "raise RuntimeError('must not be imported')",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The name of a small made-up package on the path."""
    folder = tmp_path / "site" / "madeup"
    folder.mkdir(parents=True)
    for name, text in FILES.items():
        (folder / name).write_text(
            "\n".join(line[8:] if line[:8].isspace() else line for line in text.split("\n"))
        )
    monkeypatch.syspath_prepend(str(folder.parent))
    for name in [name for name in sys.modules if name.partition(".")[0] == "madeup"]:
        monkeypatch.delitem(sys.modules, name)
    yield "madeup"
    for name in [name for name in sys.modules if name.partition(".")[0] == "madeup"]:
        del sys.modules[name]
