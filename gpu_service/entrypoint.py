"""Runs a process of the image: sets up its log, logs the error that ends it, and exits with its status."""

import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from gpu_service import logs
from gpu_service.errors import ServiceError


def run(main: Callable[[], int], *, on_sigterm: int) -> NoReturn:
    """Exits with the status that `main` returns, or 1 when it fails.

    `on_sigterm` is the status on SIGTERM until `main` installs a handler of its own.
    """
    signal.signal(signal.SIGTERM, lambda *_: exit_now(on_sigterm))  # process 1 ignores signals that it does not handle
    try:
        exit_now(_status(main))
    except SystemExit as end:  # from argparse
        exit_now(end.code if isinstance(end.code, int) else 1)


def _status(main: Callable[[], int]) -> int:
    logs.setup()
    logger = logging.getLogger(__package__)
    try:
        return main()
    except ServiceError as error:
        logger.error("cannot start: %s", error.message)  # noqa: TRY400  the message says it all
    except Exception:
        logger.exception("the process failed")
    return 1


def exit_now(status: int) -> NoReturn:
    """Exits without waiting for threads: one that still loads a model would delay the interpreter's own exit."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
