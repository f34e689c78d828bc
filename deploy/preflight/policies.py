"""Compares the organisation policies that hold for a project with what the deployment does."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from deploy.inventory import Inventory
from deploy.preflight.findings import Finding, Level, Project

# Services that can encrypt with a customer's key, among those that hold data of the deployment.
ENCRYPTED = (
    "artifactregistry",
    "bigquery",
    "cloudfunctions",
    "eventarc",
    "logging",
    "pubsub",
    "run",
    "storage",
    "workflows",
)
# Groups of gcp.resourceLocations that a region's name does not tell.
EUROPEAN_UNION = {f"europe-west{n}" for n in (1, 3, 4, 8, 9, 10, 12)} | {
    "europe-central2", "europe-north1", "europe-north2", "europe-southwest1",
}  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """A constraint: the values of a list that the deployment needs, or none if a boolean one must not be enforced."""

    constraint: str
    about: str
    needs: Callable[[Inventory], list[str]] | None = None
    level: Level = Level.BLOCKED
    mend: str = ""

    def command(self, project: str, values: list[str]) -> str:
        """What mends it: a setting, or the command for the organisation's administrator."""
        words = f"{self.constraint} {' '.join(values)}".strip()
        verb = "allow" if values else "disable-enforce"
        command = f"gcloud resource-manager org-policies {verb} {words} --project={project}"
        return " or: ".join(filter(None, (self.mend, command)))


def _ingress(system: Inventory) -> list[str]:
    return [system["settings"]["ingress"]]


def _function_ingress(system: Inventory) -> list[str]:
    return ["ALLOW_ALL" if system["settings"]["ingress"] == "all" else "ALLOW_INTERNAL_ONLY"]


def _regions(system: Inventory) -> list[str]:
    return sorted(
        {
            system["settings"]["region"],
            system["settings"]["build_region"],
            *system["gpu_service"]["regions"],
        }
    )


def _soft_delete(system: Inventory) -> list[str]:
    return sorted({str(bucket["soft_delete"] * 86_400) for bucket in system["buckets"].values()})


def _unencrypted(system: Inventory) -> list[str]:
    """The services that hold data under Google's keys."""
    return [] if system["settings"]["kms_key"] else [f"{name}.googleapis.com" for name in ENCRYPTED]


def _pools(system: Inventory) -> list[str]:
    return [system["settings"]["build_worker_pool"] or ANY]


INTERNAL = "set INGRESS=internal,"
ANY = "any value"  # allowed only where the constraint restricts nothing
RULES = [
    Rule("gcp.resourceLocations", "allows no resources in", _regions, mend="set REGION and GPU_REGIONS,"),
    Rule("gcp.restrictServiceUsage", "allows no use of", lambda system: list(system["apis"])),
    Rule("gcp.restrictNonCmekServices", "requires a key of your own for", _unencrypted, mend="set KMS_KEY,"),
    Rule("iam.disableServiceAccountCreation", "forbids service accounts"),
    Rule(
        "iam.allowedPolicyMemberDomains",
        "restricts who may be granted roles, which may include the log sink's identity",
        lambda _: [ANY],
        Level.NOTE,
        "if a grant to gcp-sa-logging is refused, set REPORTS=false, or ask for Google's service agents to be allowed;",
    ),
    Rule("run.allowedIngress", "does not allow the ingress", _ingress, mend=INTERNAL),
    Rule("run.allowedBinaryAuthorizationPolicies", "requires Binary Authorization for services", lambda _: [ANY]),
    Rule("cloudfunctions.allowedIngressSettings", "does not allow the ingress", _function_ingress, mend=INTERNAL),
    Rule("cloudfunctions.restrictAllowedGenerations", "does not allow functions of the", lambda _: ["2ndGen"]),
    Rule(
        "cloudbuild.allowedWorkerPools",
        "allows no builds outside private pools",
        _pools,
        mend="set BUILD_WORKER_POOL, and GPU_IMAGE to an image that you built,",
    ),
    Rule("storage.retentionPolicySeconds", "requires retention policies for buckets", lambda _: [ANY]),
    Rule("storage.softDeletePolicySeconds", "does not allow soft deletion, in seconds, of", _soft_delete),
]
CONNECTOR = Rule("cloudfunctions.requireVPCConnector", "requires a VPC connector", mend="set VPC_CONNECTOR,")
# The deployment does what these require.
SATISFIED = {
    "storage.uniformBucketLevelAccess": "buckets have uniform access",
    "storage.publicAccessPrevention": "buckets prevent public access",
}


def rules(system: Inventory) -> list[Rule]:
    """The constraints that matter to a deployment."""
    return RULES if system["settings"]["vpc_connector"] else [*RULES, CONNECTOR]


def constraints(system: Inventory) -> list[str]:
    return [*(rule.constraint for rule in rules(system)), *SATISFIED]


def document(constraint: str) -> str:
    return f"policy-{constraint}"


def findings(project: Project) -> Iterator[Finding]:
    stops = [finding for rule in rules(project.system) if (finding := _finding(project, rule))]
    yield from stops
    unread = [name for name in constraints(project.system) if project.read(document(name)) is None]
    if unread:
        yield project.unknown(
            document(unread[0]), f"{_count(unread)} ({', '.join(unread)})", "ask for roles/orgpolicy.policyViewer"
        )
    for constraint, fact in SATISFIED.items():
        if (policy := project.read(document(constraint))) and enforced(policy):
            yield Finding(Level.OK, f"{constraint} is enforced, and {fact}")
    if not stops and not unread:
        yield Finding(Level.OK, f"none of {_count(constraints(project.system))} stands in the way")


def _count(names: list[str]) -> str:
    return f"{len(names)} organisation polic{'y' if len(names) == 1 else 'ies'}"


def _finding(project: Project, rule: Rule) -> Finding | None:
    policy = project.read(document(rule.constraint))
    if policy is None:
        return None
    text = f"{rule.constraint} {rule.about}"
    if rule.needs is None:
        return Finding(rule.level, text, rule.command(project.id, [])) if enforced(policy) else None
    refused = [value for value in rule.needs(project.system) if not allowed(policy, value)]
    if refused == [ANY]:
        name = rule.constraint.replace(".", "-")
        console = f"https://console.cloud.google.com/iam-admin/orgpolicies/{name}?project={project.id}"
        return Finding(rule.level, text, " ".join(filter(None, (rule.mend, console))))
    if refused:
        return Finding(rule.level, f"{text} {', '.join(refused)}", rule.command(project.id, refused))
    return None


def enforced(policy: dict[str, Any]) -> bool:
    """Whether an effective policy enforces its boolean constraint."""
    return bool(policy.get("booleanPolicy", {}).get("enforced"))


def allowed(policy: dict[str, Any], value: str) -> bool:
    """Whether an effective policy allows a value of its list constraint, as Resource Manager's API v1 writes it."""
    rules = policy.get("listPolicy", {})
    if rules.get("allValues") == "DENY":
        return False
    if any(_matches(entry, value) for entry in rules.get("deniedValues", [])):
        return False
    permitted = rules.get("allowedValues")
    return permitted is None or any(_matches(entry, value) for entry in permitted)


def _matches(entry: str, value: str) -> bool:
    """Whether an entry of a list is the value, or a group of locations that contains it."""
    kind, _, name = entry.rpartition(":")
    if kind == "in" and name.endswith("-locations"):
        group = name.removesuffix("-locations")
        return value == group or value.startswith(f"{group}-") or (group == "eu" and value in EUROPEAN_UNION)
    return name == value
