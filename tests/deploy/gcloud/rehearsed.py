"""Runs scripts and documented commands with the real gcloud in the stand-in for a new project."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy.gcloud import forked_gcloud
from tests.deploy.stand_in import cloud_server
from tests.deploy.stand_in.fresh import FreshGoogle
from tests.deploy.stand_in.new_project import NewProject

ROOT = Path(__file__).parents[3]
FOLDERS = ("deploy", "event_inference", "functions", "gpu_service", "samples")
FILES = ("workflow.yaml", "Makefile")

real_gcloud = [
    pytest.mark.rehearsal,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(shutil.which("gcloud") is None, reason="gcloud is not installed: the scripts were not run"),
]
in_order = [*real_gcloud, pytest.mark.random_order(disabled=True)]


@dataclass
class Project:
    """A new project in the stand-in, and the scripts that run on it."""

    google: FreshGoogle
    source: Path
    env: dict[str, str]

    def run(self, script: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [str(self.source / "deploy/gcloud" / script), *arguments]
        return subprocess.run(command, env=self.env, input=stdin, capture_output=True, text=True, timeout=1700)


@contextmanager
def rehearsing(folder: Path, project: NewProject) -> Iterator[Project]:
    """Copies the sources, so that edits between runs do not matter, and serves the stand-in."""
    source = folder / "source"
    for name in FOLDERS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", ".terraform*"))
    for name in FILES:
        shutil.copy(ROOT / name, source)
    google = FreshGoogle(project=project)
    google.project.issue_tokens(folder / "token")
    with cloud_server.serving(google) as overrides, forked_gcloud.interpreter() as python:
        sleep = f"#!/bin/sh\nexec curl --silent '{google.base}/clock?seconds='$1\n"  # passes the time of the stand-in
        program(folder / "bin/sleep", sleep)
        mine = {name: value for name, value in os.environ.items() if not name.startswith("CLOUDSDK_")}
        yield Project(
            google,
            source,
            {
                **mine,
                **overrides,
                "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(folder / "token"),
                "CLOUDSDK_CONFIG": str(folder),
                "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
                "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
                "CLOUDSDK_PYTHON": str(python),
                "IDENTITY_TOKEN": "a-token",
                "PROJECT_ID": "my-project",
                "AUDIT_LOGS": "true",
                "PYTHON": sys.executable,
                "PATH": f"{folder}/bin:{os.environ['PATH']}",
            },
        )


def program(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
