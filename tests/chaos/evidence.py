"""What is known of the inputs that lack a document, and whether anything is still at work on one."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from google.api_core.exceptions import NotFound
from google.cloud import storage

from pipeline.jobs.job import of_object

WORK = "local-work"
PUSHED, COLLECTED = "%/subscriptions/eventarc-%", "%/subscriptions/uploads"


def at_work(data: Path) -> int:
    """The number of undelivered events and unfinished executions in the emulator's state."""
    unfinished = "SELECT count(*) FROM executions WHERE state IN ('ACTIVE', 'QUEUED')"
    ((executions,),) = _rows(data / "workflows.sqlite", unfinished)
    return _waiting(data, PUSHED) + int(executions)


def uncollected(data: Path) -> int:
    """The number of uploads that wait for an order to collect them."""
    return _waiting(data, COLLECTED)


def _waiting(data: Path, subscriptions: str) -> int:
    query = "SELECT count(*) FROM deliveries WHERE subscription LIKE ?"
    ((messages,),) = _rows(data / "pubsub.sqlite", query, subscriptions)
    return int(messages)


def of_document(data: Path, client: storage.Client, bucket: str, document: str, sent: Iterable[str]) -> dict[str, Any]:
    """What the events, the claim, the outcome and the execution of an object's generation say.

    Args:
        data: the emulator's folder.
        sent: the messages that announced it, as `<topic> <message id>`.
    """
    name, _, generation = document.rpartition("/")
    job = of_object(bucket, name, int(generation))
    claim = _content(client, f"claims/{job}.json")
    run = _content(client, f"runs/{claim['run']}.json") if claim and "run" in claim else None
    execution = (claim or {}).get("execution") or (run or {}).get("execution")
    states = _rows(data / "workflows.sqlite", "SELECT state, extra FROM executions WHERE name = ?", execution or "")
    return {
        "job": job,
        "object": client.bucket(bucket).get_blob(name, generation=int(generation)) is not None,
        "events": [_delivery(data, message) for message in sent],
        "log": list(_log_lines(data, job)),
        "claim": claim and {key: claim[key] for key in ("state", "claimed_at", "execution")},
        "outcome": (_content(client, f"outcomes/{job}.json") or {}).get("state"),
        "execution": [state for state, _ in states],
    }


def _delivery(data: Path, message: str) -> str:
    waiting = _rows(
        data / "pubsub.sqlite",
        "SELECT subscription, attempts, leased FROM deliveries WHERE message = ?",
        message.rpartition(" ")[2],
    )
    places = [
        f"in {name.rpartition('/')[2]}, attempt {attempts}, leased {leased}" for name, attempts, leased in waiting
    ]
    return f"{message}: {'; '.join(places) or 'acknowledged'}"


def _log_lines(data: Path, job: str) -> Iterator[str]:
    """How the functions' handlers ended that dealt with the job."""
    for name in ("on-upload", "on-message", "on-dead-letter"):
        for file in (data / f"{name}.log", data / "logs" / f"{name}.log"):
            for line in file.read_text(errors="replace").splitlines() if file.exists() else ():
                if job in line:
                    yield f"{name}: {_summary(line)}"


def _summary(line: str) -> str:
    try:
        fields = json.loads(line)
    except ValueError:
        return line[:200]
    return " ".join(str(fields[key]) for key in ("message", "event_id", "code", "reason") if fields.get(key))


def _content(client: storage.Client, name: str) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(client.bucket(WORK).blob(name).download_as_bytes())
    except NotFound:
        return None
    return content


def _rows(file: Path, query: str, *values: Any) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        return connection.execute(query, values).fetchall()
    finally:
        connection.close()
