"""Starts each task of a job as a process of this machine."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from emulator.cloud_run_jobs import Attempt
from emulator.stack.model import Stack
from emulator.supervisor import environment
from emulator.supervisor.console import Console
from emulator.supervisor.logs import ProcessLog
from emulator.supervisor.process_group import ProcessGroup
from emulator.supervisor.reaper import Reaper


class JobTasks:
    """Holds the command and the environment of each job; every execution gets a folder below `logs`."""

    def __init__(self, stack: Stack, logs: Path, console: Console, reaper: Reaper) -> None:
        self._stack, self._logs, self._console, self._reaper = stack, logs, console, reaper
        self._commands: dict[str, tuple[list[str], list[str]]] = {}
        self._env: dict[str, dict[str, str]] = {}

    def prepare(self, values_of: Callable[[str], Mapping[str, str]]) -> None:
        """Fill the placeholders of every job.

        Args:
            values_of: the values of the placeholders for the job of this name.

        Raises:
            StackError: a placeholder is unknown.
        """
        for job in self._stack.jobs:
            values = values_of(job.name)
            place = f"{self._stack.path}: jobs.{job.name}"
            words = environment.filled(place, environment.command(job.command), values)
            args = environment.filled(place, job.args, values)
            env = environment.filled_variables(place, {**self._stack.env, **job.env}, values)
            self._commands[job.name] = words, args
            self._env[job.name] = {**environment.inherited(own_identity=self._stack.iam is not None), **env}

    def forget(self, execution: str) -> None:
        """Remove the logs of an execution."""
        shutil.rmtree(self._logs / execution, ignore_errors=True)

    async def start(self, attempt: Attempt) -> ProcessGroup:
        """Start the process of an attempt; its output goes to `<logs>/<execution>/task<index>.log`.

        Raises:
            OSError: the program cannot be started, or the stack no longer has the job.
        """
        if attempt.job not in self._commands:
            raise OSError(f"the stack has no job {attempt.job!r} any more")
        command, args = self._commands[attempt.job]
        argv = [*command, *(args if attempt.args is None else attempt.args)]
        folder = self._logs / attempt.execution
        folder.mkdir(exist_ok=True)
        file, limit = folder / f"task{attempt.index}.log", self._stack.retention.log_mb
        log = ProcessLog(f"{attempt.job}/{attempt.index}", file, self._console, limit)
        env = {**self._env[attempt.job], **attempt.env}
        return await ProcessGroup.start(argv, env, self._stack.root, log, self._reaper)
