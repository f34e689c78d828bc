"""The functions' boundary: JSON in, JSON out, and each error as a status with `{"error": {code, message}}`."""

import functools
from collections.abc import Callable
from typing import Any

import cloudevents.exceptions
import flask
import functions_framework
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import TransportError
from requests.exceptions import RequestException
from werkzeug.exceptions import HTTPException

from pipeline import logs
from pipeline.errors import InProgressError, MalformedError, RejectedError
from pipeline.events import request_trace

Handler = Callable[[Any], dict[str, Any]]
AGAIN = (GoogleAPICallError, RetryError, TransportError, RequestException)  # Google's clients gave up repeating


def endpoint(handler: Handler) -> Callable[[flask.Request], flask.Response]:
    """Makes an HTTP function of a handler that takes the decoded JSON body and returns the answer.

    RejectedError becomes 422, MalformedError 400, a failing Google API 503 ("again"), anything else 500.
    """

    @functools.wraps(handler)
    def serve(request: flask.Request) -> flask.Response:
        if request.method != "POST":
            return problem(405, "method_not_allowed", "Send a POST request with a JSON body.")
        body = request.get_json(silent=True)
        if not isinstance(body, dict):
            return problem(400, MalformedError.code, "The body must be a JSON object.")
        with logs.bound(job=_job(body), trace=request_trace()):
            try:
                answer = handler(body)
            except RejectedError as error:
                logs.info("rejected", code=error.code)
                return problem(422, error.code, error.message)
            except (MalformedError, InProgressError) as error:
                logs.warning("failed", code=error.code, reason=str(error))
                return problem(error.status, error.code, str(error))
            except AGAIN as error:
                logs.exception("failed", error, code="unavailable")
                return problem(503, "unavailable", "A service that this function depends on did not answer; try again.")
            except Exception as error:  # noqa: BLE001 - the process boundary: nothing may leak to the client
                logs.exception("failed", error, code="internal")
                return problem(500, "internal", "The function failed; its log has the reason.")
            logs.info("accepted")
            return flask.jsonify(answer)

    return serve


def problem(status: int, code: str, message: str) -> flask.Response:
    response = flask.jsonify({"error": {"code": code, "message": message}})
    response.status_code = status
    return response


def describe_errors() -> None:
    """Makes the framework's own refusals JSON too; called while a main.py loads, when the framework listens."""
    register = functions_framework.errorhandler
    register(cloudevents.exceptions.GenericException)(lambda error: problem(400, "malformed_event", str(error)))
    register(HTTPException)(_refusal)
    register(Exception)(_crash)


def _refusal(error: HTTPException) -> flask.Response:
    if isinstance(error.response, flask.Response):
        return error.response
    status = error.code or 500
    if status == 400:
        return problem(400, "malformed_event", "The request is no CloudEvent that this function understands.")
    return problem(status, error.name.lower().replace(" ", "_"), error.name)


def _crash(error: Exception) -> flask.Response:
    response = problem(500, "internal", "The function failed; its log has the reason.")
    response.headers["X-Google-Status"] = "crash"
    logs.exception("failed", error, code="internal")
    return response


def _job(body: dict[str, Any]) -> str | None:
    argument = body.get("argument", body)
    job = argument.get("job") if isinstance(argument, dict) else None
    return job if isinstance(job, str) else None
