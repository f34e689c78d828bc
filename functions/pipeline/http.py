"""The functions' boundary: makes responses of errors, `{"error": {code, message}}`, and logs how each call ended."""

import functools
import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import cloudevents.exceptions
import flask
import functions_framework
from werkzeug.exceptions import HTTPException

from pipeline import logs
from pipeline.errors import MalformedError, PipelineError, RejectedError
from pipeline.inputs.events import Receipt, receipt, request_trace
from pipeline.storage import UNAVAILABLE

if TYPE_CHECKING:
    from cloudevents.http import CloudEvent

    from pipeline.verdicts import Verdict

Handler = Callable[[dict[str, Any]], dict[str, Any]]
EventHandler = Callable[["CloudEvent", Receipt], "Verdict"]

LARGE_BYTES = 1 << 20  # of an event
_large = threading.Lock()


def endpoint(handler: Handler) -> Callable[[flask.Request], flask.Response]:
    """Makes an HTTP function of a handler that takes the decoded JSON body and returns the answer.

    A PipelineError becomes a response with its status, a failing Google API 503, any other exception 500. GET /health
    answers 200 without calling the handler.
    """

    @functools.wraps(handler)
    def serve(request: flask.Request) -> flask.Response:
        if request.path.rstrip("/") == "/health" and request.method in ("GET", "HEAD"):
            return flask.jsonify(status="ok")
        if request.method != "POST":
            return problem(405, "method_not_allowed", "Send a POST request with a JSON body.")
        if not request.is_json:
            return _undeclared()
        body = request.get_json(silent=True)
        if not isinstance(body, dict):
            return problem(400, MalformedError.code, "The body must be a JSON object.")
        with logs.bound(job=_job(body), trace=request_trace()):
            try:
                answer = handler(body)
            except Exception as error:  # noqa: BLE001 - the process boundary: the client must see no details
                return _failure(error)
            logs.info("accepted")
            return flask.jsonify(answer)

    return serve


def event(handler: EventHandler) -> Callable[["CloudEvent"], None]:
    """Makes a CloudEvent function of a handler, which returns to acknowledge an event and raises for redelivery."""

    @functools.wraps(handler)
    def serve(delivered: "CloudEvent") -> None:
        if not (flask.request.is_json or "ce-id" in flask.request.headers):
            flask.abort(_undeclared())
        received = receipt(delivered)
        with logs.bound(event_id=received.event_id, trace=received.trace):
            try:
                with _alone_if_large():
                    verdict = handler(delivered, received)
            except Exception as error:  # noqa: BLE001 - the process boundary: the client must see no details
                flask.abort(_failure(error))
            level = logging.WARNING if verdict.word == "throttled" else logging.INFO
            logs.log(level, verdict.word, **verdict.fields())

    return serve


def problem(status: int, code: str, message: str) -> flask.Response:
    response = flask.jsonify({"error": {"code": code, "message": message}})
    response.status_code = status
    return response


def _alone_if_large() -> AbstractContextManager[Any]:
    """Handles one large event at a time: what it decodes to takes a large part of the function's memory."""
    return _large if (flask.request.content_length or 0) > LARGE_BYTES else nullcontext()


def _undeclared() -> flask.Response:
    """Refuses what a web page could send across sites without a preflight: neither JSON nor with an event's headers."""
    return problem(415, "unsupported_media_type", "Send the header Content-Type: application/json.")


def describe_errors() -> None:
    """Makes the framework's own error responses JSON as well; to be called while main.py loads."""
    register = functions_framework.errorhandler
    # The handlers catch what they raise themselves, so these come from parsing a request as an event.
    for unreadable in (cloudevents.exceptions.GenericException, ValueError, TypeError, LookupError, AttributeError):
        register(unreadable)(_malformed)
    register(HTTPException)(_refusal)
    register(Exception)(_failure)


def _failure(error: Exception) -> flask.Response:
    if isinstance(error, PipelineError):
        if isinstance(error, RejectedError):
            logs.info("rejected", code=error.code)
        else:
            logs.warning("failed", code=error.code, reason=error.message)
        return problem(error.status, error.code, error.message)
    if isinstance(error, UNAVAILABLE):
        logs.exception("failed", error, code="unavailable")
        return problem(503, "unavailable", "A service that this function depends on did not respond; try again.")
    logs.exception("failed", error, code="internal")
    return problem(500, "internal", "The function failed; see its log for the reason.")


def _malformed(error: Exception) -> flask.Response:
    logs.warning("failed", code="malformed_event", reason=type(error).__name__)
    return problem(400, "malformed_event", "The request is not a readable CloudEvent.")


def _refusal(error: HTTPException) -> flask.Response:
    if error.code == 400:
        return _malformed(error)
    return problem(error.code or 500, error.name.lower().replace(" ", "_"), error.name)


def _job(body: dict[str, Any]) -> str | None:
    argument = body.get("argument", body)
    job = argument.get("job") if isinstance(argument, dict) else None
    return job if isinstance(job, str) else None
