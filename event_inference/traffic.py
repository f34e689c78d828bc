"""Which versions of a model answer: reads and changes traffic.json in the models bucket (docs/traffic.md)."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from event_inference.access.clients import Connection
from event_inference.errors import InputError

FILE = "traffic.json"
_ATTEMPTS = 5

Entry = dict[str, Any]
"""The traffic of a model: `stable`, `candidate`, `share`, `mode`, `experiment`, `since`, `by`, `reason`."""

Change = Callable[[Entry], Entry]


@dataclass(frozen=True, slots=True)
class Traffic:
    """The file's content by model, and the generation in which it was read; 0 if there is no file."""

    models: Mapping[str, Entry]
    generation: int


def read(connection: Connection) -> Traffic:
    """Read the file.

    Raises:
        InputError: it is not a JSON object of objects.
    """
    from google.api_core.exceptions import NotFound

    blob = connection.storage.bucket(connection.target.models_bucket).blob(FILE)
    try:
        content = json.loads(blob.download_as_bytes())
    except NotFound:
        return Traffic({}, 0)
    except ValueError as error:
        raise InputError(f"{_location(connection)} is not JSON: {error}. Correct or delete it.") from error
    if not isinstance(content, dict) or not all(isinstance(entry, dict) for entry in content.values()):
        raise InputError(f"{_location(connection)} must map models to objects. Correct or delete it.")
    return Traffic(content, blob.generation)


def change(connection: Connection, model: str, make: Change, *, by: str, reason: str) -> Entry:
    """Change the traffic of a model, unless it changes meanwhile.

    Args:
        make: what the entry becomes; a model without traffic has an empty one.
        by, reason: who wants it, and why; both are kept.

    Raises:
        InputError: the change is not possible, the model's traffic was changed by someone else at the same moment, or
            the file is broken.
    """
    from google.api_core.exceptions import PreconditionFailed

    blob = connection.storage.bucket(connection.target.models_bucket).blob(FILE)
    before: Entry | None = None
    for _ in range(_ATTEMPTS):
        traffic = read(connection)
        current = traffic.models.get(model, {})
        if before is not None and current != before:
            raise InputError(
                f"{current.get('by', 'Someone')} has just changed the traffic of {model}: {current.get('reason', '')} "
                f"Look at it with einf traffic show, then repeat."
            )
        before = current
        entry = {**make(current), "since": _now(), "by": by, "reason": reason}
        text = json.dumps({**traffic.models, model: entry}, ensure_ascii=False, indent=2) + "\n"
        try:
            blob.upload_from_string(text, "application/json", if_generation_match=traffic.generation)
        except PreconditionFailed:  # another model's traffic, or this one's
            continue
        return entry
    raise InputError(f"{_location(connection)} changes all the time; repeat the command.")


# --- what an entry becomes --------------------------------------------------------------------------


def settled(version: str) -> Change:
    """All inputs go to a version; an experiment ends."""

    def make(entry: Entry) -> Entry:
        previous = entry.get("stable")
        kept = {"previous": previous} if previous not in (None, version) else {}
        return {**_ended(entry), **kept, "stable": version}

    return make


def tried(candidate: str, share: float, mode: str, *, stable: str | None, experiment: str | None) -> Change:
    """A candidate gets a share of the inputs, or is shown them.

    Args:
        stable: the version that otherwise answers; by default the present one.
        experiment: its id; by default that of the present experiment with the same versions, or a new one.
    """

    def make(entry: Entry) -> Entry:
        chosen = stable or entry.get("stable")
        if chosen is None:
            raise InputError("The model has no stable version yet. Name it with --stable.")
        if chosen == candidate:
            raise InputError(f"{candidate} is the stable version already; the candidate must be another one.")
        goes_on = (entry.get("stable"), entry.get("candidate")) == (chosen, candidate) and entry.get("experiment")
        id = experiment or (entry["experiment"] if goes_on else f"{candidate}-{datetime.now(UTC):%Y%m%dT%H%M%S}")
        kept = {key: value for key, value in entry.items() if key != "frozen_mode"}
        return {**kept, "stable": chosen, "candidate": candidate, "share": share, "mode": mode, "experiment": id}

    return make


def frozen(entry: Entry) -> Entry:
    """All inputs go to the stable version until the experiment is set going again."""
    if not entry.get("candidate"):
        raise InputError("The model has no candidate, so that nothing is to be frozen.")
    if entry.get("mode") == "frozen":
        raise InputError("The experiment is frozen already.")
    return {**entry, "mode": "frozen", "frozen_mode": entry.get("mode")}


def stopped(entry: Entry) -> Entry:
    """The experiment ends, and all inputs go to the stable version."""
    if not entry.get("candidate"):
        raise InputError("The model has no candidate, so that nothing is to be stopped.")
    return _ended(entry)


def _ended(entry: Entry) -> Entry:
    kept = {key: value for key, value in entry.items() if key not in ("experiment", "frozen_mode")}
    return {**kept, "candidate": None, "share": 0, "mode": "split"}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _location(connection: Connection) -> str:
    return f"gs://{connection.target.models_bucket}/{FILE}"
