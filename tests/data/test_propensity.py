from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp

from xmc.data import Propensity, describe_propensity, inverse_propensity, known_propensity
from xmc.data.propensity import KNOWN_PROPENSITIES, propensity_source
from xmc.errors import ConfigError


def test_inverse_propensity_follows_the_paper_label_by_label() -> None:
    relevance = sp.csr_matrix(np.array([[1, 0, 0.5], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=np.float32))
    a, b = 0.6, 2.6
    for label, points in enumerate([3, 2, 1]):
        c = (math.log(4) - 1) * (b + 1) ** a
        expected = 1 + c * math.exp(-a * math.log(points + b))
        assert inverse_propensity(relevance, a, b)[label] == pytest.approx(expected, rel=1e-12)


def test_label_without_points_weighs_most_and_counts_are_of_pairs_not_weights() -> None:
    relevance = sp.csr_matrix(np.array([[9.0, 0], [9.0, 0], [9.0, 0]]))
    binary = sp.csr_matrix(np.array([[1.0, 0], [1.0, 0], [1.0, 0]]))
    weights = inverse_propensity(relevance, 0.55, 1.5)
    assert weights.dtype == np.float64 and weights[1] > weights[0]
    np.testing.assert_array_equal(weights, inverse_propensity(binary, 0.55, 1.5))


def test_no_rows_is_an_error() -> None:
    with pytest.raises(ConfigError, match="at least one training row"):
        inverse_propensity(sp.csr_matrix((0, 3)), 0.55, 1.5)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("LF-AmazonTitles-131K", Propensity(0.6, 2.6)),
        ("lf-amazontitles-1.3m", Propensity(0.6, 2.6)),
        ("LF-Wikipedia-500K", Propensity(0.5, 0.4)),
        ("LF-WikiSeeAlso-320K", Propensity(0.55, 1.5)),
        ("AmazonCat-13K", Propensity(0.55, 1.5)),
        ("my-Amazon-670K-copy", Propensity(0.55, 1.5)),
        ("Wikipedia", Propensity(0.55, 1.5)),
    ],
)
def test_constants_go_by_the_whole_name(name: str, expected: Propensity) -> None:
    assert known_propensity(name) == expected


@pytest.mark.parametrize("values", [(-1, 1), (1, -1), (math.nan, 1), (1, math.inf)])
def test_impossible_constants(values: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match="at least 0"):
        Propensity(*values)


def test_every_listed_data_set_says_where_its_constants_are_from() -> None:
    for name, constants in KNOWN_PROPENSITIES.items():
        assert known_propensity(name) == constants
        assert describe_propensity(name, constants) == f"published for {name}: {propensity_source(name)}"
    assert "NGAME" in str(propensity_source("LF-AmazonTitles-131K"))
    assert "Renee" in str(propensity_source("lf-wikiseealso-320k"))
    assert propensity_source("my-LF-AmazonTitles-131K") is None


def test_other_constants_than_the_published_were_given() -> None:
    assert describe_propensity("EURLex-4K", Propensity(0.6, 2.6)) == "given when the data set was prepared"
    assert describe_propensity("mine", Propensity(0.6, 2.6)) == "given when the data set was prepared"
    assert describe_propensity("mine", Propensity()) == (
        "the default, as mine is not in the table of published constants"
    )
