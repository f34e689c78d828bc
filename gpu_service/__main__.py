"""Starts the service: python -m gpu_service --profile starter --port 8080."""

import sys

from gpu_service import entrypoint


def main() -> int:
    """Returns 0 after SIGTERM or Ctrl-C. Raises StartError."""
    from gpu_service import settings
    from gpu_service.web import server

    return server.run(settings.read(sys.argv[1:]))


if __name__ == "__main__":
    entrypoint.run(main, on_sigterm=0)
