"""Orders: the scheduler's to look at all candidates, and those of persons about a model, each with a reason."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from google.api_core.exceptions import PreconditionFailed

from event_inference.promotion import records
from pipeline import times
from pipeline.deployment import Deployment
from pipeline.errors import RejectedError
from pipeline.inputs import messages
from pipeline.inputs.events import Message
from pipeline.verdicts import Verdict
from promoting import deciding, evidence, traffic
from promoting.traffic import Entry

PERSON = "person"


@dataclass(frozen=True, slots=True)
class Order:
    """An order of a person; `id` is obeyed once."""

    model: str
    action: str
    reason: str
    id: str


def carry_out(deployment: Deployment, message: Message, clock: times.Clock = times.utc_now) -> Verdict:
    """Carries out `{"promote": {}}` or `{"promote": {model, action, reason, id}}`, as on_message checks it.

    Raises:
        ConfigurationError: traffic.json cannot be read.
    """
    try:
        body = messages.body(message, deployment.settings.max_bytes["message"]).get("promote")
        order = Order(**body) if body else None
    except (RejectedError, TypeError) as error:
        return Verdict("ignored", reason=f"not an order: {error}")
    if order is None:
        return Verdict("accepted", reason="promote", counts=dict(deciding.run(deployment, clock)))
    for _ in range(deciding.ATTEMPTS):
        try:
            return _obey(deployment, order, clock())
        except PreconditionFailed:
            continue
    raise PreconditionFailed("traffic.json keeps changing")  # the message is delivered again


def _obey(deployment: Deployment, order: Order, now: datetime) -> Verdict:
    """Changes a model's traffic as ordered. Raises PreconditionFailed if it has changed meanwhile."""
    current = traffic.read(deployment.models)
    entry = current.models.get(order.model)
    if entry is None:
        return Verdict("ignored", reason=f"{traffic.FILE} does not name {order.model}")
    if order.id in entry.get("orders", ()):
        return Verdict("ignored", reason="duplicate")
    after = _after(entry, order.action)
    if after is None:
        return Verdict("ignored", reason=f"there is nothing to {order.action} for {order.model}")
    orders = [*entry.get("orders", ()), order.id][-traffic.REMEMBERED_ORDERS :]
    name = deciding.document_name(order.model, now)
    document = _document(deployment, order, entry, name, now)
    deciding.apply(
        deployment, current, order.model, {**after, "orders": orders}, document, by=PERSON, name=name, now=now
    )
    return Verdict("accepted", reason=order.action, counts={"model": order.model, "decision": name})


def _after(entry: Entry, action: str) -> Entry | None:
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


def _document(deployment: Deployment, order: Order, entry: Entry, name: str, now: datetime) -> dict[str, Any]:
    """The order's document, with the evidence of the moment if there is an experiment."""
    own = {"action": order.action, "reason": order.reason, "by": PERSON, "order": order.id}
    if not (entry.get("candidate") and entry.get("experiment")):
        return {"schema": records.SCHEMA, "at": now.isoformat(), "model": order.model, **own}
    state = evidence.read_state(deployment.models, order.model, entry["experiment"])
    trial = evidence.collect(deployment, order.model, entry, state, now)
    return {**records.document(trial, trial.decide(), name, now), **own}
