"""What an execution knows about itself (`sys.get_env`)."""

import uuid
from dataclasses import dataclass, field


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
        return {
            **self.variables,
            "GOOGLE_CLOUD_PROJECT_ID": self.project_id,
            "GOOGLE_CLOUD_PROJECT_NUMBER": self.project_number,
            "GOOGLE_CLOUD_LOCATION": self.location,
            "GOOGLE_CLOUD_WORKFLOW_ID": self.workflow_id,
            "GOOGLE_CLOUD_WORKFLOW_REVISION_ID": self.revision_id,
            "GOOGLE_CLOUD_WORKFLOW_EXECUTION_ID": self.execution_id,
            "GOOGLE_CLOUD_WORKFLOW_EXECUTION_ATTEMPT": str(self.attempt),
            "GOOGLE_CLOUD_SERVICE_ACCOUNT_NAME": self.service_account,
        }
