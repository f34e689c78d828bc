"""Calls of Vertex AI's API by REST, which costs a tenth of the memory and start of Google's client for it."""

import json
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from event_inference.errors import UnreachableError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.auth.transport.requests import AuthorizedSession

_POLL_S = 1.0


class Api:
    """The API in a project and region. Every method raises UnreachableError if Vertex AI does not answer or refuses.

    Args:
        parent: `projects/P/locations/REGION`.
        credentials: called at the first request.
        timeout: seconds that a request may take.
        operation_timeout: seconds that an operation which it started may take.
    """

    def __init__(
        self,
        url: str,
        parent: str,
        credentials: "Callable[[], Credentials]",
        *,
        timeout: float = 60,
        operation_timeout: float = 3600,
    ) -> None:
        self._url, self.parent, self._credentials = url, parent, credentials
        self._timeout, self._operation_timeout = timeout, operation_timeout

    def call(
        self,
        verb: str,
        name: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        missing: Any = None,
    ) -> Any:
        """The JSON of an answer; `missing` in place of a 404."""
        return self.send(verb, f"{self._url}/v1/{name}", body, query=query, missing=missing)

    def finished(self, operation: Mapping[str, Any]) -> Mapping[str, Any]:
        """The response of an operation once it has ended."""
        until = time.monotonic() + self._operation_timeout
        while not operation.get("done"):
            if time.monotonic() > until:
                raise UnreachableError(f"{operation['name']} of Vertex AI has not ended; look at it with gcloud ai.")
            time.sleep(_POLL_S)
            operation = self.call("GET", operation["name"])
        if error := operation.get("error"):
            raise UnreachableError(f"Vertex AI did not do it: {error.get('message')}")
        response: Mapping[str, Any] = operation["response"]
        return response

    def send(
        self,
        verb: str,
        url: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        missing: Any = None,
    ) -> Any:
        """As `call`, of any API."""
        import requests
        from google.auth.exceptions import GoogleAuthError

        try:
            answer = self._session.request(verb, url, json=body, params=query or {}, timeout=self._timeout)
        except (requests.RequestException, GoogleAuthError) as error:
            raise UnreachableError(f"Vertex AI does not answer: {error}") from error
        if answer.status_code == requests.codes.not_found and missing is not None:
            return missing
        if not answer.ok:
            raise UnreachableError(f"{verb} {url} answered {answer.status_code}: {_reason(answer.text)}")
        try:
            return answer.json()
        except ValueError as error:
            raise UnreachableError(f"{verb} {url} answered what is not JSON: {answer.text[:200]!r}") from error

    @cached_property
    def _session(self) -> "AuthorizedSession":
        from google.auth.transport.requests import AuthorizedSession

        return AuthorizedSession(self._credentials())


def _reason(text: str) -> str:
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return text.strip()[:500]
