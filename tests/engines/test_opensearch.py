"""Against a small server of our own that speaks as OpenSearch does; no real one has been asked."""

from __future__ import annotations

import threading
from http.server import ThreadingHTTPServer

import numpy as np
import pytest

from tests.engines.agreement import export_and_change_texts, goes_through_its_life
from tests.engines.opensearch_server import Answers
from xmc.engines import export_labels, open_engine, search_engine
from xmc.engines.opensearch import inner_product
from xmc.errors import DataError, XMCError


@pytest.fixture
def server():
    class Own(Answers):
        indexes = {}
        refused = set()

    with ThreadingHTTPServer(("127.0.0.1", 0), Own) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Own, f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


def test_its_life(make_index, server):
    other = make_index(20, offsets=True, name="fedcba9876543210")
    goes_through_its_life(make_index(offsets=True), lambda: open_engine("opensearch", server[1]), other)


def test_labels_of_several_texts(make_several, server):
    export_and_change_texts(make_several(), lambda: open_engine("opensearch", server[1]))


def test_what_is_refused_is_told_and_written_by_the_next_run(make_index, server):
    answers, address = server
    index, engine = make_index(10), open_engine("opensearch", address)
    answers.refused = {"4"}
    with pytest.raises(XMCError, match=r"label 4: .*429"):
        export_labels(index, engine, progress=False)
    answers.refused = set()
    assert export_labels(index, engine, progress=False).written == 1
    answers.indexes["labels"]["mappings"].pop("_meta")
    with pytest.raises(DataError, match="not an index of other making"):
        search_engine(engine, index.manifest, np.ones((1, 3), dtype=np.float32), 1)
    engine.close()


def test_nothing_that_answers():
    engine = open_engine("opensearch", "http://127.0.0.1:9")
    with pytest.raises(XMCError, match="is OpenSearch running there"):
        engine.facts()
    engine.close()


@pytest.mark.parametrize(("score", "product"), [(1.0, 0.0), (1.75, 0.75), (0.5, -1.0), (0.25, -3.0)])
def test_the_inner_product_behind_a_score(score, product):
    assert inner_product(score) == product
