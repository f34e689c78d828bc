"""The rules of a new project for resources as Terraform names them, and the time that waits pass.

Google's provider waits until an API that it enabled is on, and until accounts that it created are known, so neither
delays anything here. Agents, roles and metrics do.
"""

import math
import threading
import time
from typing import Any

from tests.deploy.shape import PROJECT
from tests.deploy.stand_in.new_project import NewProject, agent

QUIET_SECONDS = 0.5  # of real time without a request, after which only waits are left
Values = dict[str, Any]

APIS = {
    "google_artifact_registry_": "artifactregistry",
    "google_bigquery_": "bigquery",
    "google_billing_": "billingbudgets",
    "google_cloud_run_": "run",
    "google_cloud_scheduler_": "cloudscheduler",
    "google_cloudfunctions2_": "cloudfunctions",
    "google_eventarc_": "eventarc",
    "google_logging_": "logging",
    "google_monitoring_": "monitoring",
    "google_project": "cloudresourcemanager",
    "google_project_service": "serviceusage",
    "google_pubsub_": "pubsub",
    "google_secret_manager_": "secretmanager",
    "google_service_account": "iam",
    "google_storage_": "storage",
    "google_workflows_": "workflows",
}
# The attribute that names what an IAM member is granted a role on.
TARGETS = ("bucket", "topic", "subscription", "service_account_id", "secret_id", "dataset_id", "name")


class Rules:
    """Meets requests in the order in which they come; a wait ends when nothing else is left to do."""

    def __init__(self, project: NewProject) -> None:
        self.project = project
        self._lock = threading.Lock()
        self._waits: list[float] = []
        self._last = time.monotonic()

    def read(self, kind: str) -> None:
        with self._lock:
            self._last = time.monotonic()
            self._need_api(kind)
            if kind == "google_storage_project_service_account":
                self.project.make_identity(agent("storage"))

    def make(self, kind: str, values: Values) -> None:
        """Creates or changes a resource, or raises Refusal."""
        if kind == "time_sleep":
            self._wait(float(values["create_duration"].removesuffix("s")))
            return
        with self._lock:
            self._last = time.monotonic()
            self._need_api(kind)
            self._examine(kind, values)

    def remove(self, kind: str, values: Values) -> None:
        """Deletes a resource; a role that is taken away has no effect from then on."""
        with self._lock:
            self._last = time.monotonic()
            if kind.endswith("_iam_member"):
                email = values["member"].removeprefix("serviceAccount:")
                self.project.grants.pop((_target(values), values["role"], email), None)

    def _wait(self, seconds: float) -> None:
        with self._lock:
            end = self.project.now + seconds
            self._waits.append(end)
        while True:
            with self._lock:
                quiet = time.monotonic() - self._last > QUIET_SECONDS
                if quiet and end == min(self._waits):
                    self.project.now = end
                if self.project.now >= end:
                    self._waits.remove(end)
                    self._last = time.monotonic()
                    return
            time.sleep(QUIET_SECONDS / 10)

    def _need_api(self, kind: str) -> None:
        prefix = max((prefix for prefix in APIS if kind.startswith(prefix)), key=len, default="")
        if prefix:
            self.project.need_api(APIS[prefix])

    def _examine(self, kind: str, v: Values) -> None:
        project = self.project
        match kind:
            case "google_project_service":
                project.enable([v["service"]])
                project.apis[v["service"]] = -math.inf
            case "google_project_service_identity":
                project.make_identity(agent(v["service"].removesuffix(".googleapis.com")))
            case "google_service_account":
                project.make_identity(f"{v['account_id']}@{PROJECT}.iam.gserviceaccount.com", age=math.inf)
            case "google_logging_project_sink":
                project.make_identity(agent("logging"), age=math.inf)
            case "google_logging_metric":
                project.make_metric(v["name"])
            case "google_cloudfunctions2_function":
                (config,), (build,) = v["service_config"], v["build_config"]
                gib = gibibytes(config["available_memory"])
                project.need_quota(int(config["max_instance_count"]), float(config["available_cpu"]), gib)
                ((storage,),) = [source["storage_source"] for source in build["source"]]
                builder = build["service_account"].rpartition("/")[2]
                project.need_builder(builder, v["location"], storage["bucket"])
            case "google_cloud_run_v2_service":
                ((scaling,),) = [template["scaling"] for template in v["template"]]
                self._need_instances(int(scaling["max_instance_count"]), v["template"][0])
            case "google_cloud_run_v2_job":
                (template,) = v["template"]
                self._need_instances(int(template["parallelism"]), template["template"][0])
            case "google_eventarc_trigger":
                project.need_trigger(v["service_account"])
            case "google_storage_notification":
                project.need_publisher(v["topic"].rpartition("/")[2])
            case "google_monitoring_alert_policy":
                for condition in v["conditions"]:
                    for query in condition["condition_prometheus_query_language"]:
                        project.need_unvalidated(query["disable_metric_validation"])
                    for threshold in condition["condition_threshold"]:
                        project.need_metrics(threshold["filter"], threshold["denominator_filter"] or "")
            case "google_monitoring_slo":
                ((ratio,),) = [indicator["good_total_ratio"] for indicator in v["request_based_sli"]]
                project.need_metrics(ratio["good_service_filter"], ratio["total_service_filter"])
            case _ if kind.endswith("_iam_member"):
                project.grant(_target(v), v["role"], v["member"])

    def _need_instances(self, instances: int, template: Values) -> None:
        limits = template["containers"][0]["resources"][0]["limits"]
        gpus = int(limits.get("nvidia.com/gpu", 0))
        self.project.need_quota(instances, float(limits["cpu"]), gibibytes(limits["memory"]), gpus)


def _target(values: Values) -> str:
    """The name of what a role is granted on."""
    target: str = next((values[name] for name in TARGETS if values.get(name)), PROJECT)
    return target.rpartition("/")[2]


def gibibytes(memory: str) -> float:
    """A memory such as 512Mi or 16Gi."""
    return float(memory[:-2]) / (1 if memory.endswith("Gi") else 1024)
