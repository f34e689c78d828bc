"""Resource names of workflows and executions: checked, built and taken apart."""

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
    """``name`` if it is a location's, else InvalidArgumentError."""
    return _checked(_LOCATION, name, "projects/*/locations/*")


def workflow(name: str) -> str:
    """``name`` if it is a workflow's, else InvalidArgumentError."""
    return _checked(_WORKFLOW, name, "projects/*/locations/*/workflows/*")


def execution(name: str) -> str:
    """``name`` if it is an execution's, else InvalidArgumentError."""
    return _checked(_EXECUTION, name, "projects/*/locations/*/workflows/*/executions/*")


def parent(name: str) -> str:
    """The resource that ``name`` belongs to: of an execution its workflow, of a workflow its location."""
    return name.rsplit("/", 2)[0]


def last(name: str) -> str:
    """The resource's own id, the last part of its name."""
    return name.rsplit("/", 1)[1]


def project(name: str) -> str:
    """The project of any resource name."""
    return name.split("/")[1]


def location_id(name: str) -> str:
    """The location's id of any resource name below one."""
    return name.split("/")[3]


def new_execution(workflow_name: str) -> str:
    """A fresh execution name under a workflow."""
    return f"{workflow_name}/executions/{uuid.uuid4()}"


def new_revision(ordinal: int) -> str:
    """A revision id such as ``000001-ac2``."""
    return f"{ordinal:06d}-{secrets.token_hex(2)[:3]}"


def new_operation(location_name: str, milliseconds: int) -> str:
    """A fresh name of a long-running operation."""
    token = secrets.token_hex(12)
    return f"{location_name}/operations/operation-{milliseconds}-{token[:13]}-{token[13:]}"
