from pathlib import Path

import pytest

from emulator.stack import loader
from emulator.stack.model import StackError
from emulator.supervisor.job_tasks import Tasks
from emulator.supervisor.logs import Console
from emulator.supervisor.reaper import Guard


def test_placeholder_of_a_job_that_names_nothing_is_told_before_anything_runs(tmp_path: Path) -> None:
    file = tmp_path / "stack.yaml"
    file.write_text('jobs: {toy: {command: [python, "{nobody.url}"]}}')
    with Guard() as guard, pytest.raises(StackError, match=r"jobs.toy: \{nobody.url\} names nothing; there is http"):
        Tasks(loader.load(file), tmp_path, Console(), guard).prepare({"http": "127.0.0.1:1"}, {})
