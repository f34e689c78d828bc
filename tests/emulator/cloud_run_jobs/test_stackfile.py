"""The `jobs` of a stack file: defaults and errors."""

from pathlib import Path

import pytest

from emulator.stack import loader
from emulator.stack.model import Job, StackError


def load(folder: Path, text: str) -> tuple[Job, ...]:
    file = folder / "stack.yaml"
    file.write_text(text)
    return loader.load(file).jobs


def test_defaults_are_cloud_runs_own(tmp_path: Path) -> None:
    (job,) = load(tmp_path, "jobs: {toy: {command: [python, task.py]}}")
    assert (job.name, job.command, job.args) == ("toy", ("python", "task.py"), ())
    assert (job.tasks, job.parallelism, job.max_retries, job.task_timeout) == (1, 0, 3, 600)


@pytest.mark.parametrize(
    ("job", "problem"),
    [
        ("Toy: {command: [x]}", "jobs.Toy: not a valid name; use lower-case letters, digits and hyphens"),
        ("toy: {}", "jobs.toy.command: missing, but required"),
        ("toy: {command: python task.py}", "jobs.toy.command: must be a list"),
        ("toy: {command: [x, 1]}", "jobs.toy.command[1]: must be a string (quote numbers"),
        ("toy: {command: [x], port: 1}", "jobs.toy.port: unknown key; known keys: command, args, tasks"),
        ("toy: {command: [x], parallelism: 1.5}", "jobs.toy.parallelism: must be a whole number from 0 to 10000"),
        ("toy: {command: [x], tasks: 2.0}", "jobs.toy.tasks: must be a whole number from 1 to 10000"),
        ("toy: {command: [x], tasks: 0}", "jobs.toy.tasks: must be a whole number from 1 to 10000"),
        ("toy: {command: [x], max_retries: 11}", "jobs.toy.max_retries: must be a whole number from 0 to 10"),
        ("toy: {command: [x], task_timeout: 1h}", "jobs.toy.task_timeout: must be a whole number from 1 to 604800"),
        ("toy: {command: [x], env: {A: 1}}", "jobs.toy.env.A: must be a string"),
        ("toy: {command: [x], override_args: 1}", "jobs.toy.override_args: must be true or false"),
        *(
            (f"toy: {{command: [x], overrides: [A, {name}]}}", f"jobs.toy.overrides: a run may never set {name}")
            for name in ("PATH", "LD_PRELOAD", "DYLD_INSERT_LIBRARIES", "PYTHONPATH", "HOME", "BASH_ENV", "ENV")
        ),
    ],
)
def test_errors_name_the_place(tmp_path: Path, job: str, problem: str) -> None:
    with pytest.raises(StackError) as caught:
        load(tmp_path, f"jobs: {{{job}}}")
    assert problem in str(caught.value)
