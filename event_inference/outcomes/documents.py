"""Terminal documents and the progress of batches as typed values (schemas: functions/pipeline/schemas)."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Document:
    """A terminal document: the outcome of one input.

    Attributes:
        name: of its object in the output bucket.
        content: the whole document, as its JSON Schema describes it.
    """

    name: str
    content: Json = field(repr=False)

    folder: ClassVar[str] = ""

    @property
    def status(self) -> str:
        """`succeeded`, `partial`, `unsuccessful`, `rejected` or `failed`."""
        return str(self.content.get("status"))

    @property
    def ok(self) -> bool:
        """Whether it succeeded in whole."""
        return self.status == "succeeded"

    @property
    def job(self) -> str:
        return str(self.content.get("job"))

    @property
    def kind(self) -> str | None:
        """`text`, `image`, `timeseries`, `table`, `records`, `manifest` or `labels`.

        `workbook` if it could not be read, and None if the kind was not found out.
        """
        kind: str | None = self.content.get("kind")
        return kind

    @property
    def input(self) -> str:
        """The object's name in the input bucket, or `TOPIC/MESSAGE-ID` of a message."""
        fields = self.content.get("input", {})
        return str(fields.get("name") or f"{fields.get('topic')}/{fields.get('message_id')}")

    @property
    def finished_at(self) -> datetime:
        return _time(self.content["timing"]["finished_at"])

    @property
    def latency(self) -> float:
        """Seconds from the arrival of the event to the finished document."""
        return (self.finished_at - _time(self.content["timing"]["received_at"])).total_seconds()

    @property
    def execution(self) -> str | None:
        """Id of the workflow's execution; None if none was started."""
        execution: str | None = self.content.get("lineage", {}).get("execution")
        return execution

    @property
    def data_name(self) -> str | None:
        """The object in the output bucket with a batch's or forecast's CSV or JSONL; None for single inputs."""
        uri: str | None = (self.content.get("data") or {}).get("uri")
        return None if uri is None else uri.split("/", 3)[3]

    @property
    def summary(self) -> str:
        """One line for a person."""
        return self.status


@dataclass(frozen=True, slots=True)
class Result(Document):
    """What the models said; `partial` if some of a batch's records failed, `unsuccessful` if all did."""

    folder: ClassVar[str] = "results"

    @property
    def predictions(self) -> list[Json]:
        """One for each instance, in order; empty for batches and forecasts, whose answers are `data`."""
        return list(self.content.get("predictions") or [])

    @property
    def label(self) -> str | None:
        """The first prediction's label; None where the task or the kind has none."""
        return next((prediction.get("label") for prediction in self.predictions), None)

    @property
    def labels(self) -> list[str]:
        """Every label in the predictions, their entities and their objects, in order."""
        labels = []
        for prediction in self.predictions:
            parts = [prediction, *prediction.get("entities", []), *prediction.get("objects", [])]
            labels += [label for part in parts if (label := part.get("label") or part.get("entity_group"))]
        return labels

    @property
    def confidence(self) -> float | None:
        """The lowest score, from 0 to 1; None for batches, forecasts and embeddings."""
        confidence: float | None = self.content.get("quality", {}).get("confidence")
        return confidence

    @property
    def requires_review(self) -> bool:
        return bool(self.content.get("quality", {}).get("requires_review"))

    @property
    def model(self) -> Json | None:
        """`{name, version, task, source, revision}`."""
        return self.content.get("model")

    @property
    def data(self) -> Json | None:
        """A batch's or forecast's file: `{uri, records, succeeded, failed, errors, …}`; None for single inputs."""
        return self.content.get("data")

    @property
    def cost_usd(self) -> float | None:
        """The estimate of what the input cost in all, in USD; `device_usd` for the seconds of the device alone."""
        return self._usd("total")

    @property
    def device_usd(self) -> float | None:
        """What the seconds of the device cost, in USD."""
        return self._usd("device")

    def _usd(self, part: str) -> float | None:
        usd: float | None = (self.content.get("cost") or {}).get(part, {}).get("usd")
        return usd

    @property
    def series(self) -> Json | None:
        """How a forecast's series was read: `{value_column, date_column, rows, dropped, notes, …}`."""
        series: Json | None = (self.content.get("forecast") or {}).get("series")
        return series

    @property
    def notes(self) -> list[str]:
        """What the pipeline remarks on how it read the file, as sentences: the column, rows that it left out."""
        return list((self.series or self.content.get("table") or {}).get("notes", []))

    @property
    def summary(self) -> str:
        if self.data is not None:
            return self._summary_of_data(self.data)
        if about := self.content.get("labels"):  # a file of them
            return f"{about['rows']} labels" + (f", {about['failed']} failed" if about["failed"] else "")
        labels = list(dict.fromkeys(self.labels))
        if len(labels) > _SHOWN_LABELS:
            labels = [*labels[:_SHOWN_LABELS], "…"]
        return ", ".join(labels) or counted(len(self.predictions), "prediction")

    def _summary_of_data(self, data: Json) -> str:
        if self.series is None:
            failed = f", {data['failed']:,} failed" if data.get("failed") else ""
            return counted(data["records"], "record") + failed
        column, dropped = self.series.get("value_column"), self.series.get("dropped")
        left_out = f", {counted(dropped, 'row')} left out" if dropped else ""
        return f"{counted(data['records'], 'step')} of {column}{left_out}"


@dataclass(frozen=True, slots=True)
class Rejected(Document):
    """Why an input can never succeed; docs/rejections.md lists the codes."""

    folder: ClassVar[str] = "rejected"

    @property
    def code(self) -> str:
        """Stable, to branch on."""
        return str(self.content["reason"]["code"])

    @property
    def message(self) -> str:
        return str(self.content["reason"]["message"])

    @property
    def summary(self) -> str:
        return f"{self.code}: {self.message}"


@dataclass(frozen=True, slots=True)
class Failed(Document):
    """Why an input that should have succeeded did not; a replay runs it again."""

    folder: ClassVar[str] = "failed"

    @property
    def code(self) -> str:
        return str(self.content["error"]["code"])

    @property
    def message(self) -> str:
        return str(self.content["error"]["message"])

    @property
    def step(self) -> str:
        """The workflow's step that failed."""
        return str(self.content["error"].get("step"))

    @property
    def summary(self) -> str:
        return f"{self.code} in {self.step}: {self.message}"


@dataclass(frozen=True, slots=True)
class Batch:
    """The progress of a batch.

    Attributes:
        document: its terminal document's name without folder and suffix.
        state: `running`, or `done` once the outcome is settled.
        status: the outcome's, when done.
        total, done, failed: records.
        records_per_second: of the whole execution; None before anything is known.
        remaining_seconds: an estimate; None when done or unknown.
    """

    job: str
    document: str
    state: str
    status: str | None
    total: int
    done: int
    failed: int
    records_per_second: float | None
    remaining_seconds: float | None

    @property
    def input(self) -> str:
        """The object's name, as the document's contains it."""
        return self.document.rpartition("/")[0] or self.document


_SHOWN_LABELS = 3
_TYPES: tuple[type[Document], ...] = (Result, Rejected, Failed)


def counted(number: int, noun: str) -> str:
    """The number with the noun in its singular or plural."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def parse(name: str, content: Json) -> Document:
    """The typed value of a document's object in the output bucket, by its folder."""
    folder = name.partition("/")[0]
    kind = next((kind for kind in _TYPES if kind.folder == folder), None) or _of_status(content)
    return kind(name, content)


def parse_batch(content: Json) -> Batch:
    """The typed value of `status/<job>.json`."""
    records = content["records"]
    return Batch(
        job=content["job"],
        document=content["document"],
        state=content["state"],
        status=content.get("status"),
        total=records["total"],
        done=records["done"],
        failed=records["failed"],
        records_per_second=content.get("records_per_second"),
        remaining_seconds=content.get("remaining_seconds"),
    )


def _of_status(content: Json) -> type[Document]:
    return {"rejected": Rejected, "failed": Failed}.get(str(content.get("status")), Result)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
