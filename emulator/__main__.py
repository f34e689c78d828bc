"""The command line: `python -m emulator [up]` runs a stack, `env` prints `export` lines, `debug` runs one service
in the foreground, `clean` removes the state."""

import argparse
import asyncio
import errno
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from emulator import state
from emulator.cli import guide
from emulator.cli.debug import DebugError, debug
from emulator.cli.up import up
from emulator.ports import PortTakenError
from emulator.stack.loader import load
from emulator.stack.model import StackError
from emulator.state import StateError
from emulator.terminal import escaped

# Of the machine, not of the emulator.
_FAULTS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE)
_STACK = Path(__file__).resolve().parent.parent / "deploy" / "local" / "stack.yaml"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    state.restrict()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] not in ("up", "env", "debug", "clean", "-h", "--help"):
        words.insert(0, "up")
    options = _parser().parse_args(words)
    try:
        if options.command == "up":
            stack = load(options.stack)
            return asyncio.run(up(replace(stack, iam=None) if options.no_iam else stack, options))
        if options.command == "debug":
            debug(options.service, options.data)
            return 0
        if options.command == "clean":
            state.remove(options.data)
            return 0
        for name, value in guide.environment(guide.read_addresses(options.data)).items():
            print(f"export {name}={shlex.quote(value)}")
    except (StackError, PortTakenError, StateError, guide.NotRunningError, DebugError) as error:
        print(escaped(f"emulator: {error}"), file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in _FAULTS:
            raise
        print(escaped(f"emulator: {state.unusable(options.data, error)}"), file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m emulator", description="Google Cloud on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    data = argparse.ArgumentParser(add_help=False)
    data.add_argument("--data", type=Path, default=Path(".local"), help="folder for state and logs (default: .local)")
    run = commands.add_parser("up", parents=[data], help="run a stack until Ctrl-C (the default)")
    run.add_argument("--stack", type=Path, default=_STACK, help="the stack file (default: deploy/local/stack.yaml)")
    run.add_argument("--memory", action="store_true", help="keep the state in memory; logs go to --data all the same")
    run.add_argument("--http-port", type=int, metavar="N", help="port of the HTTP APIs")
    run.add_argument("--grpc-port", type=int, metavar="N", help="port of the gRPC APIs")
    run.add_argument("--port-base", type=int, metavar="N", help="HTTP at N, gRPC at N+1, the services from N+10")
    run.add_argument("--free-ports", action="store_true", help="use free ports, those of the previous run if possible")
    run.add_argument("--no-iam", action="store_true", help="let every account do everything, whatever the stack grants")
    run.add_argument("--watch", action="store_true", help="reload services and workflows when their files change")
    run.add_argument("--verbose", action="store_true", help="show all output of the services, not only problems")
    commands.add_parser("env", parents=[data], help="print export lines for Google's clients and gcloud")
    borrow = commands.add_parser("debug", parents=[data], help="run one service of a running stack in the foreground")
    borrow.add_argument("service", help="its name in the stack file")
    commands.add_parser("clean", parents=[data], help="remove the state and the logs of an emulator that has ended")
    return parser


if __name__ == "__main__":
    sys.exit(main())
