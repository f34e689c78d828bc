"""The state is private, belongs to one emulator at a time, and can be removed."""

import asyncio
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator import state
from emulator.__main__ import main
from emulator.supervisor.console import Console
from emulator.supervisor.logs import ProcessLog
from emulator.supervisor.process_group import ProcessGroup
from emulator.supervisor.reaper import Reaper
from tests.emulator.toy_stack import Toy


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[Toy]:
    toy = Toy(tmp_path)
    yield toy
    toy.close()


@pytest.fixture
def usual_mask() -> Iterator[None]:
    state.restrict.cache_clear()
    before = os.umask(0o022)
    yield
    os.umask(before)
    state.restrict.cache_clear()


def open_to_others(folder: Path) -> list[str]:
    return [str(path) for path in (folder, *folder.rglob("*")) if path.lstat().st_mode & 0o077]


@pytest.mark.usefixtures("usual_mask")
def test_folder_and_files_are_private_while_it_runs_and_afterwards(toy: Toy) -> None:
    toy.data.mkdir()
    (toy.data / "logs").mkdir()
    (toy.data / "logs" / "old.log").touch()
    toy.up()
    assert open_to_others(toy.data) == []
    toy.close()
    assert open_to_others(toy.data) == []
    assert {path.name for path in toy.data.iterdir()} >= {"tokens.pem", "pubsub.sqlite", "storage", "ports.json"}


@pytest.mark.usefixtures("usual_mask")
def test_processes_of_services_and_jobs_keep_the_users_mask(tmp_path: Path) -> None:
    async def start() -> None:
        with Reaper() as reaper:
            log = ProcessLog("toy", tmp_path / "log", Console())
            argv = [sys.executable, "-c", "import os; print(oct(os.umask(0)))"]
            process = await ProcessGroup.start(argv, {}, tmp_path, log, reaper)
            await process.wait()
            await process.end()

    asyncio.run(start())
    assert (tmp_path / "log").read_text() == "0o22\n"


@pytest.mark.usefixtures("usual_mask")
@pytest.mark.parametrize("mode", [0o1777, 0o755])
def test_a_folder_with_other_purposes_is_refused(tmp_path: Path, mode: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(mode)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(state.StateError, match="choose a folder for the state alone with --data"):
        state.prepare(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == mode


def test_only_the_state_is_tightened(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "other").mkdir(parents=True)
    for name in ("other/file", "tokens.pem"):
        (folder / name).touch()
        (folder / name).chmod(0o644)
    folder.chmod(0o755)
    state.prepare(folder)
    modes = [stat.S_IMODE((folder / name).stat().st_mode) for name in (".", "other/file", "tokens.pem")]
    assert modes == [0o700, 0o644, 0o600]


def test_clean_removes_the_state_and_nothing_else(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    toy.up()
    (toy.data / "mine").write_text("kept")
    assert main(["clean", "--data", str(toy.data)]) == 1
    assert f"another emulator uses {toy.data}; stop it" in capsys.readouterr().err
    assert (toy.data / "pubsub.sqlite").exists()
    toy.close()
    assert main(["clean", "--data", str(toy.data)]) == 0
    assert [path.name for path in toy.data.iterdir()] == ["mine"]
    (toy.data / "mine").unlink()
    assert main(["clean", "--data", str(toy.data)]) == 0
    assert not toy.data.exists()
    assert main(["clean", "--data", str(toy.data)]) == 0
