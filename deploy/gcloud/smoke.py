"""Asks a new revision for an answer before it gets traffic: TOKEN=… python deploy/gcloud/smoke.py KIND URL.

KIND is `models` for the GPU service, `http` for a function with /health, `events` for a function of events. Exits with
1 and the reason unless the revision answers as the code does.
"""

import http.client
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable

SECONDS = 300  # for a start of the container with its models
TEXT = {"instances": [{"text": "A wonderful film, and a fine evening."}]}


def ask(url: str, token: str, body: object = None) -> tuple[int, str]:
    """The status and text of the answer to a POST, or to a GET without a body."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers)  # noqa: S310  the URL is from Cloud Run
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:  # noqa: S310
            return response.status, response.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(errors="replace")


def models(url: str, token: str) -> str | None:
    """Why the GPU service cannot serve; None if it predicts, or has no model for a text alone and says so."""
    status, text = ask(f"{url}/ready", token)
    if status != 200:
        return f"GET /ready answered {status}: {text}"
    status, text = ask(f"{url}/predict", token, TEXT)
    try:
        answer = json.loads(text)
    except ValueError:
        answer = {}
    refused = 400 <= status < 500 and isinstance(answer.get("error"), dict) and "code" in answer["error"]
    faults = [outcome["error"] for outcome in answer.get("predictions", []) if "error" in outcome]
    if refused or (status == 200 and "predictions" in answer and not faults):
        return None
    return f"POST /predict answered {status}: {text}"


def health(url: str, token: str) -> str | None:
    status, text = ask(f"{url}/health", token)
    return None if status == 200 else f"GET /health answered {status}: {text}"


def events(url: str, token: str) -> str | None:
    """A function of events that the framework has loaded takes no GET."""
    status, text = ask(url, token)
    return None if status == 405 else f"GET / answered {status} instead of 405: {text}"


KINDS: dict[str, Callable[[str, str], str | None]] = {"models": models, "http": health, "events": events}


def main(arguments: list[str]) -> int:
    kind, url = arguments
    try:
        reason = KINDS[kind](url.rstrip("/"), os.environ["TOKEN"])
    except (OSError, http.client.HTTPException) as error:
        reason = f"{url} cannot be reached: {error}"
    if reason:
        print(reason[:500], file=sys.stderr)
    return 1 if reason else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
