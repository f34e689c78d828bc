"""The rules of a new project, on a clock of its own: what it lacks, and when what was made has an effect."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.deploy.shape import NUMBER, PROJECT
from tests.deploy.stand_in import refusals
from tests.deploy.stand_in.refusals import Refusal

# Seconds until what was made is known to the whole project, usually.
API_DELAY, IDENTITY_DELAY, ROLE_DELAY, METRIC_DELAY = 20, 30, 90, 50
TOKEN_SECONDS, REPLACED_BEFORE = 3600, 300  # gcloud replaces a token five minutes before it expires
UNRESTRICTED = {"us-central1", "us-west2", "europe-west1", "asia-east1", "australia-southeast1", "southamerica-east1"}
# APIs whose requests count for the project that the request names, instead of the one that owns the resource.
CLIENT_BASED = {"cloudbilling", "billingbudgets", "cloudquotas", "cloudresourcemanager", "serviceusage"}
AGENTS = {
    "pubsub": "gcp-sa-pubsub.iam.gserviceaccount.com",
    "eventarc": "gcp-sa-eventarc.iam.gserviceaccount.com",
    "storage": "gs-project-accounts.iam.gserviceaccount.com",
    "logging": "gcp-sa-logging.iam.gserviceaccount.com",
    "cloudfunctions": "gcf-admin-robot.iam.gserviceaccount.com",
    "run": "serverless-robot-prod.iam.gserviceaccount.com",
    "workflows": "gcp-sa-workflows.iam.gserviceaccount.com",
}


def agent(service: str) -> str:
    """The e-mail address of a service's agent."""
    return f"service-{NUMBER}@{AGENTS[service]}"


@dataclass
class NewProject:
    """Times are seconds of `now`, which requests and waits advance. A `need_…` raises Refusal if it is not met."""

    billing: bool = True
    gpus: int = 3
    cpus: int = 20
    gib: int = 40
    build_regions: set[str] = field(default_factory=lambda: set(UNRESTRICTED))
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)  # effective, by constraint
    lacking: set[str] = field(default_factory=set)  # permissions that the caller does not have
    slowness: float = 1  # multiplies the delays
    now: float = 0
    apis: dict[str, float] = field(default_factory=lambda: {"serviceusage.googleapis.com": -math.inf})
    identities: dict[str, float] = field(default_factory=dict)  # e-mail addresses, and when they were made
    grants: dict[tuple[str, str, str], float] = field(default_factory=dict)  # target, role, e-mail address
    metrics: dict[str, float] = field(default_factory=dict)  # those from logs; no other metric has data
    tokens: dict[str, float] = field(default_factory=dict)  # and when they expire
    token_file: Path | None = None

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        if self.token_file and max(self.tokens.values(), default=0) - self.now <= REPLACED_BEFORE:
            token = f"token-{len(self.tokens)}"
            self.tokens[token] = self.now + TOKEN_SECONDS
            self.token_file.write_text(token)

    def issue_tokens(self, file: Path) -> None:
        """From now on accepts only valid tokens, and keeps one in a file, as gcloud does."""
        self.token_file = file
        self.pass_time(0)

    def enable(self, services: Iterable[str]) -> None:
        names = [name for name in services if name not in self.apis]
        if names and not self.billing:
            raise Refusal(412, refusals.NO_BILLING.format(NUMBER, ",".join(names)), "UREQ_PROJECT_BILLING_NOT_FOUND")
        self.apis |= dict.fromkeys(names, self.now)

    def make_identity(self, email: str, age: float = 0) -> None:
        self.identities.setdefault(email, self.now - age)

    def grant(self, target: str, role: str, member: str) -> None:
        email = member.removeprefix("serviceAccount:")
        if not self._known(self.identities.get(email), IDENTITY_DELAY):
            raise Refusal(400, refusals.UNKNOWN_ACCOUNT.format(email))
        self.grants.setdefault((target, role, email), self.now)

    def withdraw(self, target: str, kept: set[tuple[str, str]]) -> None:
        """Ends the grants on a target except those to keep, given as roles and members."""
        emails = {(role, member.removeprefix("serviceAccount:")) for role, member in kept}
        self.grants = {key: made for key, made in self.grants.items() if key[0] != target or key[1:] in emails}

    def make_metric(self, name: str) -> None:
        self.metrics.setdefault(f"logging.googleapis.com/user/{name}", self.now)

    def _known(self, made: float | None, delay: float) -> bool:
        return made is not None and self.now - made >= delay * self.slowness

    def may(self, email: str, role: str, *targets: str) -> bool:
        """Whether a role has an effect on one of the targets."""
        return any(self._known(self.grants.get((target, role, email)), ROLE_DELAY) for target in targets)

    def need_token(self, token: str) -> None:
        if self.token_file and self.tokens.get(token, 0) <= self.now:
            raise Refusal(401, refusals.NO_TOKEN, "ACCESS_TOKEN_EXPIRED")

    def need_api(self, api: str) -> None:
        name = f"{api}.googleapis.com"
        if not self._known(self.apis.get(name), API_DELAY):
            link = f"https://console.developers.google.com/apis/api/{name}/overview?project={NUMBER}"
            metadata = {"service": name, "consumer": f"projects/{NUMBER}"}
            raise Refusal(403, refusals.API_OFF.format(api, NUMBER, link), "SERVICE_DISABLED", **metadata)

    def need_billing(self) -> None:
        if not self.billing:
            raise Refusal(403, refusals.BILLING_DISABLED, "accountDisabled")

    def need_builder(self, builder: str, region: str, source: str) -> None:
        """A build region, and the roles of the account that builds; `source` is the bucket or project to read from."""
        if region not in self.build_regions:
            raise Refusal(412, refusals.BUILDS_RESTRICTED)
        roles = {
            "roles/logging.logWriter": PROJECT,
            "roles/artifactregistry.writer": PROJECT,
            "roles/storage.objectViewer": source,
        }
        for role, target in roles.items():
            if not self.may(builder, role, PROJECT, target):
                raise Refusal(403, refusals.BUILDER_LACKS.format(builder, role))

    def need_quota(self, instances: int, cpu: float, gib: float, gpus: int = 0) -> None:
        """Cloud Run compares the maximum of each service with the quotas of its region."""
        requested = {
            "CpuAllocPerProjectRegion": (int(instances * cpu * 1000), self.cpus * 1000, "total CPU"),
            "MemAllocPerProjectRegion": (int(instances * gib * (1 << 30)), self.gib << 30, "total memory"),
            "NvidiaL4GpuAllocNoZonalRedundancyPerProjectRegion": (instances * gpus, self.gpus, "GPUs"),
        }
        for name, (amount, allowed, what) in requested.items():
            if amount > allowed:
                fitting = instances * allowed // amount
                raise Refusal(400, refusals.OVER_QUOTA.format(fitting, what, name, amount, allowed))

    def need_trigger(self, account: str) -> None:
        """The roles without which Eventarc makes no trigger for uploads."""
        if not self.may(agent("eventarc"), "roles/eventarc.serviceAgent", PROJECT):
            raise Refusal(400, refusals.EVENTARC_LACKS)
        if not self.may(agent("storage"), "roles/pubsub.publisher", PROJECT):
            raise Refusal(400, refusals.STORAGE_LACKS)
        if not self.may(account, "roles/eventarc.eventReceiver", PROJECT):
            raise Refusal(403, refusals.RECEIVER_LACKS.format(account))

    def need_publisher(self, topic: str) -> None:
        if not self.may(agent("storage"), "roles/pubsub.publisher", PROJECT, topic):
            raise Refusal(403, refusals.TOPIC_LACKS.format(agent("storage"), topic), "forbidden")

    def need_metrics(self, *filters: str) -> None:
        """Thresholds and service level objectives may name only metrics with data, and those from logs."""
        for name in re.findall(r'metric\.type ?= ?"([^"]+)"', " ".join(filters)):
            if not self._known(self.metrics.get(name), METRIC_DELAY):
                raise Refusal(404, refusals.NO_METRIC.format(name))

    def need_unvalidated(self, disabled: bool | None) -> None:
        """No metric that alerts query in PromQL has data, so that only those that are not validated are accepted."""
        if not disabled:
            raise Refusal(400, refusals.NO_PROMQL_METRIC)
