"""What each task predicts for an instance: the fields of responses and documents, and the columns of tables."""

from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

Score = Annotated[float, Meta(ge=0, le=1)]


class Prediction(msgspec.Struct, omit_defaults=True, kw_only=True):
    """`truncated` says that the text was cut.

    `outputs` are the fields by their datatype in the Open Inference Protocol, where BYTES other than texts are JSON;
    `columns` are the fields that a table has.
    """

    outputs: ClassVar[dict[str, str]]
    columns: ClassVar[tuple[str, ...]]
    vectors: ClassVar[tuple[str, ...]] = ()  # the outputs of which each instance has several numbers

    truncated: bool = False

    @property
    def confidence(self) -> float | None:
        """One number between 0 and 1 for the whole prediction; None where the task has none."""
        return None


class Classification(Prediction):
    """`scores` are those of the best labels, in falling order: from 0 to 1, or the values of a regression."""

    outputs = {"label": "BYTES", "score": "FP32", "scores": "BYTES", "truncated": "BOOL"}
    columns = ("label", "score")

    label: str
    score: float
    scores: dict[str, float]

    @property
    def confidence(self) -> float | None:
        return self.score if 0 <= self.score <= 1 else None


class Entity(msgspec.Struct, omit_defaults=True):
    """`start` and `end` are characters of the text; `entity` and `index` replace `entity_group` for single tokens."""

    score: Score
    word: str
    start: int
    end: int
    entity_group: str | UnsetType = UNSET
    entity: str | UnsetType = UNSET
    index: int | UnsetType = UNSET


class Entities(Prediction):
    """What token classification found in a text, in order."""

    outputs = {"entities": "BYTES", "truncated": "BOOL"}
    columns = ("entities",)

    entities: list[Entity]

    @property
    def confidence(self) -> float | None:
        return min((entity.score for entity in self.entities), default=None)


class Box(msgspec.Struct):
    """Pixels of the upright image."""

    xmin: int
    ymin: int
    xmax: int
    ymax: int


class DetectedObject(msgspec.Struct):
    label: str
    score: Score
    box: Box


class Detection(Prediction):
    """The objects in an image, of at least the threshold's score."""

    outputs = {"objects": "BYTES", "truncated": "BOOL"}
    columns = ("objects",)

    objects: list[DetectedObject]

    @property
    def confidence(self) -> float | None:
        return min((found.score for found in self.objects), default=None)


class Embedding(Prediction):
    """A text's vector."""

    outputs = {"embedding": "FP32", "truncated": "BOOL"}
    columns = ("embedding",)
    vectors = ("embedding",)

    embedding: list[float]


PREDICTIONS: tuple[type[Prediction], ...] = (Classification, Entities, Detection, Embedding)


def cell(value: Any) -> str | float:
    """A field as a table has it: what is neither a text nor a number, as JSON."""
    return value if isinstance(value, str | float | int) else msgspec.json.encode(value).decode()
