"""Orders: the scheduler's to look at all candidates, and those of persons about a model, each with a reason."""

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from google.api_core.exceptions import PreconditionFailed

from event_inference.promotion import records
from pipeline import times
from pipeline.deployment import Deployment
from pipeline.errors import RejectedError
from pipeline.inputs.events import Message
from pipeline.verdicts import Verdict
from promoting import deciding, evidence, registry, traffic
from promoting.traffic import Entry

PERSON = "person"
Action = Literal["freeze", "resume", "force", "rollback"]
ACTIONS: tuple[Action, ...] = get_args(Action)
FIELDS = {"model", "action", "reason"}
MAX_REASON = 500  # characters


@dataclass(frozen=True, slots=True)
class Order:
    """An order of a person about a model."""

    model: str
    action: Action
    reason: str


def parse(body: object) -> Order | None:
    """Checks `{"promote": {}}`, an order to look at all candidates, or `{"promote": {"model", "action", "reason"}}`.

    Raises:
        RejectedError: `invalid_parameters`.
    """
    value = body["promote"] if isinstance(body, dict) and body.keys() == {"promote"} else None
    if not isinstance(value, dict) or (value and value.keys() != FIELDS):
        raise _invalid("The message must have promote alone: empty, or an object with model, action and reason.")
    if not value:
        return None
    if value["action"] not in ACTIONS:
        raise _invalid(f"action must be one of {', '.join(ACTIONS)}.")
    for name in ("model", "reason"):
        text = value[name]
        if not isinstance(text, str) or not text.strip() or len(text) > MAX_REASON:
            raise _invalid(f"{name} must be a text of 1 to {MAX_REASON} characters.")
    return Order(**value)


def carry_out(deployment: Deployment, message: Message, clock: times.Clock = times.utc_now) -> Verdict:
    """Carries out an order; a message that is none is logged and forgotten.

    Raises:
        ConfigurationError: traffic.json cannot be read.
    """
    try:
        order = parse(json.loads(base64.b64decode(str(message.data or ""), validate=True)))
    except (RejectedError, ValueError) as error:
        return Verdict("ignored", reason=f"not an order: {error}")
    if order is None:
        verdict = Verdict("accepted", reason="promote", counts=dict(deciding.run(deployment, clock)))
    else:
        verdict = _obeyed(deployment, order, message.id, clock)
    registry.follow(deployment)
    return verdict


def _obeyed(deployment: Deployment, order: Order, id: str, clock: times.Clock) -> Verdict:
    for _ in range(deciding.ATTEMPTS):
        try:
            return _obey(deployment, order, id, clock())
        except PreconditionFailed:
            continue
    raise PreconditionFailed("traffic.json keeps changing")  # the message is delivered again


def _obey(deployment: Deployment, order: Order, id: str, now: datetime) -> Verdict:
    """Changes a model's traffic as ordered, once for each message's id.

    Raises:
        PreconditionFailed: the traffic has changed meanwhile.
    """
    current = traffic.read(deployment.models)
    entry = current.models.get(order.model)
    if entry is None:
        return Verdict("ignored", reason=f"{traffic.FILE} does not name {order.model}")
    if id in entry.get("orders", ()):
        return Verdict("ignored", reason="duplicate")
    after = _after(entry, order.action)
    if after is None:
        return Verdict("ignored", reason=f"there is nothing to {order.action} for {order.model}")
    orders = [*entry.get("orders", ()), id][-traffic.REMEMBERED_ORDERS :]
    name = deciding.document_name(order.model, now)
    document = _document(deployment, order, id, entry, name, now)
    deciding.apply(
        deployment, current, order.model, {**after, "orders": orders}, document, by=PERSON, name=name, now=now
    )
    return Verdict("accepted", reason=order.action, counts={"model": order.model, "decision": name})


def _invalid(message: str) -> RejectedError:
    return RejectedError("invalid_parameters", message)


def _after(entry: Entry, action: Action) -> Entry | None:
    """The traffic after an order; None if the order does not apply."""
    if action == "freeze" and traffic.is_running(entry):
        return traffic.frozen(entry)
    if action == "resume" and entry.get("candidate") and "frozen_mode" in entry:
        return traffic.resumed(entry)
    if action == "force" and entry.get("candidate"):
        return traffic.promoted(entry)
    if action == "rollback" and (entry.get("candidate") or entry.get("previous")):
        return traffic.rolled_back(entry)
    return None


def _document(deployment: Deployment, order: Order, id: str, entry: Entry, name: str, now: datetime) -> dict[str, Any]:
    """The order's document, with the evidence of the moment if there is an experiment."""
    own = {"action": order.action, "reason": order.reason, "by": PERSON, "order": id}
    if not (entry.get("candidate") and entry.get("experiment")):
        return {"schema": records.SCHEMA, "at": now.isoformat(), "model": order.model, **own}
    state = evidence.read_state(deployment.models, order.model, entry["experiment"])
    trial = evidence.collect(deployment, order.model, entry, state, now)
    return {**records.document(trial, trial.decide(), name, now), **own}
