"""Checks, builds and splits the resource names of workflows and executions."""

import re
import secrets
import uuid

from emulator.googleapi.errors import InvalidArgumentError

_PART = r"[^/]+"
_LOCATION = re.compile(rf"projects/({_PART})/locations/({_PART})")
_WORKFLOW = re.compile(rf"projects/({_PART})/locations/({_PART})/workflows/({_PART})")
_EXECUTION = re.compile(rf"projects/({_PART})/locations/({_PART})/workflows/({_PART})/executions/({_PART})")


def _checked(pattern: re.Pattern[str], name: str, form: str) -> str:
    if not pattern.fullmatch(name):
        raise InvalidArgumentError(f"invalid resource name {name!r}: must have the form {form}")
    return name


def location(name: str) -> str:
    """`name` if it is a location's; InvalidArgumentError otherwise."""
    return _checked(_LOCATION, name, "projects/*/locations/*")


def workflow(name: str) -> str:
    """`name` if it is a workflow's; InvalidArgumentError otherwise."""
    return _checked(_WORKFLOW, name, "projects/*/locations/*/workflows/*")


def execution(name: str) -> str:
    """`name` if it is an execution's; InvalidArgumentError otherwise."""
    return _checked(_EXECUTION, name, "projects/*/locations/*/workflows/*/executions/*")


def parent(name: str) -> str:
    """The parent's name: an execution's workflow, a workflow's location."""
    return name.rsplit("/", 2)[0]


def last(name: str) -> str:
    """The id, which is the last part of a name."""
    return name.rsplit("/", 1)[1]


def project(name: str) -> str:
    """The project in a resource name."""
    return name.split("/")[1]


def location_id(name: str) -> str:
    """The id of the location in a resource name."""
    return name.split("/")[3]


def new_execution(workflow_name: str) -> str:
    """A new name for an execution of a workflow."""
    return f"{workflow_name}/executions/{uuid.uuid4()}"


def new_revision(ordinal: int) -> str:
    """A new revision id such as `000001-ac2`."""
    return f"{ordinal:06d}-{secrets.token_hex(2)[:3]}"


def new_operation(location_name: str, milliseconds: int) -> str:
    """A new name for a long-running operation."""
    token = secrets.token_hex(12)
    return f"{location_name}/operations/operation-{milliseconds}-{token[:13]}-{token[13:]}"
