"""Takes messages in: Cloud Storage notifications, inline instances, manifests, and orders to the pipeline itself."""

from dataclasses import replace
from typing import Any

from messaging import collect, pubsub, replay, sweep
from pipeline import intake
from pipeline.deployment import Deployment
from pipeline.errors import RejectedError
from pipeline.inputs import inline, kept_messages, manifests, messages, redeliveries
from pipeline.inputs.events import Message, Receipt
from pipeline.intake import Verdict
from pipeline.jobs.job import Job

ORDERS = ("sweep", "replay", "collect")


def take_in(deployment: Deployment, message: Message, receipt: Receipt) -> Verdict:
    """Does what a message asks for; one that nobody can act on ends in a rejection under its own name.

    Raises:
        InProgressError: another handler has just claimed the same job.
    """
    change = messages.change(message)
    if change and change != messages.FINALIZE:
        return Verdict("ignored", reason=change)
    job = messages.job_of(message, receipt)
    try:
        if change:  # the same job as the direct event's, whatever the message's own id is
            return intake.upload(deployment, messages.upload(deployment.settings, message), receipt)
        body = messages.body(message, deployment.settings.max_bytes["message"])
        if len(body) == 1 and body.keys() <= set(ORDERS):
            return _order(deployment, message, body, receipt)
        intake.check_hops(deployment, job)
        manifest = manifests.parse(body) if {"id", "inputs"} <= body.keys() else None
        prepared = inline.parse(body) if "instances" in body else None
    except RejectedError as reason:
        return intake.refuse(deployment, job, reason)
    if manifest:
        job = manifests.job_of(job, manifest.id)
        return intake.process(deployment, job, lambda claimed: _kept(deployment, claimed, body))
    if prepared:
        redeliveries.note(deployment.work, message)
        return intake.process(deployment, job, lambda claimed: inline.stage(deployment.work, claimed, prepared))
    shapes_known = 'an object with "instances", a manifest\'s "id" and "inputs", "sweep", "replay" or "collect"'
    return intake.refuse(deployment, job, RejectedError("unknown_message", f"The message must be {shapes_known}."))


def _kept(deployment: Deployment, job: Job, body: dict[str, Any]) -> Job:
    return replace(job, input=kept_messages.keep(deployment.work, job, body))


def _order(deployment: Deployment, message: Message, body: dict[str, Any], receipt: Receipt) -> Verdict:
    """A sweep, a replay or a collection; what it leaves goes on in a message to the same topic."""
    following: sweep.Sweep | replay.Replay | collect.Collection | None
    if "sweep" in body:
        verdict, following = sweep.run(deployment, sweep.parse(body["sweep"]), receipt)
    elif "collect" in body:
        verdict, following = collect.run(deployment, collect.parse(body["collect"]), receipt)
    else:
        verdict, following = replay.run(deployment, replay.parse(body["replay"]), receipt)
    if following is None:
        return verdict
    goes_on: dict[str, Any] = {"continues": following.message()}
    if message.path:
        goes_on["continued_by"] = pubsub.publish(message.path, following.message())
    return replace(verdict, counts=(verdict.counts or {}) | goes_on)
