"""The backend itself: what Annif asks, in terms of `xmc.integrations.annif.fitted`. Imports Annif."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from annif.backend.backend import AnnifBackend
from annif.exception import NotInitializedException, NotSupportedException, OperationFailedException
from annif.suggestion import SubjectSuggestion, SuggestionBatch

from xmc.errors import XMCError
from xmc.integrations.annif.fitted import NAME, Fitted, fit_documents, prepare_documents

__all__ = ["XMCBackend"]


class XMCBackend(AnnifBackend):  # type: ignore[misc]
    """A dual encoder that ``xmc fit`` trains, and an index of the vocabulary's labels.

    What a project may say in its configuration: ``quality`` (fast, good or best; fast by default), ``budget``
    (time for a training, such as 10m), ``limit``, and any key of a recipe by its dotted name, such as
    ``training.epochs=3``.
    """

    name = NAME
    DEFAULT_PARAMETERS = {"limit": 100, "quality": "fast"}

    _fitted: Fitted | None = None

    @property
    def is_trained(self) -> bool:
        """Whether a whole model is there."""
        return Fitted.exists(self._folder)

    def initialize(self, parallel: bool = False) -> None:
        """Open the model, once."""
        if self._fitted is not None:
            return
        if not self.is_trained:
            raise NotInitializedException(
                f"expected a model in {self._folder}: train the project", backend_id=self.backend_id
            )
        try:
            self._fitted = Fitted(self._folder)
        except XMCError as error:
            raise OperationFailedException(str(error), backend_id=self.backend_id) from error
        by_uri = self.project.subjects.by_uri
        self._subject_ids = {uri: by_uri(uri, warnings=False) for uri in self._fitted.uris}

    def _train(self, corpus: Any, params: dict[str, Any], jobs: int = 0) -> None:
        try:
            if corpus != "cached":
                if corpus.is_empty():
                    raise NotSupportedException(f"training backend {self.backend_id} with no documents")
                self._prepare(corpus)
            fit_documents(
                self._folder,
                quality=params["quality"],
                budget=params.get("budget"),
                fixed={key: yaml.safe_load(str(value)) for key, value in params.items() if "." in key},
            )
        except XMCError as error:
            raise OperationFailedException(str(error), backend_id=self.backend_id) from error
        self._fitted = None

    def _prepare(self, corpus: Any) -> None:
        subjects, language = self.project.subjects, self.project.vocab_lang
        known = {subject_id: subjects[subject_id].uri for subject_id, _ in subjects.active}

        def listed() -> Iterator[tuple[str, str]]:
            for _, subject in subjects.active:
                yield subject.uri, (subject.labels or {}).get(language) or subject.uri

        documents = (
            (document.text, [known[one] for one in document.subject_set if one in known])
            for document in corpus.documents
        )
        prepare_documents(self._folder, listed(), documents)

    def _suggest_batch(self, documents: list[Any], params: dict[str, Any]) -> Any:
        assert self._fitted is not None
        limit = int(params["limit"])
        try:
            found = self._fitted.suggest([document.text for document in documents], limit)
        except XMCError as error:
            raise OperationFailedException(str(error), backend_id=self.backend_id) from error
        suggestions = [
            [
                SubjectSuggestion(subject_id=subject_id, score=score)
                for uri, score in row
                if (subject_id := self._subject_ids[uri]) is not None
            ]
            for row in found
        ]
        return SuggestionBatch.from_sequence(suggestions, self.project.subjects, limit=limit)

    @property
    def _folder(self) -> Path:
        return Path(self.datadir)
