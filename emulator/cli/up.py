"""`python -m emulator up`: chooses ports, runs the stack, shows progress, stops everything on a signal."""

import argparse
import asyncio
import json
import resource
import shlex
import signal
import sys
import time
from pathlib import Path

import emulator
from emulator import ports, state
from emulator.cli import guide
from emulator.stack.model import Address, Stack
from emulator.state import StateError
from emulator.supervisor.console import Console
from emulator.supervisor.logs import log_to
from emulator.supervisor.supervisor import StartFailedError, Supervisor

_FEW_FILES, _MANY_FILES = 256, 4096
_SERVICES_OFFSET = 10  # from --port-base to the port of the first service


async def up(stack: Stack, options: argparse.Namespace) -> int:
    """Run until a signal comes; returns the exit status, which is 1 if a service did not start.

    Raises:
        StackError: a workflow cannot be deployed, or a placeholder is unknown.
        PortTakenError: another process listens on a port that is needed.
        StateError: the data folder cannot be used.
    """
    data: Path = options.data
    state.restrict()
    _raise_file_limit()
    state.prepare(data)
    with state.locked(data):
        (data / "logs").mkdir(exist_ok=True)
        return await _run(stack, options, data, Console(verbose=options.verbose))


def _raise_file_limit() -> None:
    """Allow as many open files as the system lets this process have, up to what a stack needs at most.

    Raises:
        StateError: too few for a stack.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = _MANY_FILES if hard == resource.RLIM_INFINITY else min(hard, _MANY_FILES)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < _FEW_FILES:
        raise StateError(f"only {allowed} open files are allowed, a stack needs {_FEW_FILES}; raise it with ulimit -Hn")


async def _run(stack: Stack, options: argparse.Namespace, data: Path, console: Console) -> int:
    began = time.monotonic()
    guide.remove_addresses(data)
    log_to(data / "logs" / "emulator.log", console, stack.retention.log_mb)
    supervisor = Supervisor(stack, port_numbers(stack, options), data, console, memory=options.memory)
    tasks = (f"{job.name}/0" for job in stack.jobs)
    console.width = max(len(name) for name in (*supervisor.urls, *tasks, "emulator"))
    stopping = _stop_on_signals(supervisor, console)
    try:
        if not await _started(supervisor, stopping):
            return 0
        main = Address(supervisor.emulator.http, supervisor.emulator.grpc)
        running = guide.addresses(stack, data, main, supervisor.urls, supervisor.emulator.accounts)
        console.say(f"\nReady after {time.monotonic() - began:.1f} s. State and logs: {data}. Stop with Ctrl-C.\n")
        console.say(guide.summary(running, stack, _env_command(data)))
        guide.write_addresses(data, running)
        if options.watch:
            supervisor.watch()
        await stopping.wait()
    except StartFailedError as error:
        _report(error, console)
        return 1
    finally:
        guide.remove_addresses(data)
        await supervisor.stop()
    return 0


def _env_command(data: Path) -> str:
    """The command that prints the variables, in a form that works in any folder and outside the environment."""
    root = Path(emulator.__file__).resolve().parent.parent
    command = [sys.executable, "-m", "emulator", "env", "--data", str(data.resolve())]
    return f"cd {shlex.quote(str(root))} && {shlex.join(command)}"


def port_numbers(stack: Stack, options: argparse.Namespace) -> dict[str, int]:
    """The port of each service, and the emulator's own as `http` and `grpc`.

    Options take precedence over the stack file. Ports that are left open are those of the previous run if still free.
    """
    remembered = options.data / "ports.json"
    requested = _requested_ports(stack, options)
    open_names = [name for name, port in requested.items() if port == 0]
    numbers = {**requested, **ports.choose(_previous_ports(remembered), open_names)}
    remembered.write_text(json.dumps(numbers))
    return numbers


def _requested_ports(stack: Stack, options: argparse.Namespace) -> dict[str, int]:
    """Ports by name; 0 means any free port."""
    numbers = {"http": stack.ports.http, "grpc": stack.ports.grpc}
    numbers |= {service.name: service.port for service in stack.services}
    if options.port_base is not None:
        numbers = {"http": options.port_base, "grpc": options.port_base + 1}
        for index, service in enumerate(stack.services):
            numbers[service.name] = options.port_base + _SERVICES_OFFSET + index
    if options.free_ports:
        numbers = dict.fromkeys(numbers, 0)
    single = {"http": options.http_port, "grpc": options.grpc_port}
    return numbers | {name: port for name, port in single.items() if port is not None}


def _previous_ports(file: Path) -> dict[str, int]:
    try:
        numbers = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError):  # the same ports again are only a convenience
        return {}
    if not isinstance(numbers, dict):
        return {}
    return {name: port for name, port in numbers.items() if type(port) is int and 0 < port <= ports.LAST}


def _stop_on_signals(supervisor: Supervisor, console: Console) -> asyncio.Event:
    """An event that the first signal sets; a second signal kills the processes that are still stopping."""
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()

    def handle() -> None:
        if stopping.is_set():
            supervisor.kill()
        else:
            console.say("Stopping; press Ctrl-C again to kill what is still running")
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
            loop.add_signal_handler(number, handle)
    return stopping


async def _started(supervisor: Supervisor, stopping: asyncio.Event) -> bool:
    """Start everything; False if a signal came first."""
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


def _report(error: StartFailedError, console: Console) -> None:
    reason, *output = str(error).splitlines()
    console.fail(f"emulator: {error.service} could not start: {reason}. Its last output (all of it: {error.log}):")
    for line in output:
        console.fail(f"  | {line}")
