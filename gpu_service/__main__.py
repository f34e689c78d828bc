"""Starts the service: python -m gpu_service --profile starter --port 8080."""

import logging
import os
import signal
import sys
from typing import NoReturn

from . import logs
from .errors import ServiceError


def main() -> int:
    """0 after SIGTERM or Ctrl-C, 1 when the service cannot start."""
    from .server import run
    from .settings import read

    logs.setup()
    logger = logging.getLogger(__package__)
    try:
        return run(read(sys.argv[1:]))
    except ServiceError as error:
        logger.error("cannot start: %s", error.message)  # noqa: TRY400  a clear line
    except Exception:
        logger.exception("the service failed")
    return 1


def leave(status: int) -> NoReturn:
    """Ends the process at once: a thread that still loads a model would hold the interpreter's own exit up for ever."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: leave(0))  # until the server has its own: as pid 1 it would be ignored
    try:
        leave(main())
    except SystemExit as end:  # of argparse
        leave(end.code if isinstance(end.code, int) else 1)
