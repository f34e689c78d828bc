"""A pipeline: its project, resources and endpoints."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

LOCAL_PROJECT = "local-project"
"""The project of the repository's local stack; never a cloud's."""

DEFAULT_REGION, DEFAULT_PREFIX = "us-central1", "inference"
STORAGE, PUBSUB = "https://storage.googleapis.com", "pubsub.googleapis.com"
RUN = "https://run.googleapis.com"
WORKFLOWS, EXECUTIONS = "workflows.googleapis.com", "workflowexecutions.googleapis.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The pipeline that a client talks to.

    Attributes:
        kind: `laptop`, or `cloud`, where changes cost money and need a confirmation.
        origin: what decided for it, in words.
        explicit: whether the caller named it; if not, a cloud was found in a configuration.
        workflow: resource name, `projects/P/locations/L/workflows/W`.
        collect_subscription: id of the subscription that micro-batches pull from.
        storage: URL of Cloud Storage's API.
        pubsub, workflows, executions: endpoints of the gRPC APIs; `http://host:port` is not encrypted.
        vertex_ai, run: URLs of Vertex AI's API in the region and of Cloud Run's.
        services: URL of each service by name; laptop only.
        data: folder of the local stack's state.
        credentials: whether requests carry the user's credentials; the emulator needs none.
        context: name of the context that it was found by.
    """

    kind: Literal["laptop", "cloud"]
    origin: str
    explicit: bool = True
    project: str
    region: str
    input_bucket: str
    work_bucket: str
    output_bucket: str
    models_bucket: str
    topic: str
    workflow: str
    collect_subscription: str
    storage: str
    pubsub: str
    workflows: str
    executions: str
    vertex_ai: str
    run: str
    services: Mapping[str, str] = field(default_factory=dict)
    data: Path | None = None
    service_prefix: str = DEFAULT_PREFIX
    context: str = ""

    @property
    def is_cloud(self) -> bool:
        return self.kind == "cloud"

    @property
    def topic_path(self) -> str:
        return f"projects/{self.project}/topics/{self.topic}"

    @property
    def promotions_path(self) -> str:
        """The topic with orders about candidates, which not everyone who sends inputs may publish to."""
        name = f"{self.service_prefix}-promotions" if self.is_cloud else "promotions"
        return f"projects/{self.project}/topics/{name}"

    @property
    def notification_retries_path(self) -> str:
        """The topic of notifications that endpoints have not taken yet."""
        name = f"{self.service_prefix}-notification-retries" if self.is_cloud else "notification-retries"
        return f"projects/{self.project}/topics/{name}"

    @property
    def description(self) -> str:
        """One line for a person: where commands go, and why."""
        place = f"cloud project {self.project}, {self.region}" if self.is_cloud else f"local stack at {self.storage}"
        return f"{place} ({self.origin})"

    @classmethod
    def cloud(
        cls,
        *,
        origin: str,
        project: str,
        region: str = DEFAULT_REGION,
        service_prefix: str = DEFAULT_PREFIX,
        names: Mapping[str, str] | None = None,
        endpoints: Mapping[str, str] | None = None,
    ) -> Self:
        """The pipeline as the deployment names it.

        Args:
            names: own names in place of the deployment's, by attribute.
            endpoints: other addresses of Google's APIs, such as private ones: `storage`, `pubsub`, `workflows`,
                `executions`, `vertex_ai`, `run`.
        """
        prefix = service_prefix
        resources: dict[str, Any] = {
            "input_bucket": f"{project}-{prefix}-input",
            "work_bucket": f"{project}-{prefix}-work",
            "output_bucket": f"{project}-{prefix}-output",
            "models_bucket": f"{project}-{prefix}-models",
            "topic": f"{prefix}-messages",
            "workflow": prefix,
            "collect_subscription": f"{prefix}-uploads",
            "storage": STORAGE,
            "pubsub": PUBSUB,
            "workflows": WORKFLOWS,
            "executions": EXECUTIONS,
            "run": RUN,
            "vertex_ai": f"https://{region}-aiplatform.googleapis.com",
        } | {**(names or {}), **(endpoints or {})}
        if "/" not in resources["workflow"]:
            resources["workflow"] = f"projects/{project}/locations/{region}/workflows/{resources['workflow']}"
        return cls(
            kind="cloud",
            origin=origin,
            project=project,
            region=region,
            service_prefix=service_prefix,
            **resources,
        )

    @classmethod
    def laptop(
        cls,
        *,
        origin: str,
        http: str,
        grpc: str,
        project: str = LOCAL_PROJECT,
        region: str = DEFAULT_REGION,
        variables: Mapping[str, str] | None = None,
        services: Mapping[str, str] | None = None,
        data: Path | None = None,
    ) -> Self:
        """A running local stack.

        Args:
            http, grpc: `host:port` of the emulator.
            variables: the environment of the stack's services, which names its resources.
        """
        env = variables or {}
        return cls(
            kind="laptop",
            origin=origin,
            project=project,
            region=region,
            input_bucket=env.get("INPUT_BUCKET") or "local-input",
            work_bucket=env.get("WORK_BUCKET") or "local-work",
            output_bucket=env.get("OUTPUT_BUCKET") or "local-output",
            models_bucket=env.get("MODELS_BUCKET") or "local-models",
            topic=env.get("MESSAGES_TOPIC") or "messages",
            workflow=env.get("WORKFLOW") or f"projects/{project}/locations/{region}/workflows/inference",
            collect_subscription="uploads",
            storage=f"http://{http}",
            pubsub=f"http://{grpc}",
            workflows=f"http://{grpc}",
            executions=f"http://{grpc}",
            vertex_ai=f"http://{http}",
            run=f"http://{http}",
            services=services or {},
            data=data,
        )
