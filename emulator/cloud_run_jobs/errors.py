"""Refusals of the Cloud Run API beyond those that it shares with the Workflows APIs.

ApiError
└── UnimplementedError        501  the method exists at Google and not here
"""

from emulator.googleapi.errors import ApiError, NotFoundError


class UnimplementedError(ApiError):
    """The method is not emulated."""

    code, status, number = 501, "UNIMPLEMENTED", 12


def missing(kind: str, name: str) -> NotFoundError:
    """The refusal of a name that nothing has, in Cloud Run's words; `name` is the full resource name."""
    _, project, _, location, *_, last = name.split("/")
    return NotFoundError(
        f"Resource '{last}' of kind '{kind}' in region '{location}' in project '{project}' does not exist"
    )
