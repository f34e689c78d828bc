"""The client's errors, by who acts next; each knows the exit status that `einf` ends with.

EventInferenceError
├── InputError                what was to be sent cannot be: a file, a name, a parameter (2)
├── TargetError               which pipeline is meant is not clear, or not allowed (2)
│   └── CloudConfirmationError    a change of a cloud was not confirmed (2)
├── WaitTimeoutError          no document in time; the input is still being processed (5)
└── UnreachableError          the pipeline does not answer, or refuses the caller (6)
"""

from typing import ClassVar

SUCCEEDED, DEFECT, USAGE, REJECTED, FAILED, TIMEOUT, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 130


class EventInferenceError(Exception):
    """Any error that the client raises; the message says what is wrong and what to do."""

    exit_code: ClassVar[int] = DEFECT


class InputError(EventInferenceError):
    """A file, a name or a value that cannot be sent."""

    exit_code = USAGE


class TargetError(EventInferenceError):
    """No pipeline was found, or several contradict each other."""

    exit_code = USAGE


class CloudConfirmationError(TargetError):
    """A command would change a cloud, and nobody confirmed it."""


class WaitTimeoutError(EventInferenceError):
    """The document did not appear in time."""

    exit_code = TIMEOUT


class UnreachableError(EventInferenceError):
    """The pipeline does not answer, does not exist, or refuses the caller."""

    exit_code = UNREACHABLE
