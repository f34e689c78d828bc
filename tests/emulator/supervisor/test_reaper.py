import contextlib
import subprocess
import sys
import time

import psutil

from emulator.supervisor.reaper import Reaper, kill_group
from tests.emulator.toy_stack import gone

SLEEPER = [sys.executable, "-c", "import time; print(flush=True); time.sleep(600)"]

KILLED_PARENT = """
import os, signal, subprocess, sys
from emulator.supervisor.reaper import Reaper
reaper = Reaper()
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
reaper.watch(child.pid)
print(child.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def sleeper() -> subprocess.Popen[bytes]:
    process = subprocess.Popen(SLEEPER, start_new_session=True, stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    return process


def test_a_watched_group_dies_with_the_reaper_and_a_forgotten_one_does_not() -> None:
    watched, forgotten = sleeper(), sleeper()
    with Reaper() as reaper:
        reaper.watch(watched.pid)
        reaper.watch(forgotten.pid)
        reaper.forget(forgotten.pid)
    assert watched.wait(30) == -9
    assert forgotten.poll() is None
    kill_group(forgotten.pid)
    assert forgotten.wait(30) == -9


def test_a_watched_group_dies_with_a_killed_parent() -> None:
    done = subprocess.run([sys.executable, "-c", KILLED_PARENT], capture_output=True, text=True, check=False)
    assert done.returncode == -9
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(int(done.stdout))
        while not gone([process]):
            time.sleep(0.01)


def test_a_signal_to_an_ended_group_is_ignored() -> None:
    process = sleeper()
    process.kill()
    process.wait(30)
    kill_group(process.pid)
