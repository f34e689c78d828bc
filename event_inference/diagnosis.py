"""Examines a pipeline as its user: what answers, what the credentials may do, and what failed lately."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from event_inference.access.clients import reason, translated
from event_inference.errors import EventInferenceError
from event_inference.targets import local_stack

if TYPE_CHECKING:
    from event_inference.client import Client

_TIMEOUT_S = 20
_COUNTED = 1000
_BUCKETS = {
    "input_bucket": ("can be written", ("storage.objects.create", "storage.objects.get"), "roles/storage.objectUser"),
    "output_bucket": ("can be read", ("storage.objects.get", "storage.objects.list"), "roles/storage.objectViewer"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was examined.

    Attributes:
        ok: whether it is as it should be; None if that could not be found out.
        mend: the command that mends it; empty if nothing has to be done.
    """

    what: str
    ok: bool | None
    state: str
    mend: str = ""

    @property
    def problem(self) -> bool:
        return self.ok is False


def examine(client: "Client") -> Iterator[Finding]:
    """The findings, one after the other; without an answer from the pipeline, the first says so and is the last."""
    first = _credentials(client) if client.target.is_cloud else _stack(client)
    yield first
    if first.problem:
        return
    if client.target.services:
        yield _services(client)
    for name in _BUCKETS:
        yield _bucket(client, name)
    yield _topic(client)
    yield _workflow(client)
    yield _failures(client)


def trial(client: "Client", timeout: float) -> Finding:
    """Send a text, and wait for its document for at most `timeout` seconds."""
    moment = datetime.now(UTC)
    name = f"doctor/{moment:%Y%m%d-%H%M%S-%f}.txt"
    what = "a test input"
    try:
        handle = client.submit(f"A wonderful film on {moment:%A}.".encode(), name=name)
        document = handle.wait(timeout)
    except EventInferenceError as error:
        return Finding(what, False, str(error), f"einf status {name}")
    if document.ok:
        return Finding(what, True, f"{document.summary} after {document.latency:.1f} s")
    return Finding(what, False, f"{document.status}: {document.summary}", f"einf status {name} --json")


def _stack(client: "Client") -> Finding:
    address = client.target.storage.removeprefix("http://")
    if local_stack.answers(address):
        return Finding("a local stack is running", True, client.target.storage)
    return Finding("a local stack is running", False, f"{address} does not answer", "einf local up")


def _credentials(client: "Client") -> Finding:
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import Request

    what, login = "credentials", "gcloud auth application-default login"
    try:
        credentials = client.connection.credentials
        credentials.refresh(Request())
    except (EventInferenceError, GoogleAuthError) as error:
        return Finding(what, False, str(error), login)
    return Finding(what, True, getattr(credentials, "service_account_email", "") or type(credentials).__name__)


def _services(client: "Client") -> Finding:
    services = client.target.services
    silent = [name for name, url in services.items() if not local_stack.answers(url.removeprefix("http://"))]
    state = f"{len(services) - len(silent)} of {len(services)} answer"
    if silent:
        return Finding("services", False, f"{state}; silent: {', '.join(silent)}", f"einf local logs {silent[0]}")
    return Finding("services", True, state)


def _bucket(client: "Client", attribute: str) -> Finding:
    """Whether the bucket exists and the caller has the permissions on its objects."""
    target, (ability, permissions, role) = client.target, _BUCKETS[attribute]
    name = getattr(target, attribute)
    what = f"gs://{name}"
    create = f"deploy/gcloud/deploy.sh buckets    # PROJECT_ID={target.project}" if target.is_cloud else "einf local up"

    def granted() -> Finding:
        held = client.connection.storage.bucket(name).test_iam_permissions(list(permissions), timeout=_TIMEOUT_S)
        if set(held) >= set(permissions):
            return Finding(what, True, ability)
        grant = f"gcloud storage buckets add-iam-policy-binding {what} --member=user:YOU --role={role}"
        return Finding(what, False, f"you lack {', '.join(sorted(set(permissions) - set(held)))}", grant)

    return _examined(client, what, granted, create)


def _topic(client: "Client") -> Finding:
    target = client.target
    what = f"topic {target.topic}"
    grant = (
        f"gcloud pubsub topics add-iam-policy-binding {target.topic} --project={target.project} --member=user:YOU "
        f"--role=roles/pubsub.publisher"
    )

    def publishable() -> Finding:
        permission = "pubsub.topics.publish"
        request: Any = {"resource": target.topic_path, "permissions": [permission]}
        if target.is_cloud:
            held = client.connection.publisher.test_iam_permissions(request=request, timeout=_TIMEOUT_S)
            if permission not in held.permissions:
                return Finding(what, False, f"you lack {permission}, for replay and sweep", grant)
            return Finding(what, True, "can be published to")
        client.connection.publisher.get_topic(topic=target.topic_path, timeout=_TIMEOUT_S)
        return Finding(what, True, "exists")

    return _examined(
        client, what, publishable, "deploy/gcloud/deploy.sh messaging" if target.is_cloud else "einf local up"
    )


def _workflow(client: "Client") -> Finding:
    target = client.target
    what = f"workflow {target.workflow.rpartition('/')[2]}"

    def deployed() -> Finding:
        workflow = client.connection.workflows.get_workflow(name=target.workflow, timeout=_TIMEOUT_S)
        state = workflow.state.name
        return Finding(what, state == "ACTIVE", state, "" if state == "ACTIVE" else "deploy/gcloud/deploy.sh workflow")

    mend = "deploy/gcloud/deploy.sh workflow" if target.is_cloud else "einf local up"
    return _examined(client, what, deployed, mend)


def _failures(client: "Client") -> Finding:
    what = "failures in the last day"
    since = datetime.now(UTC) - timedelta(days=1)

    def counted() -> Finding:
        found = list(islice(client.failed(since=since), _COUNTED))
        if not found:
            return Finding(what, True, "none")
        codes = sorted({document.code for document in found})
        number = f"{len(found):,}{' or more' if len(found) == _COUNTED else ''}"
        return Finding(
            what, None, f"{number} ({', '.join(codes)})", "einf failed --since 1d; einf replay --since 1d --dry-run"
        )

    return _examined(client, what, counted, "")


def _examined(client: "Client", what: str, examination: Callable[[], Finding], mend: str) -> Finding:
    """The finding, or a problem if the pipeline refuses or lacks what is examined."""
    try:
        with translated(client.target):
            return examination()
    except EventInferenceError as error:
        return Finding(what, False, reason(error.__cause__ or error), mend)
