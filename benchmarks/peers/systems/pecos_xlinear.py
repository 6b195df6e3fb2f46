"""PECOS XR-Linear on tf-idf of the queries, its defaults: labels are clustered by their queries' features."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from exchange import Task, lists_of_rows, parser
from features import save_vectorizer, tfidf
from pecos.xmc import Indexer, LabelEmbeddingFactory
from pecos.xmc.xlinear.model import XLinearModel


def main() -> None:
    """The seed is the clustering's; what answers is the form that the library has for that alone."""
    task = Task(parser(__doc__).parse_args())
    train, test, relevance = task.texts("train"), task.texts("test"), task.relevance()
    with task.training():
        vectorizer, rows = tfidf(train)
        kept = np.flatnonzero(np.diff(relevance.indptr))
        rows, truth = rows[kept], (relevance[kept] > 0).astype(np.float32)
        features = LabelEmbeddingFactory.create(truth.tocsc(), rows, method="pifa")
        chain = Indexer.gen(features, indexer_type="hierarchicalkmeans", seed=task.seed, threads=task.threads)
        trained = XLinearModel.train(rows, truth.tocsc(), C=chain, threads=task.threads)
        tree = str(task.model / "tree")
        trained.save(tree)
        model = XLinearModel.load(tree, is_predict_only=True)
    with task.predicting():
        queries = sp.csr_matrix(vectorizer.transform(test))
        found = model.predict(queries, only_topk=task.depth, threads=task.threads)
        lists = lists_of_rows(sp.csr_matrix(found), task.depth)
    save_vectorizer(vectorizer, task.model)
    task.finish(*lists, ["libpecos", "scikit-learn", "numpy"])


if __name__ == "__main__":
    main()
