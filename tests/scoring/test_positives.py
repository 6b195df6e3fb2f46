from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from xmc.errors import ConfigError
from xmc.scoring import Positives, as_positives
from xmc.scoring.positives import join_pairs

MASK = np.array([[0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 0, 0]], dtype=bool)
LISTS = [[3, 1], [], [0, 1]]

pytestmark = pytest.mark.filterwarnings("ignore:Sparse:UserWarning")  # torch on its own sparse tensors


def pairs(positives: Positives) -> list[tuple[int, int]]:
    return list(zip(positives.rows.tolist(), positives.labels.tolist(), strict=True))


def csr_with_room() -> sp.csr_matrix:
    """A matrix whose arrays are longer than what is in it, as SciPy allows."""
    matrix = sp.csr_matrix(MASK.astype(np.float32))
    matrix.indices, matrix.data = np.append(matrix.indices, [2, 2]), np.append(matrix.data, [5.0, 5.0])
    return matrix


FORMS: dict[str, Callable[[], Any]] = {
    "csr": lambda: sp.csr_matrix(MASK.astype(np.float32)),
    "csc": lambda: sp.csc_matrix(MASK.astype(np.int64)),
    "coo": lambda: sp.coo_matrix(MASK),
    "csr_array": lambda: sp.csr_array(MASK),
    "torch mask": lambda: torch.from_numpy(MASK),
    "numpy mask": lambda: MASK,
    "torch coo": lambda: torch.from_numpy(MASK).to_sparse(),
    "torch csr": lambda: torch.from_numpy(MASK.astype(np.float32)).to_sparse_csr(),
    "lists": lambda: LISTS,
    "tuples": lambda: tuple(tuple(ids) for ids in LISTS),
    "arrays": lambda: [np.array(ids, dtype=np.int32) for ids in LISTS],
    "tensors": lambda: [torch.tensor(ids, dtype=torch.int64) for ids in LISTS],
    "repeated in a list": lambda: [[3, 1, 3], [], [0, 0, 1]],
    "repeated in a matrix": lambda: sp.coo_matrix(
        (np.ones(5), ([0, 0, 0, 2, 2], [3, 1, 3, 0, 1])), shape=(3, 4)
    ),
    "repeated in a tensor": lambda: torch.sparse_coo_tensor(
        [[0, 0, 0, 2, 2], [3, 1, 3, 0, 1]], torch.ones(5), (3, 4)
    ),
    "csr with room": lambda: csr_with_room(),
    "csr repeated, out of order": lambda: sp.csr_matrix(
        (np.ones(6), [3, 1, 3, 1, 0, 1], [0, 3, 3, 6]), shape=(3, 4)
    ),
    "explicit zeros": lambda: sp.csr_matrix(
        (np.array([1.0, 1, 0, 0, 1, 1]), [1, 3, 2, 1, 0, 1], [0, 3, 4, 6]), shape=(3, 4)
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_pairs_ordered_by_label_and_row(form: str) -> None:
    positives = as_positives(FORMS[form](), 3, 4)
    assert pairs(positives) == [(2, 0), (0, 1), (2, 1), (0, 3)]
    assert positives.weights is None
    assert (positives.num_rows, positives.num_labels, len(positives)) == (3, 4, 4)
    assert positives.rows.dtype == positives.labels.dtype == torch.int64
    assert pairs(as_positives(positives, 3, 4)) == pairs(positives)


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=7)), st.data())
def test_forms_agree_and_label_slices_partition_the_pairs(mask: np.ndarray, data: st.DataObject) -> None:
    rows, labels = mask.shape
    positives = as_positives(mask, rows, labels)
    lists = [np.flatnonzero(row).tolist() for row in mask]
    assert pairs(positives) == pairs(as_positives(lists, rows, labels))
    assert pairs(positives) == pairs(as_positives(sp.csr_matrix(mask), rows, labels))
    assert sorted(pairs(positives)) == [(int(row), int(label)) for row, label in np.argwhere(mask)]
    bounds = [0, *sorted(data.draw(st.lists(st.integers(0, labels), max_size=3))), labels]
    for part, start, stop in zip(positives.label_slices(bounds), bounds[:-1], bounds[1:], strict=True):
        assert positives.labels[part].tolist() == [
            label for _, label in pairs(positives) if start <= label < stop
        ]


@pytest.mark.parametrize("form", ["scipy", "torch coo", "torch csr"])
def test_floating_values_are_relevance_weights_of_their_pairs(form: str) -> None:
    dense = np.array([[0, 0.5, 0], [2, 0, 3]], dtype=np.float64)
    matrix: Any = sp.csr_matrix(dense)
    if form != "scipy":
        tensor = torch.from_numpy(dense)
        matrix = tensor.to_sparse() if form == "torch coo" else tensor.to_sparse_csr()
    positives = as_positives(matrix, 2, 3)
    assert pairs(positives) == [(1, 0), (0, 1), (1, 2)]
    assert positives.weights is not None
    assert positives.weights.dtype == torch.float32
    assert positives.weights.tolist() == [2.0, 0.5, 3.0]


@pytest.mark.parametrize("form", ["scipy", "torch"])
def test_a_repeated_pair_counts_once_with_its_first_weight(form: str) -> None:
    rows, labels, values = [0, 0, 0], [2, 1, 2], [4.0, 1.0, 9.0]
    matrix: Any = sp.coo_matrix((values, (rows, labels)), shape=(1, 3))
    if form == "torch":
        matrix = torch.sparse_coo_tensor([rows, labels], values, (1, 3))
    positives = as_positives(matrix, 1, 3)
    assert pairs(positives) == [(0, 1), (0, 2)]
    assert positives.weights is not None
    assert positives.weights.tolist() == [1.0, 4.0]


def test_whole_numbers_are_no_weights() -> None:
    assert as_positives(sp.csr_matrix([[0, 7], [3, 0]]), 2, 2).weights is None


def test_row_mean_weighs_values_and_gives_zero_without_positives() -> None:
    plain = as_positives(LISTS, 3, 4)
    values = torch.tensor([1.0, 2.0, 3.0, 6.0])  # of the pairs (2, 0), (0, 1), (2, 1), (0, 3)
    assert plain.row_mean(values).tolist() == [4.0, 0.0, 2.0]
    weighted = as_positives(sp.csr_matrix(np.array([[0, 3.0, 0, 1.0], [0, 0, 0, 0], [1.0, 3.0, 0, 0]])), 3, 4)
    assert weighted.row_mean(values).tolist() == [3.0, 0.0, 2.5]


@pytest.mark.parametrize(
    ("positives", "text"),
    [
        (sp.csr_matrix((3, 5)), r"expected positives of shape \[B=3, L=4\].*got \[3, 5\]"),
        (sp.csr_matrix((2, 4)), r"\[B=3, L=4\].*got \[2, 4\]"),
        (np.zeros((4, 3), dtype=bool), r"\[B=3, L=4\].*got \[4, 3\]"),
        (torch.zeros(3, 5).to_sparse(), r"\[B=3, L=4\].*got \[3, 5\]"),
        ([[0], [1]], r"\[B=3, L=4\].*got \[2, 4\]"),
        (as_positives([[0]], 1, 4), r"\[B=3, L=4\].*got \[1, 4\]"),
        ([[0], [1, 4], []], r"expected label ids in \[0, 4\), got 4 in row 1"),
        ([[0], [], [-1]], r"expected label ids in \[0, 4\), got -1 in row 2"),
        ([[0], [1.5], []], r"integer label ids for each query, got \[1.5\] in row 1"),
        ([[0], [[1, 2], [3]], []], r"integer label ids for each query, got \[\[1, 2\], \[3\]\] in row 1"),
        ([[True, False], [], []], r"got \[True, False\] in row 0.*mask as a boolean tensor"),
        ([1, 2, 3], r"a list of integer label ids for each query, got 1 in row 0"),
        ("abc", r"a list of integer label ids for each query, got 'a' in row 0"),
        (np.zeros((3, 4)), r"mask to be boolean and \[B, L\], got float64 \[3, 4\].*sparse matrix"),
        (torch.zeros(3, dtype=torch.bool), r"boolean and \[B, L\], got bool \[3\]"),
        (3, r"expected positives as a SciPy sparse matrix.*got int"),
        (sp.csr_matrix(np.diag([1.0, -2.0, 3.0, 1.0])[:3]), "relevance weights to be positive and finite"),
        (sp.csr_matrix(np.diag([1.0, np.nan, 3.0, 1.0])[:3]), "relevance weights to be positive and finite"),
        (sp.csr_matrix(np.diag([1.0, np.inf, 3.0, 1.0])[:3]), "relevance weights to be positive and finite"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_an_error_that_says_what_came(positives: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        as_positives(positives, 3, 4)


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9)), st.data())
def test_what_is_known_on_the_host_is_what_the_device_knows(mask: np.ndarray, data: st.DataObject) -> None:
    others = ~mask & data.draw(arrays(bool, mask.shape))
    known = [as_positives(some, *mask.shape) for some in (mask, others)]
    asked = [replace(pairs, keys=None) for pairs in known]
    (joined, first), (wanted, first_wanted) = (join_pairs(*both, "pairs apart") for both in (known, asked))
    assert pairs(joined) == pairs(wanted) and torch.equal(first, first_wanted)
    assert joined.keys is not None and wanted.keys is None
    assert joined.keys.tolist() == (joined.labels * mask.shape[0] + joined.rows).tolist()
    bounds = sorted(data.draw(st.lists(st.integers(0, mask.shape[1]), min_size=2)))
    assert joined.label_slices(bounds) == wanted.label_slices(bounds)


@pytest.mark.parametrize("known", [True, False])
def test_a_pair_of_both_kinds_is_refused(known: bool) -> None:
    first, second = as_positives([[3, 1], [0]], 2, 4), as_positives([[2], [0, 1]], 2, 4)
    if not known:
        first = replace(first, keys=None)
    with pytest.raises(ConfigError, match="expected one apart from the other, but a pair is both"):
        join_pairs(first, second, "one apart from the other")
