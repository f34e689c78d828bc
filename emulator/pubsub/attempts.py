"""The attempts to deliver messages to push endpoints, the newest ones, in memory."""

import itertools
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

_KEPT = 5_000


@dataclass(frozen=True, slots=True)
class Attempt:
    """One push of a message.

    Attributes:
        at: seconds since 1970 when it began.
        outcome: the response's status, or why there was none.
        acknowledged: whether the message has left the backlog by this.
        again_in: seconds until the next attempt; None after the last one, which moves the message to the
            dead-letter topic if it failed.
    """

    subscription: str
    message_id: str
    number: int
    at: float
    seconds: float
    outcome: int | str
    acknowledged: bool
    again_in: float | None
    attributes: Mapping[str, str]

    @property
    def gave_up(self) -> bool:
        """Whether it failed and no attempt follows."""
        return not self.acknowledged and self.again_in is None

    def concerns(self, text: str) -> bool:
        """Whether the message, or the object that it is about, has the text in its id or name."""
        return text in self.message_id or text in self.attributes.get("objectId", "")


class AttemptLog:
    """Keeps the newest attempts of all subscriptions.

    Attributes:
        made: how many attempts there have been.
        failed: how many of them failed.
        gave_up: after how many of them no other followed.
    """

    def __init__(self, kept: int = _KEPT) -> None:
        self._attempts: deque[Attempt] = deque(maxlen=kept)
        self.made = self.failed = self.gave_up = 0

    def add(self, attempt: Attempt) -> None:
        self._attempts.append(attempt)
        self.made += 1
        self.failed += not attempt.acknowledged
        self.gave_up += attempt.gave_up

    def newest(self, limit: int, *, failed_only: bool = False, contains: str = "") -> list[Attempt]:
        """The attempts, newest first; those that failed, or concern messages and objects with a text in their names."""
        kept = (
            attempt
            for attempt in reversed(self._attempts)
            if not (failed_only and attempt.acknowledged) and attempt.concerns(contains)
        )
        return list(itertools.islice(kept, limit))
