"""The attempts to deliver messages to push endpoints, the newest ones, in memory."""

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


class AttemptLog:
    """Keeps the newest attempts of all subscriptions."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._attempts: deque[Attempt] = deque(maxlen=kept)

    def add(self, attempt: Attempt) -> None:
        self._attempts.append(attempt)

    def newest(self, limit: int) -> list[Attempt]:
        """The attempts, newest first."""
        return [attempt for _, attempt in zip(range(limit), reversed(self._attempts), strict=False)]
