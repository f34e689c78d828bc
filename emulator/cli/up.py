"""Runs a stack from the command line: ports chosen, progress shown, everything stopped on a signal."""

import argparse
import asyncio
import contextlib
import fcntl
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from emulator import ports
from emulator.cli import guide
from emulator.stack.model import Stack
from emulator.supervisor.logs import Console, log_to
from emulator.supervisor.supervisor import StartFailedError, Supervisor

_SERVICES_OFFSET = 10  # of the services' ports from --port-base


class DataInUseError(RuntimeError):
    """Another emulator keeps its state in the same folder."""


async def up(stack: Stack, options: argparse.Namespace) -> int:
    """Run until a signal comes; returns the exit status, 1 when a part could not start.

    Raises:
        StackError: the stack names something that isn't there.
        PortTakenError: somebody else listens on a port that is needed.
        DataInUseError: the data folder belongs to an emulator that runs.
    """
    data: Path = options.data
    (data / "logs").mkdir(parents=True, exist_ok=True)
    with _locked(data):
        return await _run(stack, options, data, Console(verbose=options.verbose))


async def _run(stack: Stack, options: argparse.Namespace, data: Path, console: Console) -> int:
    began = time.monotonic()
    guide.remove_addresses(data)
    log_to(data / "logs" / "emulator.log", console)
    supervisor = Supervisor(stack, port_numbers(stack, options), data, console, memory=options.memory)
    tasks = (f"{job.name}/0" for job in stack.jobs)
    console.width = max(len(name) for name in (*supervisor.urls, *tasks, "emulator"))
    stopping = _stop_on_signals(supervisor, console)
    try:
        if not await _before(stopping, supervisor):
            return 0
        here = guide.addresses(stack, data, supervisor.emulator.http, supervisor.emulator.grpc, supervisor.urls)
        console.say(f"\nUp after {time.monotonic() - began:.1f} s. State and logs: {data}. Ctrl-C stops everything.\n")
        console.say(guide.summary(here, stack, f"python -m emulator env --data {data}"))
        guide.write_addresses(data, here)
        await stopping.wait()
    except StartFailedError as error:
        _explain(error, console)
        return 1
    finally:
        guide.remove_addresses(data)
        await supervisor.stop()
    return 0


@contextlib.contextmanager
def _locked(data: Path) -> Iterator[None]:
    """Keep other emulators out of the data folder; the system lifts the lock when this process ends."""
    with (data / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataInUseError(f"another emulator uses {data}; stop it, or take another folder: --data") from error
        yield


def port_numbers(stack: Stack, options: argparse.Namespace) -> dict[str, int]:
    """The port of each service, and of `http` and `grpc`: as the options say, else as the stack file does."""
    wanted = {"http": stack.http_port, "grpc": stack.grpc_port}
    wanted |= {service.name: service.port for service in stack.services}
    if options.port_base is not None:
        wanted = {"http": options.port_base, "grpc": options.port_base + 1}
        for index, service in enumerate(stack.services):
            wanted[service.name] = options.port_base + _SERVICES_OFFSET + index
    if options.free_ports:
        wanted = dict.fromkeys(wanted, 0)
    for name, given in (("http", options.http_port), ("grpc", options.grpc_port)):
        wanted[name] = wanted[name] if given is None else given
    open_names = [name for name, port in wanted.items() if port == 0]
    remembered = options.data / "ports.json"
    before: dict[str, int] = {}
    with contextlib.suppress(OSError, ValueError):  # a convenience only
        before = json.loads(remembered.read_text())
    chosen = {**wanted, **ports.choose(before, open_names)}
    remembered.write_text(json.dumps(chosen))
    return chosen


def _stop_on_signals(supervisor: Supervisor, console: Console) -> asyncio.Event:
    """An event that the first signal sets; the second kills what is still stopping."""
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()

    def handle() -> None:
        if stopping.is_set():
            supervisor.kill()
        else:
            console.say("Stopping (once more to insist)")
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # which nohup asks for
            loop.add_signal_handler(number, handle)
    return stopping


async def _before(stopping: asyncio.Event, supervisor: Supervisor) -> bool:
    """Start everything; False when a signal came first."""
    starting = asyncio.create_task(supervisor.start())
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait((starting, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if starting.done():
        starting.result()
        return True
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    return False


def _explain(error: StartFailedError, console: Console) -> None:
    first, *tail = str(error).splitlines()
    console.problem(f"emulator: {error.part} could not start: {first}. Its last words ({error.log} has all):")
    for line in tail:
        console.problem(f"  | {line}")
