from __future__ import annotations

import pytest

from tests.corpora.docstrings import NUMPY
from xmc.corpora.description import mentions, summary


@pytest.mark.parametrize(
    ("doc", "text"),
    [
        (NUMPY, "Return a sorted copy of an array."),
        ("add(x1, x2, /)\nadd(x1) -> Tensor\n\nAdd :attr:`x1` to\n:class:`~a.B`.", "Add x1 to a.B."),
        ("=====\nTitle\n=====\n\nText.", "Text."),
        ("Title\n-----\n\nText.", "Text."),
        (".. versionadded:: 1\n\nText.", "Text."),
        ("See :func:`torch.abs`", ""),
        (
            "``x.int()`` is ``x.to(torch.int32)``. See :func:`torch.Tensor.to`.",
            "x.int() is x.to(torch.int32).",
        ),
        ("Adds, see :func:`numpy.add`.", "Adds, see numpy.add."),
        ("f(x)", ""),
        ("Parameters\n----------\nx : int", ""),
        ("A sentence. " + "word " * 100, "A sentence."),
    ],
)
def test_summary(doc, text):
    assert summary(doc) == text


def test_a_long_summary_without_a_sentence_ends_at_a_word():
    text = summary("word " * 100)
    assert len(text) <= 300 and text.endswith("word")


@pytest.mark.parametrize(
    ("doc", "names"),
    [
        ("Like :func:`a`.", []),
        ("Like :func:`a`. Please see :class:`~b.C` for more.", ["b.C"]),
        ("Adds.\n\nUnlike :func:`a`, this is :attr:`exact`.", ["a"]),
        ("Adds.\n\nArgs:\n    x: see :func:`a`.", []),
        ("Adds.\n\nParameters\n----------\nx : int\n    See :func:`a`.\n\nBelow :func:`b`.", []),
        ("Title\n-----\n\nAdds.\n\nUnlike :func:`a`.", ["a"]),
        ("Adds.\n\nReturns:\n    A sum.\n\nAlias for :func:`a`.", ["a"]),
        ("f(x) -> Tensor\n\nAdds.\n\n.. note:: :meth:`Tensor.add` is faster.", ["Tensor.add"]),
    ],
)
def test_mentions(doc: str, names: list[str]) -> None:
    assert mentions(doc.splitlines()) == names
