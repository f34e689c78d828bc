"""The command `einf`; each command is imported when it is called, so that help and completion are quick."""

import sys
from collections.abc import Sequence

import click

from event_inference.cli.group import einf
from event_inference.errors import DEFECT, INTERRUPTED, EventInferenceError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit with its status (docs/cli.md lists them)."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    try:
        status = einf.main(arguments, prog_name="einf", standalone_mode=False)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    except EventInferenceError as error:
        print(f"einf: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # the reader, such as `head`, has enough
        sys.stderr.close()  # the interpreter would report the same again at its end
        return DEFECT
    return status if isinstance(status, int) else 0
