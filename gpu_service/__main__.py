"""Starts the service: python -m gpu_service --profile starter --port 8080."""

import sys

from . import process


def serve() -> int:
    """0 after SIGTERM or Ctrl-C. Raises StartError."""
    from gpu_service.web.server import run

    from .settings import read

    return run(read(sys.argv[1:]))


if __name__ == "__main__":
    process.main(serve, terminated=0)
