"""Routes messages: Cloud Storage notifications, inline instances, manifests, and commands to the pipeline itself."""

from dataclasses import replace
from typing import Any

from messaging import collect, explain, orders, pubsub, recommend, replay, replay_orders, sweep
from pipeline import intake
from pipeline.deployment import Deployment
from pipeline.errors import RejectedError
from pipeline.inputs.events import Message, Receipt
from pipeline.inputs.pubsub import inline, kept_messages, manifests, messages, redeliveries
from pipeline.jobs import outcomes
from pipeline.jobs.job import Job
from pipeline.labels import keeping, label
from pipeline.verdicts import Verdict

COMMANDS = ("sweep", "replay", "collect", "recommend", "explain", "label")
UNKNOWN = (
    'The message must have "instances", the "id" and "inputs" of a manifest, "label", "sweep", "replay", "collect", '
    '"recommend" or "explain".'
)


def take_in(deployment: Deployment, message: Message, receipt: Receipt) -> Verdict:
    """Handles a message; an invalid one is rejected under its own topic and id.

    Raises:
        InProgressError: another handler has just claimed the same job.
    """
    event_type = messages.event_type(message)
    if event_type and event_type != messages.FINALIZE:
        return Verdict("ignored", reason=event_type)
    job = messages.job(message, receipt)
    redeliveries.note(deployment.output, message)
    try:
        if event_type:  # the job of the object, the same as that of a direct event
            return intake.upload(deployment, messages.upload(deployment.settings, message), receipt)
        body = messages.body(message, deployment.settings.max_bytes["message"])
        if len(body) == 1 and body.keys() <= set(COMMANDS):
            return _carry_out(deployment, message, body, receipt)
        job.check_hops(deployment.settings.max_hops)
        if {"id", "inputs"} <= body.keys():
            return _take_in_manifest(deployment, job, body)
        if "instances" in body:
            return _take_in_instances(deployment, job, body)
        return outcomes.reject(deployment, job, RejectedError("unknown_message", UNKNOWN))
    except RejectedError as reason:
        return outcomes.reject(deployment, job, reason)


def _take_in_manifest(deployment: Deployment, job: Job, body: dict[str, Any]) -> Verdict:
    job = manifests.job_of(job, manifests.parse(body).id)

    def keep(claimed: Job) -> Job:
        return intake.of_manifest(
            deployment, replace(claimed, input=kept_messages.keep(deployment.work, claimed, body))
        )

    return intake.take_in(deployment, job, keep)


def _take_in_instances(deployment: Deployment, job: Job, body: dict[str, Any]) -> Verdict:
    instances = inline.parse(body)
    return intake.take_in(deployment, job, lambda claimed: intake.of_instances(deployment, claimed, instances))


def _carry_out(deployment: Deployment, message: Message, body: dict[str, Any], receipt: Receipt) -> Verdict:
    """Runs a command; the work beyond its limits continues in a message to the same topic."""
    if "explain" in body:
        return explain.run(deployment, explain.parse(body["explain"]), message, receipt)
    if "label" in body:
        kept = keeping.keep(deployment, label.parse(body["label"]))
        return Verdict("accepted", reason="label", counts={"label": kept})
    publish = (lambda order: pubsub.publish(topic, order)) if (topic := message.path) else None
    following: sweep.Sweep | replay_orders.Replay | orders.Collection | None
    if "recommend" in body:
        recommend.check(body["recommend"])
        return recommend.run(deployment)
    if "sweep" in body:
        verdict, following = sweep.run(deployment, sweep.parse(body["sweep"]), receipt)
    elif "collect" in body:
        verdict, following = collect.run(deployment, orders.parse(body["collect"]), receipt, publish)
    else:
        verdict, following = replay.run(deployment, replay_orders.parse(body["replay"]), receipt, publish)
    if following is None:
        return verdict
    counts = {**(verdict.counts or {}), "continues": following.message()}
    if message.path:
        counts["continued_by"] = pubsub.publish(message.path, following.message())
    return replace(verdict, counts=counts)
