"""A shard: where its lines are, where its output goes, and what is reported about it."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gpu_service.serving.predictions import ServedModel, Timing

Format = Literal["jsonl", "csv"]
URI = Meta(extra_json_schema={"type": "string", "pattern": "^gs://[^/]+/.+"})  # for the API's documentation


class Dialect(msgspec.Struct, frozen=True):
    """The form of a CSV: `mark` of its beginning, which the batch's header has, and the decimal separator of numbers.

    `safe`: whether an apostrophe stands before a cell that a spreadsheet would take for a formula.
    """

    delimiter: Annotated[str, Meta(min_length=1, max_length=1)] = ","
    newline: Annotated[str, Meta(pattern=r"^(\n|\r\n?)$")] = "\n"
    mark: bool = False
    decimal: Literal[".", ","] = "."
    safe: bool = False


class Shard(msgspec.Struct):
    """`offset` is the index of the first record in its batch, `format` that of the output, `dialect` of a CSV's cells.

    `labels`: where to write the model's labels, as a JSON list, if the output has a column for each.
    """

    input: Annotated[str, URI]
    output: Annotated[str, URI]
    offset: Annotated[int, Meta(ge=0)] = 0
    format: Format = "jsonl"
    labels: Annotated[str, URI] | None = None
    dialect: Dialect | None = None


class Reason(msgspec.Struct):
    """Why a record failed; `index` is that in the batch."""

    index: int
    code: str
    message: str


class Summary(msgspec.Struct):
    """What the metadata of a finished output keeps.

    `failed` counts records by error code, and `reasons` say why the first of them failed; `high_confidence` and
    `requires_review` count those beyond these limits.
    `columns` are those that a CSV has after the row's own.
    """

    records: int
    failed: dict[str, int]
    truncated: int
    high_confidence: int
    requires_review: int
    parameters: dict[str, Any]
    model: ServedModel
    device: str
    gpu_seconds: float
    inference_ms: float
    revision: str
    columns: list[str]
    reasons: list[Reason] = []


class ShardResponse(msgspec.Struct):
    """A summary as /predict-shard returns it; a shard that was already finished reports its original figures."""

    output: str
    records: int
    succeeded: int
    failed: dict[str, int]
    truncated: int
    high_confidence: int
    requires_review: int
    parameters: dict[str, Any]
    model: ServedModel
    device: str
    timing: Timing
    revision: str


def response(shard: Shard, summary: Summary, queue_ms: float) -> ShardResponse:
    return ShardResponse(
        output=shard.output,
        records=summary.records,
        succeeded=summary.records - sum(summary.failed.values()),
        failed=summary.failed,
        truncated=summary.truncated,
        high_confidence=summary.high_confidence,
        requires_review=summary.requires_review,
        parameters=summary.parameters,
        model=summary.model,
        device=summary.device,
        timing=Timing(round(queue_ms, 3), summary.inference_ms, summary.gpu_seconds),
        revision=summary.revision,
    )
