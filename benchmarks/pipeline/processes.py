"""The processor time of each process of a running stack."""

import psutil


def spent(pid: int) -> dict[str, float]:
    """Processor seconds by part of the stack whose emulator is the process `pid`: a service's name, or `emulator`."""
    emulator = psutil.Process(pid)
    total: dict[str, float] = {"emulator": _seconds(emulator)}
    for child in emulator.children(recursive=True):
        part = _part(child.cmdline())
        total[part] = total.get(part, 0) + _seconds(child)
    return total


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _part(command: list[str]) -> str:
    """The function's name, or the module that runs."""
    for option in ("--target", "-m"):
        if option in command:
            return command[command.index(option) + 1].replace("_", "-")
    return "other"
