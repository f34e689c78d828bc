"""Starts the tasks of jobs as processes of this machine, as the supervisor starts services."""

import sys
from collections.abc import Mapping
from pathlib import Path

from emulator.cloud_run_jobs import Attempt
from emulator.stack import model
from emulator.stack.model import Stack
from emulator.supervisor.logs import Console, Output
from emulator.supervisor.process_group import ProcessGroup
from emulator.supervisor.reaper import Guard


class Tasks:
    """Knows each job's command and environment; `logs` gets a folder for every execution."""

    def __init__(self, stack: Stack, logs: Path, console: Console, guard: Guard) -> None:
        self._stack, self._logs, self._console, self._guard = stack, logs, console, guard
        self._commands: dict[str, tuple[list[str], list[str]]] = {}
        self._env: dict[str, dict[str, str]] = {}

    def prepare(self, values: Mapping[str, str], inherited: Mapping[str, str]) -> None:
        """Fill the placeholders of every job; `inherited` are the variables that every process gets.

        Raises:
            StackError: a placeholder names nothing.
        """
        for job in self._stack.jobs:
            try:
                command, args = ([model.fill(word, values) for word in words] for words in (job.command, job.args))
                env = {name: model.fill(text, values) for name, text in {**self._stack.env, **job.env}.items()}
            except model.StackError as error:
                raise model.StackError(f"{self._stack.path}: jobs.{job.name}: {error}") from error
            self._commands[job.name] = [sys.executable if word == "python" else word for word in command], args
            self._env[job.name] = {**inherited, **env}

    async def start(self, attempt: Attempt) -> ProcessGroup:
        """Start the process of an attempt; its output goes to `<logs>/<execution>/task<index>.log`.

        Raises:
            OSError: the job's program can't be started, or the stack has no such job any more.
        """
        if attempt.job not in self._commands:
            raise OSError(f"the stack has no job {attempt.job!r} any more")
        command, args = self._commands[attempt.job]
        argv = [*command, *(args if attempt.args is None else attempt.args)]
        folder = self._logs / attempt.execution
        folder.mkdir(exist_ok=True)
        output = Output(f"{attempt.job}/{attempt.index}", folder / f"task{attempt.index}.log", self._console)
        env = {**self._env[attempt.job], **attempt.env}
        return await ProcessGroup.start(argv, env, self._stack.root, output, self._guard)
