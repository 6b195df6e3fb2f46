"""Kinds times storages times refinement, those that can be and differ."""

from __future__ import annotations

import pytest

from xmc.errors import ConfigError
from xmc.retrieval.kind_variants import Variant, kind_variants

STORAGES = ("float32", "int8")


def test_each_kind_in_what_it_can_have():
    kinds = ["exact", "flat", "sq8", "fastscan"]
    assert kind_variants(kinds, STORAGES, refine=True) == [
        *[Variant("exact", storage, False) for storage in STORAGES],
        Variant("flat", "float32", False),
        Variant("sq8", "float32", False),
        *[Variant("sq8", storage, True) for storage in STORAGES],
        *[Variant("fastscan", storage, False) for storage in STORAGES],
    ]
    assert kind_variants([]) == [] and kind_variants(["IVF4,PQ2", "IVF4,PQ2"]) == [
        Variant("IVF4,PQ2", "float32", False)
    ]
    assert Variant("sq8", "int8", True).options == "--kind sq8 --refine --storage int8"


def test_a_storage_that_a_kind_cannot_have_is_told():
    with pytest.raises(ConfigError, match="a storage of int8 with an index that is exact"):
        kind_variants(["exact", "flat"], ["int8"])
    with pytest.raises(ConfigError, match="got 'int4'"):
        kind_variants(["exact"], ["int4"])
