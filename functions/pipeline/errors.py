"""Errors, grouped by who acts next, and the register of reasons for which an input is rejected.

    Exception
    ├── RejectedError       the input can never succeed: a document says why, the event is acknowledged
    ├── MalformedError      the request names no input of ours: answered with 400, nothing is written
    ├── InProgressError     another handler holds the claim: answered with 503, delivered again later
    ├── ThrottledError      the hour's executions are used up: acknowledged, the sweep starts it later
    └── ConfigurationError  the deployment is wrong: the function refuses to start

Everything else propagates: an event is delivered again, a call from the workflow is repeated or fails.
"""

REASONS = {
    "ambiguous_dates": "The dates can be read in more than one way.",
    "content_mismatch": "The name or the content type contradicts what the content is.",
    "corrupt_image": "The image cannot be decoded.",
    "decompression_bomb": "The input unpacks to more than is accepted.",
    "duplicate_manifest": "Another manifest with the same id was taken in before.",
    "duplicate_timestamps": "A date occurs more than once in a series.",
    "empty": "The input holds nothing to predict on.",
    "empty_message": "The message has no data.",
    "encrypted": "The input is encrypted.",
    "foreign_bucket": "The object lies outside the input bucket.",
    "input_gone": "The object was deleted or replaced before it was read.",
    "invalid_base64": "The data is not valid base64.",
    "invalid_csv": "The CSV cannot be parsed.",
    "invalid_date_format": "The date format is none.",
    "invalid_instances": "The instances are malformed.",
    "invalid_json": "The JSON cannot be parsed.",
    "invalid_manifest": "The manifest does not follow its schema.",
    "invalid_parameters": "A parameter is unknown or has a bad value.",
    "irregular_series": "The series has no regular spacing.",
    "mixed_instances": "The instances of one message are of different kinds.",
    "no_usable_column": "The CSV has no column to predict on.",
    "too_large": "The input is larger than is accepted.",
    "too_many_hops": "The input was made from the pipeline's own output too many times over.",
    "too_many_instances": "The message holds more instances than are accepted.",
    "too_short": "The series has too few points.",
    "truncated_image": "The image ends before it is complete.",
    "undecodable": "The text is in no known encoding, or no text at all.",
    "unknown_kind": "The content is of no kind that is processed.",
    "unknown_message": "The message has none of the accepted shapes.",
    "unreadable_dates": "The dates follow no single known format.",
}


class RejectedError(Exception):
    """The input can never succeed.

    Args:
        code: a key of REASONS, stable for callers to branch on.
        message: one sentence for the person who sent the input.
        kind: the input's kind where it was recognised before the input was refused.
    """

    def __init__(self, code: str, message: str, kind: str | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.kind = kind


class MalformedError(Exception):
    """The event or request lacks what is needed to say which input it is about."""

    status = 400
    code = "malformed_request"


class InProgressError(Exception):
    """Another handler holds a fresh claim on the same job."""

    status = 503
    code = "in_progress"


class ThrottledError(Exception):
    """As many executions as MAX_EXECUTIONS_PER_HOUR allows have been started in this hour."""


class ConfigurationError(Exception):
    """An environment variable is missing or contradicts another one."""
