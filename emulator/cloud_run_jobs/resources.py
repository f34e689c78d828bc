"""Executions, tasks and operations as they are stored; times are nanoseconds since 1970."""

from dataclasses import dataclass, field

PENDING, RUNNING = "PENDING", "RUNNING"
SUCCEEDED, FAILED, CANCELLED = "SUCCEEDED", "FAILED", "CANCELLED"
ENDED = frozenset({SUCCEEDED, FAILED, CANCELLED})


@dataclass(slots=True)
class Execution:
    """An execution, with the job's settings at its start.

    `args` None stands for the job's own; `env` comes on top of the job's; `timeout_s` limits one attempt of a task.
    """

    name: str
    job: str
    uid: str
    create_time: int
    task_count: int
    parallelism: int
    max_retries: int
    timeout_s: float
    args: list[str] | None = None
    env: dict[str, str] = field(default_factory=dict)
    state: str = PENDING
    message: str = ""
    start_time: int | None = None
    completion_time: int | None = None
    cancelling: bool = False
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    retried: int = 0

    @property
    def id(self) -> str:
        return self.name.rsplit("/", 1)[1]


@dataclass(slots=True)
class Task:
    """A task; `retried` counts its attempts after the first; exit code, signal and message are the last attempt's."""

    index: int
    state: str = PENDING
    retried: int = 0
    start_time: int | None = None
    completion_time: int | None = None
    exit_code: int | None = None
    term_signal: int | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """A long-running operation on an execution, whose state tells whether it is done; `verb` is run or cancel."""

    name: str
    verb: str
    execution: str
