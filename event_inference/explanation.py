"""Asks the pipeline which model a file would go to, and why; the file is not taken in."""

import base64
import json
import mimetypes
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from event_inference.access.clients import Connection
from event_inference.errors import InputError, WaitTimeoutError
from event_inference.inputs import orders

HEAD_BYTES = 64 * 1024  # what the pipeline reads to decide
LABELS = "labels"  # the kind, and the folder, of files of labels
_FIRST_S, _FACTOR, _LONGEST_S = 0.1, 1.4, 2.0


def explain(
    connection: Connection,
    path: Path,
    *,
    name: str | None = None,
    content_type: str | None = None,
    metadata: Mapping[str, str] | None = None,
    timeout: float = 60.0,
) -> dict[str, Any]:
    """The answer of the function that takes messages in: `{kind, model, routing, rules, traffic, notes}`.

    A file of labels has the kind and notes alone, what would be rejected `{kind, rejected}`.

    Args:
        name: of the object; by default the file's name.
        metadata: custom metadata, among them parameters.

    Raises:
        InputError: the file cannot be read.
        WaitTimeoutError: there is no answer after `timeout` seconds.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    question = {
        "name": name or path.name,
        "size": size,
        "head": base64.b64encode(head).decode(),
        "content_type": content_type or mimetypes.guess_type(path.name)[0] or "application/octet-stream",
        "metadata": dict(metadata or {}),
    }
    order = orders.publish(connection, {"explain": question})
    answer = _answer(connection, f"explanations/{order.message_id}.json", timeout)
    if name is None and path.parent.name == LABELS and path.name.lower().endswith((".csv", ".csv.gz")):
        note = f"With the name {LABELS}/{path.name} (--name) it would be a file of labels."
        answer["notes"] = [*answer.get("notes", ()), note]
    return answer


def _answer(connection: Connection, name: str, timeout: float) -> dict[str, Any]:
    from google.api_core.exceptions import NotFound

    deadline, pause = time.monotonic() + timeout, _FIRST_S
    while True:
        try:
            answer: dict[str, Any] = json.loads(connection.output.blob(name).download_as_bytes())
        except NotFound:
            if time.monotonic() >= deadline:
                raise WaitTimeoutError(f"There is no answer after {timeout:g} s. See: einf watch") from None
            time.sleep(pause)
            pause = min(pause * _FACTOR, _LONGEST_S)
        else:
            return answer


def sentences(answer: Mapping[str, Any]) -> list[str]:
    """The answer in words."""
    notes = [f"note: {note}" for note in answer.get("notes", ())]
    if rejected := answer.get("rejected"):
        return [f"It would be rejected ({rejected['code']}): {rejected['message']}", *notes]
    lines = [f"kind: {answer['kind']}"]
    if answer["kind"] == LABELS:
        return [*lines, "Its labels would be kept; no model is chosen for it."]
    if answer["kind"] == "timeseries":
        return [*lines, "It would be forecast; no model is chosen for it.", *notes]
    lines += [f"model: {_model(answer)}", f"version: {_version(answer)}"]
    for rule in answer["rules"]:
        lines.append(f"rule {rule['name']}: {rule['mismatch'] or 'matches'}")
    return lines + notes


def _model(answer: Mapping[str, Any]) -> str:
    routing, model = answer["routing"], answer["model"]
    if model is None:
        return (
            "the default one of what its records hold" if answer["kind"] not in ("text", "image") else "the default one"
        )
    reasons = {"requested": "requested", "default": "the default one", "rule": f"by rule {routing.get('rule')}"}
    return f"{model['name']} ({reasons[routing['chosen_by']]})"


def _version(answer: Mapping[str, Any]) -> str:
    version, traffic = (answer["model"] or {}).get("version"), answer["traffic"]
    if answer["routing"].get("version_by") == "requested":
        return f"{version} (requested)"
    if not traffic:
        return version or "the default one"
    stable, candidate, share = traffic["stable"], traffic["candidate"], traffic["share"]
    if candidate is None or traffic["mode"] == "frozen" or version == stable:
        return f"{stable} (stable)"
    if traffic["mode"] == "shadow":
        return f"{stable} (stable); {share:.4g} of the inputs are shown to {candidate}"
    return f"{candidate} for {share:.4g} of the inputs, else {stable} (experiment {traffic['experiment']})"
