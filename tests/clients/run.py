"""Runs suites of storage clients against an emulator of its own: prints what passed, what failed and what is explained.

gcsfs's own suite comes from PyPI; the other clients publish none there, so everyday uses stand in for them.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from xml.etree import ElementTree

from emulator.cli.guide import NotRunningError, environment, read_addresses

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build" / "clients"
GCSFS = "2025.12.0"  # later releases on PyPI lack the tests; it needs the fsspec of the same version
STACK = "buckets: {clients: {}}\n"
_START_TIMEOUT_S = 60


@dataclass
class Outcome:
    """The checks of a suite: how many passed, and the first line of each failure by name."""

    passed: int = 0
    failures: dict[str, str] = field(default_factory=dict)


def main(python: str) -> int:
    """Run every suite with the interpreter that has the clients; returns 1 if a failure is not explained."""
    reasons = tomllib.loads((HERE / "exceptions.toml").read_text(encoding="utf-8"))
    unexplained = 0
    with emulator() as variables:
        environ = {**os.environ, **variables}
        environ.pop("GOOGLE_APPLICATION_CREDENTIALS", None)
        for suite, outcome in outcomes(python, environ):
            unexplained += report(suite, outcome, reasons.get(suite, {}))
    return 1 if unexplained else 0


def outcomes(python: str, environ: Mapping[str, str]) -> Iterator[tuple[str, Outcome]]:
    yield "gcsfs", own_suite_of_gcsfs(python, environ)
    for file in sorted((HERE / "everyday").glob("suite_*.py")):
        yield file.stem, pytest(python, environ, HERE / "everyday", file.name)
    if shutil.which("npm"):
        yield "node", node(environ)
    else:
        print("node: npm is not installed, so Google's clients for Node are not tried")


@contextmanager
def emulator() -> Iterator[dict[str, str]]:
    """A running emulator, as the variables that point clients at it."""
    with tempfile.TemporaryDirectory() as folder:
        stack, data = Path(folder) / "stack.yaml", Path(folder) / "data"
        stack.write_text(STACK)
        command = [
            sys.executable,
            "-m",
            "emulator",
            "--memory",
            "--free-ports",
            "--stack",
            str(stack),
            "--data",
            str(data),
        ]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        try:
            yield environment(_addresses(data))
        finally:
            process.terminate()
            process.wait()


def _addresses(data: Path) -> dict[str, object]:
    until = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            return read_addresses(data)
        except NotRunningError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def own_suite_of_gcsfs(python: str, environ: Mapping[str, str]) -> Outcome:
    """gcsfs's tests of its core, of versions, and those that fsspec has for every file system."""
    source, packages = BUILD / f"gcsfs-{GCSFS}", BUILD / "packages"
    if not source.exists():
        pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        download = [*pip, "download", "--no-deps", "--no-binary", "gcsfs", "--dest", str(BUILD), f"gcsfs=={GCSFS}"]
        subprocess.run(download, check=True)
        install = [*pip, "install", "--no-deps", "--target", str(packages), f"fsspec=={GCSFS}"]
        subprocess.run(install, check=True)
        with tarfile.open(BUILD / f"gcsfs-{GCSFS}.tar.gz") as archive:
            archive.extractall(BUILD, filter="data")
    names = ("test_core", "test_core_versioned", "test_mapping", "derived/gcsfs_test")
    tests = [f"gcsfs/tests/{name}.py" for name in names]
    return pytest(python, {**environ, "PYTHONPATH": str(packages)}, source, *tests)


def pytest(python: str, environ: Mapping[str, str], folder: Path, *files: str) -> Outcome:
    """Run files of tests in their folder, without the project's configuration."""
    BUILD.mkdir(parents=True, exist_ok=True)
    report = BUILD / "report.xml"
    report.unlink(missing_ok=True)
    command = [python, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(folder), "-p", "no:cacheprovider"]
    command += ["--timeout", "120", "--show-capture", "no", "--tb", "line", f"--junitxml={report}", *files]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    if not report.exists():
        return Outcome(failures={"": f"pytest did not run: {done.stderr or done.stdout}"})
    return read_junit(report)


def read_junit(report: Path) -> Outcome:
    """The outcome in a JUnit report; skipped tests do not count."""
    outcome = Outcome()
    for case in ElementTree.parse(report).iter("testcase"):
        fault = next((child for child in case if child.tag in ("failure", "error")), None)
        if fault is not None:
            outcome.failures[f"{case.get('classname')}::{case.get('name')}"] = fault.get("message", "").split("\n")[0]
        elif case.find("skipped") is None:
            outcome.passed += 1
    return outcome


def node(environ: Mapping[str, str]) -> Outcome:
    """Google's clients for Node, installed in the build folder."""
    folder = BUILD / "node"
    shutil.copytree(HERE / "node", folder, dirs_exist_ok=True)
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock"]
    subprocess.run(install, cwd=folder, stdout=subprocess.DEVNULL, check=True)
    done = subprocess.run(
        ["node", "everyday.js"], cwd=folder, env=environ, capture_output=True, text=True, timeout=300, check=False
    )
    checks = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    failures = {check["name"]: check["error"] for check in checks if check["error"] is not None}
    if done.returncode:
        failures["node"] = done.stderr
    return Outcome(sum(check["error"] is None for check in checks), failures)


def report(suite: str, outcome: Outcome, reasons: Mapping[str, str]) -> int:
    """Print a suite's outcome; returns the number of failures without an explanation."""
    explained: dict[str, int] = {}
    unexplained = []
    for name, message in outcome.failures.items():
        pattern = next((pattern for pattern in reasons if fnmatchcase(name, pattern)), None)
        if pattern is None:
            unexplained.append(f"  FAILED {name}: {message}")
        else:
            explained[pattern] = explained.get(pattern, 0) + 1
    print(f"{suite}: {outcome.passed} passed, {len(unexplained)} failed, {sum(explained.values())} explained")
    for pattern, count in explained.items():
        print(f"  {count} × {pattern}: {reasons[pattern]}")
    for line in unexplained:
        print(line)
    sys.stdout.flush()
    return len(unexplained)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
