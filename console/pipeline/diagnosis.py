"""Why did nothing start? What the buckets, the executions and the deliveries say about one name."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from google.api_core.exceptions import NotFound

from console.index.rows import is_input
from console.pipeline.emulator import Emulator
from event_inference import Client, names
from event_inference.access.clients import Connection, translated
from event_inference.outcomes import claims, executions, reading
from event_inference.outcomes.claims import Claim
from event_inference.outcomes.executions import Execution


@dataclass(frozen=True, slots=True)
class Sign:
    """One thing that was found out; `ok` is None where it is neither good nor bad.

    `is_waiting` tells whether it is an event that is still to be delivered.
    """

    ok: bool | None
    sentence: str
    is_waiting: bool = False


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The signs in the order in which an input passes them, a conclusion, and what to do (`sweep`, `replay` or "")."""

    name: str
    signs: list[Sign]
    conclusion: str
    action: str = ""
    document: str = ""


def of_name(client: Client, emulator: Emulator | None, name: str) -> Diagnosis:
    """Follow an input on its way, to where it stopped.

    Raises:
        UnreachableError: the pipeline does not answer, or refuses.
    """
    name = name.strip().removeprefix(f"gs://{client.target.input_bucket}/")
    with translated(client.target):
        return _of_name(client, emulator, name)


def _of_name(client: Client, emulator: Emulator | None, name: str) -> Diagnosis:
    connection, target = client.connection, client.target
    blob = connection.input.get_blob(name)
    if blob is None:
        return Diagnosis(
            name,
            [Sign(False, f"The input bucket {target.input_bucket} has no object of this name.")],
            "Nothing was uploaded under this name, or it was deleted. Names are case-sensitive and include folders.",
        )
    signs = [
        Sign(True, f"The object was uploaded at {blob.updated:%Y-%m-%d %H:%M:%S} UTC and has {blob.size:,} bytes.")
    ]
    if not is_input(name):
        return Diagnosis(name, signs, "This name is not an input: the pipeline reads it together with another file.")
    generation = int(blob.generation)
    document_name, job = names.document(name, generation), names.job(target.input_bucket, name, generation)
    document = reading.document_of(connection.output, document_name)
    if document is not None:
        signs.append(Sign(document.ok, f"It has a document, which says {document.status}: {document.summary}"))
        return Diagnosis(name, signs, "It did start, and it has ended.", document=document_name)
    delivered = _deliveries(emulator, name, str(generation))
    signs += delivered
    claim = claims.of_job(connection.work, job)
    execution = executions.of_job(connection, job)
    if execution is None and claim is not None and claim.execution is not None:  # it shares one with other inputs
        execution = _existing(connection, claim.execution)
    if execution is not None:
        signs.append(Sign(execution.is_running, f"Execution {execution.id} is {execution.state.lower()}."))
        if execution.is_running:
            step = execution.steps[-1] if execution.steps else "its first step"
            return Diagnosis(name, signs, f"It did start, and is at {step}.", document=document_name)
        return Diagnosis(
            name, signs, "Its execution ended without a document. A sweep starts it again.", "sweep", document_name
        )
    if claim is not None:
        signs.append(Sign(None, f"A function has claimed it; the claim says {claim.state}."))
        return Diagnosis(name, signs, *_of_claim(claim), document_name)
    signs.append(Sign(False, "No function has claimed it, so its event was not handled."))
    if any(sign.ok is False for sign in delivered):
        reason = "Its event was delivered, and the function failed. It is delivered again with growing pauses."
    elif any(sign.is_waiting for sign in delivered):
        reason = "Its event is being delivered, and the function has not answered yet. It is delivered until it does."
    else:
        reason = "Its event was lost, or has not arrived yet. A sweep starts it without an event."
    return Diagnosis(name, signs, reason, "sweep", document_name)


def _of_claim(claim: Claim) -> tuple[str, str]:
    """Why a claimed input has no execution, and what to do."""
    if claim.due is not None and claim.due > datetime.now(UTC):
        until = f"{claim.due:%Y-%m-%d %H:%M:%S} UTC"
        return f"It may wait, to be predicted on together with others. It starts by {until}.", ""
    if claim.due is not None:
        return "The next collection should start it, within a minute. If it has not, a sweep does.", "sweep"
    if claim.state == "waiting":
        return "The hour's executions were used up. The next sweep starts it; you can order one now.", "sweep"
    return "The function that took it in has not started an execution. A sweep takes over once its lease ends.", "sweep"


def _existing(connection: Connection, name: str) -> Execution | None:
    try:
        return executions.get(connection, name)
    except NotFound:
        return None


def _waiting(message: dict[str, Any]) -> str:
    count = message["attempts"]
    times = "once" if count == 1 else f"{count} times"
    if message["leased"]:
        return f"Its event was delivered {times}, and the function has it now."
    return f"Its event was delivered {times}; the next attempt is due at {message['due'][:19].replace('T', ' ')} UTC."


def _deliveries(emulator: Emulator | None, name: str, generation: str) -> list[Sign]:
    """What the deliveries of an upload's event say; in a cloud they are not visible."""
    if emulator is None:
        return [Sign(None, "Deliveries are only visible on the laptop; in a cloud see the subscription's metrics.")]
    found = emulator.deliveries(5000, contains=name)

    def concerns(attributes: dict[str, Any]) -> bool:
        return attributes.get("objectId") == name and attributes.get("objectGeneration") == generation

    attempts = [attempt for attempt in reversed(found["attempts"]) if concerns(attempt["attributes"])]
    signs = [
        Sign(attempt["acknowledged"], f"Delivery attempt {attempt['number']} was answered with {attempt['outcome']}.")
        for attempt in attempts
    ]
    waiting = [
        message for backlog in found["backlogs"] for message in backlog["waiting"] if concerns(message["attributes"])
    ]
    signs += [Sign(None, _waiting(message), is_waiting=True) for message in waiting]
    return signs or [Sign(None, "The emulator knows of no delivery since it was started.")]
