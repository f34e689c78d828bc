"""What an execution knows about itself (`sys.get_env`)."""

import uuid
from dataclasses import dataclass, field

# The built-in variables, and the fields that hold them.
BUILT_IN = {
    "GOOGLE_CLOUD_PROJECT_ID": "project_id",
    "GOOGLE_CLOUD_PROJECT_NUMBER": "project_number",
    "GOOGLE_CLOUD_LOCATION": "location",
    "GOOGLE_CLOUD_WORKFLOW_ID": "workflow_id",
    "GOOGLE_CLOUD_WORKFLOW_REVISION_ID": "revision_id",
    "GOOGLE_CLOUD_WORKFLOW_EXECUTION_ID": "execution_id",
    "GOOGLE_CLOUD_WORKFLOW_EXECUTION_ATTEMPT": "attempt",
    "GOOGLE_CLOUD_SERVICE_ACCOUNT_NAME": "service_account",
}


@dataclass(slots=True)
class Environment:
    """The built-in variables of `sys.get_env`, and the user-defined ones of the workflow's revision."""

    project_id: str = "local-project"
    project_number: str = "123456789012"
    location: str = "us-central1"
    workflow_id: str = "workflow"
    revision_id: str = "000001-000"
    execution_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    attempt: int = 1
    service_account: str = "workflow@local-project.iam.gserviceaccount.com"
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def execution_name(self) -> str:
        """The execution's full resource name."""
        return (
            f"projects/{self.project_id}/locations/{self.location}"
            f"/workflows/{self.workflow_id}/executions/{self.execution_id}"
        )

    def values(self) -> dict[str, str]:
        """Every variable that `sys.get_env` can read."""
        return {**self.variables, **{name: str(getattr(self, key)) for name, key in BUILT_IN.items()}}
