"""Errors, grouped by who acts next, and the register of reasons for which an input is rejected.

    PipelineError            500
    ├── RejectedError        422  the input can never succeed: a document says why, the event is acknowledged
    ├── MalformedError       400  the request does not identify an input of this pipeline: nothing is written
    ├── InProgressError      503  another handler holds the claim: the event is delivered again later
    ├── ThrottledError       429  no execution is left: the event is acknowledged, its input starts later
    └── ConfigurationError   500  the deployment is wrong: the function refuses to start

Every other exception propagates: an event is delivered again, a call from the workflow is repeated or fails.
"""

REASONS = {
    "ambiguous_dates": "The dates can be read in more than one way.",
    "content_mismatch": "The name or content type contradicts the content.",
    "corrupt_image": "The image cannot be decoded.",
    "decompression_bomb": "The input unpacks to more than the limit.",
    "duplicate_manifest": "Another manifest with the same id was accepted before.",
    "duplicate_timestamps": "A date occurs more than once in a series.",
    "empty": "The input contains nothing to predict on.",
    "empty_message": "The message has no data.",
    "encrypted": "The input is encrypted.",
    "foreign_bucket": "The object is outside the input bucket.",
    "input_gone": "The object was deleted or replaced before it was read.",
    "invalid_base64": "The data is not valid base64.",
    "invalid_csv": "The CSV cannot be parsed.",
    "invalid_date_format": "The date_format is not a valid date pattern.",
    "invalid_instances": "The instances are malformed.",
    "invalid_json": "The JSON cannot be parsed.",
    "invalid_label": "A label is malformed, or the answer that it is for has no label.",
    "invalid_manifest": "The manifest does not follow its schema.",
    "invalid_parameters": "A parameter is unknown, does not apply to the input, or has an invalid value.",
    "irregular_series": "The series has no regular spacing.",
    "mixed_instances": "The instances of one message are of different kinds.",
    "no_usable_column": "The table has no column to predict on, or the records no field.",
    "too_large": "The input is larger than the limit.",
    "too_many_hops": "The input has passed through a pipeline too many times.",
    "too_many_instances": "The message contains more instances than the limit.",
    "too_short": "The series has too few points.",
    "truncated_image": "The image ends before it is complete.",
    "undecodable": "The content is not text in any known encoding.",
    "unknown_input": "The label is for an input that the pipeline does not know.",
    "unknown_kind": "The kind of the content is not supported.",
    "unknown_message": "The message has none of the supported forms.",
    "unreadable_dates": "The dates follow no single known format.",
    "unsupported_format": "The format is known but not read; the message says what to send instead.",
}


class PipelineError(Exception):
    """An error that the pipeline raises itself; `status` and `code` are those of the HTTP response."""

    status = 500
    code = "internal"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class RejectedError(PipelineError):
    """The input can never succeed.

    Args:
        code: a key of REASONS, stable for callers to branch on.
        message: one sentence for the person who sent the input.
        kind: the input's kind, if it was recognised before the rejection.
    """

    status = 422

    def __init__(self, code: str, message: str, kind: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.kind = kind


class MalformedError(PipelineError):
    """The event or request does not identify an input of this pipeline."""

    status = 400
    code = "malformed_request"


class InProgressError(PipelineError):
    """Another handler holds a fresh claim on the same job."""

    status = 503
    code = "in_progress"


class ThrottledError(PipelineError):
    """No execution can be started at present.

    Args:
        quota: what is used up: MAX_EXECUTIONS_PER_HOUR, a quota of Workflows, or the regions that answer.
    """

    status = 429
    code = "throttled"

    def __init__(self, quota: str) -> None:
        super().__init__(f"No execution can be started at present: {quota}.")
        self.quota = quota


class ConfigurationError(PipelineError):
    """An environment variable is missing or contradicts another one."""

    code = "misconfigured"
