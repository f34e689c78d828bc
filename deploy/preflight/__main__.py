"""Prints what would stop a deployment: python deploy/preflight FOLDER all|quotas.

The folder holds what preflight.sh read from the project; the environment sets the variables. Exits with 1 if something
blocks the deployment, else with 3 if something could not be read.

python deploy/preflight paths all|quotas    prints what to read: the document's name, the API, the path, the body
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from deploy import inventory
from deploy.preflight import policies, quotas
from deploy.preflight.findings import Finding, Level, Project

BLOCKED, UNREAD = 1, 3  # exit statuses
# What a deployment does; the roles that contain it are those of an owner.
PERMISSIONS = [
    "artifactregistry.repositories.create", "bigquery.datasets.create", "cloudbuild.builds.create",
    "cloudfunctions.functions.create", "cloudscheduler.jobs.create", "eventarc.triggers.create",
    "iam.serviceAccounts.actAs", "iam.serviceAccounts.create", "logging.logMetrics.create", "logging.sinks.create",
    "monitoring.alertPolicies.create", "monitoring.dashboards.create", "monitoring.services.create",
    "monitoring.slos.create", "pubsub.subscriptions.create", "pubsub.topics.create",
    "resourcemanager.projects.setIamPolicy", "run.jobs.create", "run.services.create", "run.services.setIamPolicy",
    "serviceusage.services.enable", "storage.buckets.create", "workflows.workflows.create",
]  # fmt: skip


def paths(system: inventory.Inventory) -> Iterator[list[str]]:
    """What to read with requests: the document's name, the API, the path and the body."""
    project = f"projects/{system['settings']['project_id']}"
    yield [
        "permissions",
        "cloudresourcemanager",
        f"v1/{project}:testIamPermissions",
        json.dumps({"permissions": PERMISSIONS}),
    ]
    for name, path in quotas.documents(system).items():
        yield [name, "cloudquotas", f"v1/{project}/locations/global/services/{path}", ""]
    for constraint in policies.constraints(system):
        body = json.dumps({"constraint": f"constraints/{constraint}"})
        yield [policies.document(constraint), "cloudresourcemanager", f"v1/{project}:getEffectiveOrgPolicy", body]


def findings(project: Project) -> Iterator[Finding]:
    yield from _project(project)
    yield from _billing(project)
    yield from _apis(project)
    yield from _permissions(project)
    yield from quotas.findings(project)
    yield from policies.findings(project)


def _project(project: Project) -> Iterator[Finding]:
    described = project.read("project")
    if described is None:
        text = f"the project {project.id} could not be read: {project.refusal('project')}"
        mend = f"check the id, or: gcloud services enable cloudresourcemanager.googleapis.com --project={project.id}"
        yield Finding(Level.BLOCKED, text, mend)
    elif described.get("lifecycleState", "ACTIVE") != "ACTIVE":
        yield Finding(
            Level.BLOCKED, f"the project {project.id} is being deleted", f"gcloud projects undelete {project.id}"
        )


def _billing(project: Project) -> Iterator[Finding]:
    billing = project.read("billing")
    if billing is None:
        yield project.unknown("billing", "Billing", "ask for roles/billing.viewer")
    elif billing.get("billingEnabled"):
        yield Finding(Level.OK, "billing is on")
    else:
        mend = f"gcloud billing projects link {project.id} --billing-account=ACCOUNT   (gcloud billing accounts list)"
        yield Finding(Level.BLOCKED, f"the project {project.id} has no billing account", mend)


def _apis(project: Project) -> Iterator[Finding]:
    services = project.read("services")
    if services is None:
        yield project.unknown("services", "The enabled APIs", "ask for roles/serviceusage.serviceUsageViewer")
        return
    enabled = {entry["config"]["name"] for entry in services}
    missing = [api for api in project.system["apis"] if api not in enabled]
    if missing:
        mend = f"gcloud services enable {' '.join(missing)} --project={project.id}   (or: deploy/gcloud/deploy.sh apis)"
        yield Finding(Level.BLOCKED, f"{len(missing)} of {len(project.system['apis'])} APIs are off", mend)
    else:
        yield Finding(Level.OK, f"{len(enabled)} APIs are on")


def _permissions(project: Project) -> Iterator[Finding]:
    answer = project.read("permissions")
    if answer is None:
        yield project.unknown("permissions", "Your permissions", "ask for roles/owner")
        return
    lacking = sorted(set(PERMISSIONS) - set(answer.get("permissions", [])))
    if lacking:
        mend = f"gcloud projects add-iam-policy-binding {project.id} --member=user:YOU --role=roles/owner"
        yield Finding(Level.BLOCKED, f"you may not {', '.join(lacking)}", mend)
    else:
        yield Finding(Level.OK, "you may create what is deployed")


def main(arguments: list[str]) -> int:
    try:
        system = inventory.load(inventory.from_environ(os.environ))
    except inventory.VariableError as error:
        print(error, file=sys.stderr)
        return BLOCKED
    match arguments:
        case ["paths", what]:
            wanted = [row for row in paths(system) if what == "all" or row[0].startswith("quota")]
            sys.stdout.writelines(inventory.SEPARATOR.join(row) + "\n" for row in wanted)
            return 0
        case [folder, what]:
            examine = findings if what == "all" else quotas.findings
            found = list(examine(Project(system, Path(folder))))
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    print("\n".join(map(str, found)))
    levels = {finding.level for finding in found}
    return BLOCKED if Level.BLOCKED in levels else UNREAD if Level.UNKNOWN in levels else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
