import contextlib
import subprocess
import sys
import time

import psutil

from emulator.supervisor.reaper import Guard, kill_group
from tests.emulator.toy_stack import gone

SLEEPER = [sys.executable, "-c", "import time; print(flush=True); time.sleep(600)"]

KILLED_PARENT = """
import os, signal, subprocess, sys
from emulator.supervisor.reaper import Guard
guard = Guard()
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
guard.watch(child.pid)
print(child.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def sleeper() -> subprocess.Popen[bytes]:
    process = subprocess.Popen(SLEEPER, start_new_session=True, stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    return process


def test_what_is_watched_dies_with_the_guard_and_what_is_forgotten_does_not() -> None:
    watched, forgotten = sleeper(), sleeper()
    with Guard() as guard:
        guard.watch(watched.pid)
        guard.watch(forgotten.pid)
        guard.forget(forgotten.pid)
    assert watched.wait(30) == -9
    assert forgotten.poll() is None
    kill_group(forgotten.pid)
    assert forgotten.wait(30) == -9


def test_what_is_watched_dies_with_a_killed_parent() -> None:
    done = subprocess.run([sys.executable, "-c", KILLED_PARENT], capture_output=True, text=True, check=False)
    assert done.returncode == -9
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(int(done.stdout))
        while not gone([process]):
            time.sleep(0.01)


def test_signal_to_a_group_that_has_gone_is_no_error() -> None:
    process = sleeper()
    process.kill()
    process.wait(30)
    kill_group(process.pid)
