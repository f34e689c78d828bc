"""Roles and the permissions of Google's APIs that each contains, as far as the emulator has those APIs.

The contents are those of `gcloud iam roles describe`, which Google publishes at
https://cloud.google.com/iam/docs/roles-permissions (as of 2026-11). Permissions of services that are not emulated are
left out.
"""

_OBJECT_VIEWER = "storage.managedFolders.list storage.objects.get storage.objects.list"
_OBJECT_CREATOR = (
    "storage.multipartUploads.abort storage.multipartUploads.create storage.multipartUploads.listParts"
    " storage.objects.create"
)
_OBJECT_USER = (
    f"{_OBJECT_VIEWER} {_OBJECT_CREATOR} storage.multipartUploads.list storage.objects.delete storage.objects.move"
    " storage.objects.restore storage.objects.update"
)
_OBJECT_ADMIN = (
    f"{_OBJECT_USER} storage.objects.getIamPolicy storage.objects.overrideUnlockedRetention"
    " storage.objects.setIamPolicy storage.objects.setRetention"
)
_BUCKETS = (
    "storage.buckets.create storage.buckets.delete storage.buckets.get storage.buckets.getIamPolicy"
    " storage.buckets.list storage.buckets.setIamPolicy storage.buckets.update"
)
_PUBSUB_VIEWER = "pubsub.subscriptions.get pubsub.subscriptions.list pubsub.topics.get pubsub.topics.list"
_PUBSUB_SUBSCRIBER = "pubsub.subscriptions.consume pubsub.topics.attachSubscription"
_PUBSUB_EDITOR = (
    f"{_PUBSUB_VIEWER} {_PUBSUB_SUBSCRIBER} pubsub.subscriptions.create pubsub.subscriptions.delete"
    " pubsub.subscriptions.update pubsub.topics.create pubsub.topics.delete pubsub.topics.detachSubscription"
    " pubsub.topics.publish pubsub.topics.update"
)
_PUBSUB_POLICIES = (
    "pubsub.subscriptions.getIamPolicy pubsub.subscriptions.setIamPolicy pubsub.topics.getIamPolicy"
    " pubsub.topics.setIamPolicy"
)
_WORKFLOWS_INVOKER = (
    "workflows.executions.cancel workflows.executions.create workflows.executions.get workflows.executions.list"
)
_WORKFLOWS_VIEWER = (
    "workflows.callbacks.list workflows.executions.get workflows.executions.list workflows.locations.get"
    " workflows.locations.list workflows.operations.get workflows.operations.list workflows.stepEntries.get"
    " workflows.stepEntries.list workflows.workflows.get workflows.workflows.list workflows.workflows.listRevision"
)
_WORKFLOWS_EDITOR = (
    f"{_WORKFLOWS_INVOKER} {_WORKFLOWS_VIEWER} workflows.callbacks.send workflows.operations.cancel"
    " workflows.workflows.create workflows.workflows.delete workflows.workflows.update"
)
_RUN_VIEWER = (
    "run.executions.get run.executions.list run.jobs.get run.jobs.getIamPolicy run.jobs.list run.operations.get"
    " run.operations.list run.services.getIamPolicy run.tasks.get run.tasks.list"
)
_JOBS_EXECUTOR = "run.executions.cancel run.jobs.run"
_VERTEX_VIEWER = "aiplatform.endpoints.get aiplatform.endpoints.list aiplatform.models.get aiplatform.models.list"
_VERTEX_USER = (
    f"{_VERTEX_VIEWER} aiplatform.endpoints.create aiplatform.endpoints.delete aiplatform.endpoints.deploy"
    " aiplatform.endpoints.predict aiplatform.endpoints.undeploy aiplatform.endpoints.update"
    " aiplatform.models.delete aiplatform.models.update aiplatform.models.upload"
)
_SCHEDULER_VIEWER = "cloudscheduler.jobs.get cloudscheduler.jobs.list"

ROLES: dict[str, frozenset[str]] = {
    role: frozenset(permissions.split())
    for role, permissions in {
        "roles/storage.objectViewer": _OBJECT_VIEWER,
        "roles/storage.objectCreator": _OBJECT_CREATOR,
        "roles/storage.objectUser": _OBJECT_USER,
        "roles/storage.objectAdmin": _OBJECT_ADMIN,
        "roles/storage.bucketViewer": "storage.buckets.get storage.buckets.list",
        "roles/storage.admin": f"{_OBJECT_ADMIN} {_BUCKETS}",
        "roles/storage.legacyBucketReader": "storage.buckets.get storage.multipartUploads.list storage.objects.list",
        "roles/pubsub.publisher": "pubsub.topics.publish",
        "roles/pubsub.subscriber": _PUBSUB_SUBSCRIBER,
        "roles/pubsub.viewer": _PUBSUB_VIEWER,
        "roles/pubsub.editor": _PUBSUB_EDITOR,
        "roles/pubsub.admin": f"{_PUBSUB_EDITOR} {_PUBSUB_POLICIES}",
        "roles/workflows.invoker": _WORKFLOWS_INVOKER,
        "roles/workflows.viewer": _WORKFLOWS_VIEWER,
        "roles/workflows.editor": _WORKFLOWS_EDITOR,
        "roles/workflows.admin": _WORKFLOWS_EDITOR,
        "roles/run.invoker": "run.jobs.run run.routes.invoke",
        "roles/run.jobsExecutor": _JOBS_EXECUTOR,
        "roles/run.jobsExecutorWithOverrides": f"{_JOBS_EXECUTOR} run.jobs.runWithOverrides",
        "roles/run.viewer": _RUN_VIEWER,
        "roles/run.developer": f"{_RUN_VIEWER} {_JOBS_EXECUTOR} run.jobs.runWithOverrides run.routes.invoke",
        "roles/cloudscheduler.viewer": _SCHEDULER_VIEWER,
        "roles/cloudscheduler.jobRunner": "cloudscheduler.jobs.run",
        "roles/cloudscheduler.admin": (
            f"{_SCHEDULER_VIEWER} cloudscheduler.jobs.enable cloudscheduler.jobs.pause cloudscheduler.jobs.run"
        ),
        "roles/aiplatform.viewer": _VERTEX_VIEWER,
        "roles/aiplatform.user": _VERTEX_USER,
        "roles/aiplatform.admin": _VERTEX_USER,
        "roles/logging.logWriter": "logging.logEntries.create",
        "roles/eventarc.eventReceiver": "eventarc.events.receiveAuditLogWritten eventarc.events.receiveEvent",
        "roles/iam.serviceAccountUser": "iam.serviceAccounts.actAs",
        "roles/iam.serviceAccountOpenIdTokenCreator": "iam.serviceAccounts.getOpenIdToken",
    }.items()
}


def granting(permission: str) -> str:
    """The smallest role with a permission, "" if the table has none."""
    candidates = [role for role, permissions in ROLES.items() if permission in permissions]
    return min(candidates, key=lambda role: len(ROLES[role]), default="")
