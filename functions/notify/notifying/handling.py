"""Handles messages: of new documents, which every endpoint that wants them is told of, and of endpoints to try again.

What an endpoint does not take goes to the topic of retries, which Pub/Sub delivers until the endpoint has taken it or
the time is up. A message of a new document is therefore acknowledged whatever its endpoints answer: a broken one
neither delays the others nor makes them get a notification twice.
"""

import contextvars
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from notifying import pubsub, undelivered, webhooks
from notifying.circuits import Circuits
from notifying.endpoints import NAME, Endpoint, Endpoints
from notifying.notification import Notification, content
from notifying.settings import Settings
from notifying.webhooks import Failure
from pipeline import logs, times
from pipeline.deployment import Deployment
from pipeline.errors import MalformedError, PipelineError
from pipeline.inputs.events import Message
from pipeline.storage import UNAVAILABLE
from pipeline.verdicts import Verdict

FINALIZE = "OBJECT_FINALIZE"
RESTING = Failure("resting", "The endpoint has failed several times and is left alone for a while.")
REMOVED = Failure("endpoint_removed", "The endpoint is no longer configured.")


class UndeliveredError(PipelineError):
    """An endpoint did not take a notification; the message is delivered again."""

    status = 503
    code = "undelivered"


@dataclass(frozen=True, slots=True)
class Notifier:
    """Sends the notifications of a deployment."""

    deployment: Deployment
    settings: Settings
    circuits: Circuits = field(default_factory=Circuits)
    clock: times.Clock = times.utc_now
    endpoints: Endpoints | None = field(init=False)

    def __post_init__(self) -> None:
        file, allow_http = self.settings.endpoints, self.settings.allow_loopback
        object.__setattr__(self, "endpoints", Endpoints(file, allow_http=allow_http) if file else None)

    def handle(self, message: Message) -> Verdict:
        """Handles a message of either topic.

        Raises:
            ConfigurationError: the endpoints cannot be read.
            UndeliveredError: an endpoint that is tried again failed again.
        """
        if self.endpoints is None:
            return Verdict("ignored", reason="no notifications are configured")
        try:
            if "bucketId" not in message.attributes:
                return self._retry(content(message), self.endpoints)
            if message.attributes.get("eventType") != FINALIZE:
                return Verdict("ignored", reason="not a new object")
            notification = Notification.of_document(message, self.deployment.settings.output_bucket)
        except MalformedError as error:
            return Verdict("ignored", reason=error.message)
        if notification is None:
            return Verdict("ignored", reason="not a document")
        return self._tell(notification, self.endpoints)

    def _tell(self, notification: Notification, endpoints: Endpoints) -> Verdict:
        """Tells all endpoints that want it, at the same time; what one does not take goes to the topic of retries."""
        wanted = [endpoint for endpoint in endpoints.current().values() if endpoint.wants(notification)]
        if not wanted:
            return Verdict("ignored", notification.job, notification.name, reason="no endpoint wants it")
        since = times.timestamp()
        with ThreadPoolExecutor(max_workers=len(wanted)) as pool:
            contexts = [contextvars.copy_context() for _ in wanted]
            attempts = pool.map(
                lambda context, endpoint: context.run(self._attempt, endpoint, notification), contexts, wanted
            )
            failures = list(zip(wanted, attempts, strict=True))
        counts = {"delivered": 0, "retried": 0, "undelivered": 0}
        for endpoint, failure in failures:
            if failure is None:
                counts["delivered"] += 1
            elif failure.is_final:
                counts["undelivered"] += 1
                undelivered.keep(self.deployment, endpoint.name, notification, since, failure)
            else:
                counts["retried"] += 1
                retry = {"endpoint": endpoint.name, "since": since, **notification.fields()}
                pubsub.publish_json(self.settings.retries_topic, retry)
        return Verdict("accepted", notification.job, notification.name, notification.kind or None, counts={**counts})

    def _retry(self, retry: dict[str, Any], endpoints: Endpoints) -> Verdict:
        notification = Notification.parse(retry.get("id"), retry.get("body"))
        name, since = str(retry.get("endpoint")), str(retry.get("since"))
        if not NAME.fullmatch(name):
            raise MalformedError("The message does not name an endpoint.")
        logs.bind(job=notification.job, endpoint=name)
        is_over = self._is_over(since)
        endpoint = endpoints.current().get(name)
        failure = self._attempt(endpoint, notification, regardless=is_over) if endpoint else REMOVED
        if failure is None:
            return Verdict("accepted", notification.job, notification.name, counts={"delivered": 1})
        if endpoint and not is_over and not failure.is_final:
            raise UndeliveredError(f"{name}: {failure.message}")
        undelivered.keep(self.deployment, name, notification, since, failure)
        return Verdict("accepted", notification.job, notification.name, counts={"undelivered": 1})

    def _is_over(self, since: str) -> bool:
        try:
            return self.clock() - times.parse(since) >= self.settings.retry_for
        except ValueError as error:
            raise MalformedError("The message does not say since when the endpoint is tried.") from error

    def _attempt(self, endpoint: Endpoint, notification: Notification, *, regardless: bool = False) -> Failure | None:
        """Tries an endpoint once, unless it is left alone at present."""
        if not self.circuits.allows(endpoint.name) and not regardless:
            return RESTING
        failure = self._sent(endpoint, notification)
        fields = {"endpoint": endpoint.name, "notification": notification.id}
        if failure is None or failure.is_final:
            self.circuits.succeeded(endpoint.name)
        else:
            self.circuits.failed(endpoint.name, failure.retry_after)
        if failure is None:
            logs.info("notified", **fields)
        else:
            logs.warning("not notified", code=failure.code, **fields)
        return failure

    def _sent(self, endpoint: Endpoint, notification: Notification) -> Failure | None:
        if endpoint.topic:
            return _published(endpoint, notification)
        settings = self.settings
        return webhooks.send(
            endpoint, notification, allow_loopback=settings.allow_loopback, timeout=settings.timeout, clock=self.clock
        )


def _published(endpoint: Endpoint, notification: Notification) -> Failure | None:
    attributes = {"webhook-id": notification.id, "type": notification.type, "kind": notification.kind}
    try:
        pubsub.publish(endpoint.topic, notification.body, attributes)
    except (*UNAVAILABLE, TimeoutError) as error:
        return Failure("publish_failed", f"Pub/Sub did not take the message: {type(error).__name__}.")
    return None
