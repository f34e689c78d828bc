"""Starts the service: python -m gpu_service --profile starter --port 8080."""

import logging
import sys

from . import logs
from .errors import StartError
from .server import run
from .settings import read


def main() -> int:
    """0 after SIGTERM or Ctrl-C, 1 when the service cannot start."""
    logs.setup()
    try:
        return run(read(sys.argv[1:]))
    except StartError as error:
        logging.getLogger(__package__).error("cannot start: %s", error.message)  # noqa: TRY400  a clear line
        return 1


if __name__ == "__main__":
    sys.exit(main())
