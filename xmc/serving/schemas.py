"""What is sent and answered, as the OpenAPI document describes it; bounds are added by `openapi`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Changed",
    "Facts",
    "FoundLabel",
    "FoundLabels",
    "Health",
    "LabelChanges",
    "LabelText",
    "LabelUids",
    "ProblemBody",
    "Reloaded",
    "SearchAnswer",
    "SearchRequest",
]


class _Sent(BaseModel):
    # An unknown key is a mistyped one, and a number in quotes is no number.
    model_config = ConfigDict(extra="forbid", strict=True)


class SearchRequest(_Sent):
    """One query or several, and how many labels each is to get."""

    text: str | list[str] = Field(
        description="The query's text, or several; none may be blank.",
        examples=["sort an array along an axis"],
    )
    k: int = Field(10, ge=1, description="Labels for each query, best first.")
    threshold: str | float | None = Field(
        None,
        description="Which of them are kept: f1 (the greatest F1 on the calibration's rows), a probability, "
        "precision=0.9, coverage=0.8 (so many queries get a label) or score=0.7. None keeps all.",
        examples=["f1"],
    )


class FoundLabel(BaseModel):
    """One label of a ranking."""

    uid: str = Field(description="Names the label.")
    text: str = Field(description="The label's text.")
    score: float = Field(
        description="The index's score: a cosine for most models, and a sum of shares from 0 to 1 where the "
        "index ranks with more than its model. Higher is better."
    )
    probability: float | None = Field(
        description="That the label is right, by the calibration that the index or its model has; null "
        "without one. It need not fall from label to label where more than the model ranks."
    )


class FoundLabels(BaseModel):
    """The labels of one query."""

    labels: list[FoundLabel] = Field(
        description="Best first, equal scores in the order of the index; fewer than k where there are fewer."
    )


class SearchAnswer(BaseModel):
    """The labels of every query, in the order of the queries."""

    results: list[FoundLabels] = Field(description="One for each query, also where there was just one.")
    approximate: bool = Field(
        description="Whether the index compresses vectors, and so scores are near ones."
    )
    generation: int = Field(description="The version of the index that was searched, counted from the start.")
    milliseconds: float = Field(description="From the request's arrival to its answer, waiting included.")


class LabelText(_Sent):
    """A label to add, or to put in the place of the one of its uid."""

    uid: str = Field(description="Names the label; not blank.", examples=["numpy.sort"])
    text: str = Field(
        description="What is encoded.", examples=["numpy.sort: return a sorted copy of an array"]
    )


class LabelChanges(_Sent):
    """Labels to add or to put: all or none."""

    labels: list[LabelText] = Field(description="Each uid once.")


class LabelUids(_Sent):
    """Labels to remove: all or none."""

    uids: list[str] = Field(description="Each once.", examples=[["numpy.sort"]])


class Changed(BaseModel):
    """What a change did; it is on disk, and every search from now on sees it."""

    added: int = Field(description="Labels that were not there before.")
    replaced: int = Field(description="Labels that were there, and have the new text.")
    removed: int = Field(description="Labels that are no longer there.")
    labels: int = Field(description="Labels in the index now.")
    generation: int = Field(description="The version of the index that has the change.")


class Reloaded(BaseModel):
    """Whether the folder held another version."""

    reloaded: bool = Field(description="False when the version searched is the one in the folder.")
    labels: int = Field(description="Labels in the index now.")
    generation: int = Field(description="The version that is searched.")


class Health(BaseModel):
    """The server answers searches."""

    status: str = Field(description='"ok"; "stale" while a new version in the folder cannot be opened.')
    labels: int = Field(description="Labels in the index.")
    generation: int = Field(description="The version of the index, counted from the start.")
    problem: str | None = Field(description="Why the version in the folder cannot be opened.")


class Facts(BaseModel):
    """The model, the index and the bounds of this server."""

    version: str = Field(description="Of xmc.")
    index: str = Field(description="The index folder's name, or its run's where that is called index.")
    labels: int = Field(description="Labels in the index.")
    kind: str = Field(description="The index's kind: in FAISS's words where it is FAISS's, such as Flat.")
    factory: str = Field(description="The same, empty where the index is not FAISS's.")
    exact: bool = Field(description="Whether scores are those of the vectors themselves.")
    beside: str | None = Field(description="What ranks beside the model, and its share; null for nothing.")
    probabilities: bool = Field(description="Whether answers have them.")
    generation: int = Field(description="The version of the index, counted from the start.")
    since: float = Field(description="When this version was opened, in seconds since 1970.")
    model: str | None = Field(description="The model's name.")
    model_kind: str = Field(description='"static" or "transformer".')
    model_fingerprint: str = Field(description="Names the model's weights and tokenizer.")
    dimension: int = Field(description="Components of an embedding.")
    query_tokens: int | None = Field(description="Tokens of a query that the model reads; null is all.")
    changes: bool = Field(description="Whether labels can be changed here, with a token.")
    limits: dict[str, int | float] = Field(description="The bounds on requests, by name.")


class ProblemBody(BaseModel):
    """Why a request was not answered."""

    code: str = Field(description="A word for programs.")
    expected: str = Field(description="What would have been answered.")
    got: str = Field(description="What came.")
    mend: str = Field(description="What to do.")
