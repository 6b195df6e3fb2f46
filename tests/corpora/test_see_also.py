from __future__ import annotations

import pytest

from tests.corpora.docstrings import NUMPY
from xmc.corpora.see_also import references


def test_a_numpydoc_section():
    found = references(NUMPY)
    assert found[:2] == ["nothing", "prose"] or found[0] == "argsort"
    wanted = ["argsort", "lexsort", "ndarray.sort", "searchsorted", "numpy.partition", "numpy.unique"]
    assert [name for name in found if name not in ("nothing", "prose")] == [*wanted, "sklearn.foo.Bar"]


@pytest.mark.parametrize(
    ("doc", "names"),
    [
        ("Sum.\n\n.. seealso::\n\n    :func:`torch.cumsum` adds up, `numpy.sum` too\n\nNot `this`.",
         ["torch.cumsum", "numpy.sum"]),
        ("X.\n\n.. seealso:: :class:`~torch.nn.Linear` and :meth:`Module.apply`",
         ["torch.nn.Linear", "Module.apply"]),
        ("X. See also :func:`torch.where`.", ["torch.where"]),
        ("abs() -> Tensor\n\nSee :func:`torch.abs`", ["torch.abs"]),
        ("Alias for :func:`torch.special.erf`.", ["torch.special.erf"]),
        ("In-place version of\n:meth:`~Tensor.abs`", ["Tensor.abs"]),
        ("Works as said in :func:`torch.abs`.", []),
        ("Works.\n\nAs said in :func:`torch.abs`, with :attr:`dim`.", ["torch.abs"]),
        ("X.\n\nSee Also\n--------\n.ngroup : Numbers the groups.", ["ngroup"]),
        ("X.\n\nSee Also\n--------\nThe user guide, for more.", []),
        ("X.\n\nSee Also\n--------\na : one\na : again", ["a"]),
        ("", []),
    ],
)  # fmt: skip
def test_other_ways_to_refer(doc, names):
    assert references(doc) == names
