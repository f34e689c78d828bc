"""The outcome of handling an event, as the function's closing log line reports it."""

from dataclasses import dataclass
from typing import Any, Literal

Word = Literal["accepted", "rejected", "ignored", "throttled"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The message of the closing log line and its fields; `counts` are those of a sweep, replay or collection."""

    word: Word
    job: str | None = None
    document: str | None = None
    kind: str | None = None
    execution: str | None = None
    reason: str | None = None
    counts: dict[str, object] | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether the input was taken in and waits for a collection."""
        return self.word == "accepted" and self.execution is None and self.reason is not None

    def fields(self) -> dict[str, Any]:
        fields = {name: getattr(self, name) for name in ("job", "document", "kind", "execution", "reason")}
        return {name: value for name, value in fields.items() if value is not None} | (self.counts or {})
