"""A function that does nothing with a call."""

from typing import Any

import flask
import functions_framework


@functions_framework.http
def beside(_: flask.Request) -> dict[str, Any]:
    return {}
