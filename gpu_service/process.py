"""What every process of the image does at its start and its end: the log, the errors that end it, the status."""

import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from . import logs
from .errors import ServiceError


def main(work: Callable[[], int], *, terminated: int) -> NoReturn:
    """Ends with what `work` returns, 1 when it fails; with `terminated` on SIGTERM until `work` has its own handler."""
    signal.signal(signal.SIGTERM, lambda *_: leave(terminated))  # as pid 1 it would be ignored
    try:
        leave(_status(work))
    except SystemExit as end:  # of argparse
        leave(end.code if isinstance(end.code, int) else 1)


def _status(work: Callable[[], int]) -> int:
    logs.setup()
    logger = logging.getLogger(__package__)
    try:
        return work()
    except ServiceError as error:
        logger.error("cannot start: %s", error.message)  # noqa: TRY400  a clear line
    except Exception:
        logger.exception("the process failed")
    return 1


def leave(status: int) -> NoReturn:
    """Ends the process at once: a thread that still loads a model would hold the interpreter's own exit up for ever."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
