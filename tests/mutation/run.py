"""Mutation testing: plants faults in the modules of modules.toml and lists those that no test notices.

mutmut works in a copy under build/mutation/, never in the checkout, and continues where it was interrupted.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "mutation"
KILLED = {1, 3, 36, -24, 24, 152, 255}  # mutmut's exit codes: a test failed, or ran out of time
OPTIONS: dict[str, Any] = {
    # Nothing depends on the words of a log line, or of an error that only has the event delivered again.
    "do_not_mutate_patterns": [r"\b_?log(s|ger)?\.\w+\(", r"\braise (InProgress|Throttled)Error\("],
    "pytest_add_cli_args": ["-p", "tests.mutation.fastest_first"],
    "process_isolation": "forkserver",  # torch and grpc do not survive a fork once they have run
    "track_dependencies": False,
    "use_git_change_detection": False,
    "on_dependency_change": "ignore",
    "timeout_multiplier": 4.0,  # a mutant has (its tests' time + 3 s) * 4
    "timeout_constant": 3.0,
}


def import_root(source: Path) -> Path:
    """The folder from which tests import a module: the longest of pytest's pythonpath that holds it."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    roots = (Path(folder) for folder in settings["tool"]["pytest"]["ini_options"]["pythonpath"])
    return max((root for root in roots if source.is_relative_to(root)), key=lambda root: len(root.parts))


def files() -> Iterator[Path]:
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0"):
        if name and (ROOT / name).is_file():
            yield Path(name)


def copy(source: Path, tests: list[str], copied: Path) -> Path:
    """Copies the checkout for one module, and returns where the module lies in it.

    mutmut knows a module by its path, so the package is put where its import name says.
    """
    root = import_root(source)
    package = root / source.relative_to(root).parts[0]
    for name in files():
        targets = [name, name.relative_to(root)] if name.is_relative_to(package) and root != Path() else [name]
        for target in targets:
            (copied / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copied / target)
    moved = source.relative_to(root)
    options = OPTIONS | {
        "source_paths": [str(moved)],
        "also_copy": sorted(path.name for path in copied.iterdir() if path.name not in ("mutants", "last_run.json")),
        "pytest_add_cli_args_test_selection": tests,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in options.items()]
    with (copied / "pyproject.toml").open("a") as settings:
        settings.write("\n".join(["", "[tool.mutmut]", *lines, ""]))
    return moved


def forget(results: Path, tests: list[str], copied: Path) -> None:
    """Has survivors tried again when the tests have changed, and everything when the options have.

    mutmut by itself notices changed functions only.
    """
    paths = [path for test in tests for path in ([ROOT / test] if test.endswith(".py") else (ROOT / test).rglob("*"))]
    content = b"".join(path.read_bytes() for path in sorted(paths) if path.suffix in (".py", ".yaml"))
    now = {"tests": hashlib.sha256(content).hexdigest(), "options": OPTIONS, "mutmut": version("mutmut")}
    last = copied / "last_run.json"
    then = json.loads(last.read_text()) if last.exists() else {}
    if then and (then | {"tests": ""}) != (now | {"tests": ""}):
        shutil.rmtree(copied / "mutants", ignore_errors=True)  # another numbering of mutants
    elif results.exists() and then != now:
        data = json.loads(results.read_text())
        codes = data["exit_code_by_key"]
        data["exit_code_by_key"] = {key: code if code in KILLED else None for key, code in codes.items()}
        results.write_text(json.dumps(data))
        (copied / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)
    last.write_text(json.dumps(now))


def difference(key: str, mutmut: Path, copied: Path) -> str:
    """A mutant's name and the lines that it changes."""
    show = subprocess.run([mutmut, "show", key], cwd=copied, check=True, capture_output=True, text=True)
    changed = [line for line in show.stdout.splitlines() if line[:1] in "#-+" and line[:3] not in ("---", "+++")]
    return "\n".join([*changed, ""])


def sample(results: Path, mutmut: Path, copied: Path, count: int) -> list[str]:
    """The names of random mutants: the same ones as long as the module stays as it is."""
    subprocess.run([mutmut, "run", "none-*"], cwd=copied, check=False, capture_output=True)  # only plants them
    names = sorted(json.loads(results.read_text())["exit_code_by_key"])
    return random.Random(0).sample(names, min(count, len(names)))


def mutate(name: str, source: Path, tests: list[str], count: int | None) -> tuple[int, int, str]:
    """How many mutants of one module were killed, of how many, and the differences that survived."""
    copied = BUILD / name
    copied.mkdir(parents=True, exist_ok=True)
    moved = copy(source, tests, copied)
    results = copied / "mutants" / f"{moved}.meta"
    forget(results, tests, copied)
    mutmut = Path(sys.executable).with_name("mutmut")
    chosen = sample(results, mutmut, copied, count) if count else []
    subprocess.run([mutmut, "run", "--max-children", "1", *chosen], cwd=copied, check=True)
    codes: dict[str, int | None] = json.loads(results.read_text())["exit_code_by_key"]
    codes = {key: codes[key] for key in chosen or codes}
    survivors = [key for key, code in codes.items() if code not in KILLED]
    return len(codes) - len(survivors), len(codes), "\n".join(difference(key, mutmut, copied) for key in survivors)


def main() -> None:
    modules = tomllib.loads(Path(__file__).with_name("modules.toml").read_text())
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module", nargs="*", choices=[*modules, []], help="a name of modules.toml; all by default")
    parser.add_argument("--sample", type=int, metavar="N", help="try N random mutants of each module, not all")
    options = parser.parse_args()
    chosen = options.module or list(modules)
    os.nice(15)
    rows = []
    for name in chosen:
        source, tests = Path(modules[name]["source"]), modules[name]["tests"]
        killed, total, shown = mutate(name, source, tests, options.sample)
        (BUILD / f"{name}.diff").write_text(shown)
        rows.append(f"{name:10} {killed:4} of {total:4} killed {killed / total:5.0%}   {BUILD / name}.diff")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
