"""Orders about candidates: checks them and hands them to `promote`, which alone may change the traffic of a model."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from messaging import pubsub
from pipeline.deployment import Deployment
from pipeline.errors import RejectedError
from pipeline.inputs.events import Message
from pipeline.verdicts import Verdict

Action = Literal["freeze", "resume", "force", "rollback"]
ACTIONS: tuple[Action, ...] = get_args(Action)
MAX_REASON = 500  # characters
FORM = "promote must be empty, or an object with model, action and reason."


@dataclass(frozen=True, slots=True)
class Promotion:
    """An order of a person about a model; without a model, the order to look at the evidence of all candidates."""

    model: str = ""
    action: Action | None = None
    reason: str = ""

    def message(self, message_id: str) -> dict[str, Any]:
        """The order for `promote`, which obeys each id once."""
        if not self.model:
            return {"promote": {}}
        return {"promote": {"model": self.model, "action": self.action, "reason": self.reason, "id": message_id}}


def parse(value: object) -> Promotion:
    """Checks `{}` or `{"model", "action", "reason"}`.

    Raises:
        RejectedError: `invalid_parameters`.
    """
    if not isinstance(value, dict):
        raise RejectedError("invalid_parameters", FORM)
    if not value:
        return Promotion()
    if value.keys() != {"model", "action", "reason"}:
        raise RejectedError("invalid_parameters", FORM)
    if value["action"] not in ACTIONS:
        raise RejectedError("invalid_parameters", f"promote.action must be one of {', '.join(ACTIONS)}.")
    for name in ("model", "reason"):
        text = value[name]
        if not isinstance(text, str) or not text.strip() or len(text) > MAX_REASON:
            raise RejectedError("invalid_parameters", f"promote.{name} must be a text of 1 to {MAX_REASON} characters.")
    return Promotion(**value)


def run(deployment: Deployment, promotion: Promotion, message: Message) -> Verdict:
    topic = deployment.settings.promotions_topic
    if not topic:
        return Verdict("ignored", reason="PROMOTIONS_TOPIC is not set")
    published = pubsub.publish(topic, promotion.message(message.id))
    return Verdict("accepted", reason="promote", counts={"continued_by": published})
