"""Event delivery to the functions: topics, subscriptions, Eventarc triggers and the scheduler."""

import base64
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_gcp as gcp

from deploy.pulumi.foundation import DAY, Foundation
from deploy.pulumi.services import Services
from deploy.pulumi.system import System


@dataclass
class Delivery:
    """Topics and subscription names by the inventory's names; `consumers` are the topics' subscriptions themselves."""

    topics: dict[str, gcp.pubsub.Topic]
    subscriptions: dict[str, pulumi.Output[str]]
    consumers: list[pulumi.Resource]


def create(system: System, base: Foundation, running: Services) -> Delivery:
    after = pulumi.ResourceOptions(depends_on=base.apis)
    topics = {
        name: gcp.pubsub.Topic(
            name,
            name=system.name(name),
            message_retention_duration=f"{topic['retention_days'] * DAY}s",
            kms_key_name=system.key,
            opts=after,
        )
        for name, topic in system["topics"].items()
    }
    pushes = {name: _push(system, base, running, topics, name) for name in system["push"]}
    pulls = {name: _pull(system, base, topics, name) for name in system["pull"]}
    triggers = {name: _trigger(system, base, running, name) for name in system["triggers"]}
    for name, schedule in system["schedules"].items():
        gcp.cloudscheduler.Job(
            name,
            name=system.name(name),
            region=system.region,
            schedule=schedule["schedule"],
            time_zone="Etc/UTC",
            pubsub_target=gcp.cloudscheduler.JobPubsubTargetArgs(
                topic_name=topics[schedule["topic"]].id,
                data=base64.b64encode(schedule["message"].encode()).decode(),
            ),
        )
    of_triggers = {name: _subscription(trigger) for name, trigger in triggers.items()}
    _export_dead_letters(system, of_triggers)
    names = {name: subscription.name for name, subscription in (pushes | pulls).items()}
    return Delivery(topics, names | of_triggers, [*pushes.values(), *pulls.values()])


def notify(system: System, base: Foundation, delivery: Delivery) -> None:
    """Creates the buckets' notifications, after the permission to publish and the subscriptions that keep messages."""
    after = pulumi.ResourceOptions(depends_on=[*base.permissions, *delivery.consumers])
    for name, notification in system["notifications"].items():
        gcp.storage.Notification(
            name,
            bucket=base.buckets[notification["bucket"]],
            topic=delivery.topics[notification["topic"]].id,
            event_types=[notification["event"]],
            payload_format=notification["payload"],
            object_name_prefix=notification["prefix"] or None,
            opts=after,
        )


def _push(
    system: System, base: Foundation, running: Services, topics: dict[str, gcp.pubsub.Topic], name: str
) -> gcp.pubsub.Subscription:
    push = system["push"][name]
    url, topic = running.urls[push["service"]], topics[push["topic"]]
    return gcp.pubsub.Subscription(
        f"push {name}",
        name=system.name(name),
        topic=topic.id,
        ack_deadline_seconds=push["ack_deadline"],
        message_retention_duration=f"{push['retention_days'] * DAY}s",
        # The functions framework reads the topic from the path.
        push_config=gcp.pubsub.SubscriptionPushConfigArgs(
            push_endpoint=pulumi.Output.concat(url, "/", topic.id),
            oidc_token=gcp.pubsub.SubscriptionPushConfigOidcTokenArgs(
                service_account_email=base.accounts["events"].email, audience=url
            ),
        ),
        retry_policy=_backoff(push),
        dead_letter_policy=_dead_letters(topics, push),
        expiration_policy=gcp.pubsub.SubscriptionExpirationPolicyArgs(ttl=""),  # never
    )


def _pull(system: System, base: Foundation, topics: dict[str, gcp.pubsub.Topic], name: str) -> gcp.pubsub.Subscription:
    pull = system["pull"][name]
    return gcp.pubsub.Subscription(
        f"pull {name}",
        name=system.name(name),
        topic=topics[pull["topic"]].id,
        ack_deadline_seconds=pull["ack_deadline"],
        message_retention_duration=f"{pull['retention_days'] * DAY}s",
        cloud_storage_config=_files(base, pull),
        retry_policy=_backoff(pull),
        dead_letter_policy=_dead_letters(topics, pull),
        expiration_policy=gcp.pubsub.SubscriptionExpirationPolicyArgs(ttl=""),  # never
        # Pub/Sub checks that it may write to the bucket.
        opts=pulumi.ResourceOptions(depends_on=base.permissions if "bucket" in pull else []),
    )


def _files(base: Foundation, pull: dict[str, Any]) -> gcp.pubsub.SubscriptionCloudStorageConfigArgs | None:
    """How Pub/Sub writes the messages to a bucket, if nobody pulls them."""
    if "bucket" not in pull:
        return None
    return gcp.pubsub.SubscriptionCloudStorageConfigArgs(
        bucket=base.buckets[pull["bucket"]],
        filename_suffix=".avro",
        max_duration="300s",
        avro_config=gcp.pubsub.SubscriptionCloudStorageConfigAvroConfigArgs(write_metadata=True),
    )


def _backoff(subscription: dict[str, Any]) -> gcp.pubsub.SubscriptionRetryPolicyArgs | None:
    if "backoff" not in subscription:
        return None
    least, most = subscription["backoff"]
    return gcp.pubsub.SubscriptionRetryPolicyArgs(minimum_backoff=f"{least}s", maximum_backoff=f"{most}s")


def _dead_letters(
    topics: dict[str, gcp.pubsub.Topic], subscription: dict[str, Any]
) -> gcp.pubsub.SubscriptionDeadLetterPolicyArgs | None:
    if "dead_letter" not in subscription:
        return None
    return gcp.pubsub.SubscriptionDeadLetterPolicyArgs(
        dead_letter_topic=topics[subscription["dead_letter"]].id, max_delivery_attempts=subscription["attempts"]
    )


def _trigger(system: System, base: Foundation, running: Services, name: str) -> gcp.eventarc.Trigger:
    trigger = system["triggers"][name]
    bucket = base.buckets[trigger["bucket"]]
    return gcp.eventarc.Trigger(
        name,
        name=system.name(name),
        location=trigger["location"],
        service_account=base.accounts["events"].email,
        matching_criterias=[
            gcp.eventarc.TriggerMatchingCriteriaArgs(attribute="type", value=trigger["event"]),
            gcp.eventarc.TriggerMatchingCriteriaArgs(attribute="bucket", value=bucket),
        ],
        destination=gcp.eventarc.TriggerDestinationArgs(
            cloud_run_service=gcp.eventarc.TriggerDestinationCloudRunServiceArgs(
                service=running.names[name][system.region], region=system.region
            )
        ),
        # A trigger that is created before its roles is rejected or delivers nothing.
        opts=pulumi.ResourceOptions(depends_on=base.permissions),
    )


def _subscription(trigger: gcp.eventarc.Trigger) -> pulumi.Output[str]:
    """The name of the subscription that Eventarc creates for a trigger."""

    def name(transport: Any) -> str:
        full: str = transport.pubsub.subscription
        return full.rpartition("/")[2]

    subscription: pulumi.Output[str] = trigger.transport.apply(name)
    return subscription


def _export_dead_letters(system: System, subscriptions: dict[str, pulumi.Output[str]]) -> None:
    """Exports the commands to run once after the first `up`: Pulumi cannot change Eventarc's subscriptions."""
    pulumi.export(
        "dead_letters",
        [
            pulumi.Output.concat(
                "gcloud pubsub subscriptions update ",
                subscription,
                f" --project={system.project}",
                f" --dead-letter-topic={system.name(system['triggers'][name]['dead_letter'])}",
                f" --max-delivery-attempts={system['triggers'][name]['attempts']}",
            )
            for name, subscription in subscriptions.items()
        ],
    )
