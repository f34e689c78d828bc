from pathlib import Path

import pytest

from emulator.stack import loader
from emulator.stack.model import StackError
from emulator.supervisor.console import Console
from emulator.supervisor.job_tasks import JobTasks
from emulator.supervisor.reaper import Reaper


def test_unknown_placeholder_of_a_job_is_refused_before_anything_runs(tmp_path: Path) -> None:
    file = tmp_path / "stack.yaml"
    file.write_text('jobs: {toy: {command: [python, "{nobody.url}"]}}')
    message = rf"{file}: jobs.toy: unknown placeholder \{{nobody.url\}}; known are http"
    with Reaper() as reaper, pytest.raises(StackError, match=message):
        JobTasks(loader.load(file), tmp_path, Console(), reaper).prepare(lambda _: {"http": "127.0.0.1:1"})
