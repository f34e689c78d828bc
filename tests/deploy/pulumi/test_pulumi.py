"""The Pulumi program creates what the inventory says, under Pulumi's mocks and with the real classes of pulumi-gcp.

Pulumi is installed in an environment of its own, .venv-pulumi (make pulumi) or that of the interpreter PULUMI_PYTHON.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy import inventory
from tests.deploy import shape
from tests.deploy.provider import server
from tests.deploy.provider.rules import Rules
from tests.deploy.stand_in.new_project import API_DELAY, NewProject, agent
from tests.deploy.terraform import terraformed

ROOT = Path(__file__).parents[3]
PYTHON = Path(os.environ.get("PULUMI_PYTHON", ROOT / ".venv-pulumi/bin/python"))
REQUIRED = {"project_id": "my-project", "gpu_image": shape.IMAGE}
pytestmark = [
    pytest.mark.pulumi,
    pytest.mark.skipif(not PYTHON.exists(), reason="Pulumi is not installed, so its program was not run (make pulumi)"),
]
# pulumi-gcp's names of resources, and Terraform's.
KINDS = {
    "artifactregistry/repository:Repository": "google_artifact_registry_repository",
    "bigquery/dataset:Dataset": "google_bigquery_dataset",
    "bigquery/datasetIamMember:DatasetIamMember": "google_bigquery_dataset_iam_member",
    "billing/budget:Budget": "google_billing_budget",
    "cloudfunctionsv2/function:Function": "google_cloudfunctions2_function",
    "cloudrunv2/job:Job": "google_cloud_run_v2_job",
    "cloudrunv2/jobIamMember:JobIamMember": "google_cloud_run_v2_job_iam_member",
    "cloudrunv2/service:Service": "google_cloud_run_v2_service",
    "cloudrunv2/serviceIamMember:ServiceIamMember": "google_cloud_run_v2_service_iam_member",
    "cloudscheduler/job:Job": "google_cloud_scheduler_job",
    "eventarc/trigger:Trigger": "google_eventarc_trigger",
    "logging/metric:Metric": "google_logging_metric",
    "logging/projectSink:ProjectSink": "google_logging_project_sink",
    "monitoring/alertPolicy:AlertPolicy": "google_monitoring_alert_policy",
    "monitoring/customService:CustomService": "google_monitoring_custom_service",
    "monitoring/dashboard:Dashboard": "google_monitoring_dashboard",
    "monitoring/slo:Slo": "google_monitoring_slo",
    "projects/iAMAuditConfig:IAMAuditConfig": "google_project_iam_audit_config",
    "projects/iAMMember:IAMMember": "google_project_iam_member",
    "projects/service:Service": "google_project_service",
    "projects/serviceIdentity:ServiceIdentity": "google_project_service_identity",
    "pubsub/subscription:Subscription": "google_pubsub_subscription",
    "pubsub/subscriptionIAMMember:SubscriptionIAMMember": "google_pubsub_subscription_iam_member",
    "pubsub/topic:Topic": "google_pubsub_topic",
    "pubsub/topicIAMMember:TopicIAMMember": "google_pubsub_topic_iam_member",
    "secretmanager/secretIamMember:SecretIamMember": "google_secret_manager_secret_iam_member",
    "serviceaccount/account:Account": "google_service_account",
    "serviceaccount/iAMMember:IAMMember": "google_service_account_iam_member",
    "storage/bucket:Bucket": "google_storage_bucket",
    "storage/bucketIAMMember:BucketIAMMember": "google_storage_bucket_iam_member",
    "storage/bucketObject:BucketObject": "google_storage_bucket_object",
    "storage/notification:Notification": "google_storage_notification",
    "workflows/workflow:Workflow": "google_workflows_workflow",
    "time:index/sleep:Sleep": "time_sleep",
}
SCHEMA = {kind: block for provider in server.SCHEMA.values() for kind, block in provider["resources"].items()}


def run(**variables: str) -> terraformed.Found:
    """The resources that the program creates, in Terraform's names."""
    command = [
        str(PYTHON),
        str(ROOT / "tests/deploy/pulumi/pulumi_mocks.py"),
        json.dumps({**REQUIRED, **variables}),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, cwd=ROOT / "deploy/pulumi")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout.splitlines()[-1])
    resources = []
    for resource in made:
        kind = KINDS[resource["type"].removeprefix("gcp:")]
        values = terraform_words(resource["values"], SCHEMA[kind])
        if kind == "google_service_account":
            values["email"] = f"{values['account_id']}@my-project.iam.gserviceaccount.com"
        resources.append({"type": kind, "name": resource["name"], "values": values})
    return resources


def terraform_words(outputs: dict[str, Any], block: dict[str, Any]) -> dict[str, Any]:
    """Values in snake case, with lists for blocks that Pulumi represents as a single object."""
    known = {camel(name): name for name in (*block["attributes"], *block["blocks"])}
    known |= {f"{camel(name)}s": name for name, (most, _) in block["blocks"].items() if most != 1}
    known |= {f"{camel(name)}s": name for name, (kind, _) in block["attributes"].items() if kind[0] == "list"}
    values: dict[str, Any] = dict.fromkeys(block["attributes"]) | {name: [] for name in block["blocks"]}
    for key, value in outputs.items():
        name = known[key]
        if name in block["blocks"]:
            entries = value if isinstance(value, list) else [value]
            values[name] = [terraform_words(entry, block["blocks"][name][1]) for entry in entries]
        else:
            values[name] = value
    return values


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def test_it_creates_exactly_the_inventory():
    system = inventory.load(REQUIRED)
    assert terraformed.shape_of(run()) == shape.plain(shape.expected(system))


def test_variables_reach_their_resources():
    created = run(max_instances="7", preprocess_memory="4Gi", keep_data="false", ingress="internal")
    service = next(r["values"] for r in created if r["type"] == "google_cloud_run_v2_service")
    assert service["template"][0]["scaling"][0]["max_instance_count"] == 7
    assert service["ingress"] == "INGRESS_TRAFFIC_INTERNAL_ONLY"
    assert {r["values"]["force_destroy"] for r in created if r["type"] == "google_storage_bucket"} == {True}
    functions = {v["name"]: v for r in created if r["type"] == "google_cloudfunctions2_function" and (v := r["values"])}
    assert functions["inference-preprocess"]["service_config"][0]["available_memory"] == "4Gi"


def test_every_region_has_the_service_and_the_job():
    values = {"gpu_regions": ["europe-west4", "us-central1"], "gpu_region_weights": ["3", "1"], "keep_latest": False}
    system = inventory.load({**REQUIRED, **values})
    created = run(**{name: json.dumps(value) for name, value in values.items()})
    assert terraformed.shape_of(created) == shape.plain(shape.expected(system))


def test_micro_batching_collects_the_buckets_notifications_every_minute():
    system = inventory.load({**REQUIRED, "micro_batching": True})
    assert terraformed.shape_of(run(micro_batching="true")) == shape.plain(shape.expected(system))


def test_tracked_objects_reach_a_bucket():
    system = inventory.load({**REQUIRED, "track_objects": True})
    assert terraformed.shape_of(run(track_objects="true")) == shape.plain(shape.expected(system))


def test_notifications_come_with_the_secret_that_configures_them():
    system = inventory.load({**REQUIRED, "notifications_secret": "endpoints"})
    assert terraformed.shape_of(run(notifications_secret="endpoints")) == shape.plain(shape.expected(system))


def test_own_models_a_token_and_an_existing_bucket_reach_the_service_and_the_job():
    values = {"models": "gs://my-models/models.json", "models_profile": "mine", "hub_token_secret": "hf-token"}
    values |= {"vertex_predict_role": "projects/my-project/roles/vertexPredict"}
    values |= {"vertex_registry_role": "projects/my-project/roles/vertexRegistry", "model_memory_bytes": "8589934592"}
    values |= {"load_wait_seconds": "90", "models_refresh_seconds": "5"}
    values |= {"max_collections": "5", "tenants": "folder", "tenant_share": "0.05"}
    values |= {"existing_input_bucket": "uploads", "existing_input_location": "us", "output_storage_class": "NEARLINE"}
    values |= {"noncurrent_delete_after": "30", "soft_delete_days": "14", "report_days": "90"}
    system = inventory.load({**REQUIRED, **values})
    assert terraformed.shape_of(run(**values)) == shape.plain(shape.expected(system))


def test_without_a_gpu_the_same_system_runs_on_cpus_also_with_another_prefix():
    values = {"gpu_type": "none", "service_prefix": "dev-eu", "gpu_revision": "dev-eu-gpu-service-00001"}
    system = inventory.load({**REQUIRED, **values})
    assert terraformed.shape_of(run(**values)) == shape.plain(shape.expected(system))


@pytest.mark.parametrize("reports", [True, False])
def test_a_companys_keys_networks_and_ingress_reach_everything(reports: bool):
    values = {**shape.COMPANY, "reports": str(reports).lower()}
    system = inventory.load({**REQUIRED, **values})
    assert terraformed.shape_of(run(**values)) == shape.plain(shape.expected(system))


def test_options_add_their_resources():
    kinds = {r["type"] for r in run(audit_logs="true", billing_account="012345-6789AB-CDEF01")}
    assert {"google_project_iam_audit_config", "google_billing_budget"} <= kinds


def test_an_invalid_value_is_refused():
    with pytest.raises(AssertionError, match="gpu_type is 'nvidia-h100'"):
        run(gpu_type="nvidia-h100")


def test_a_misspelt_variable_is_refused():
    with pytest.raises(AssertionError, match=r"max_instance is not .*Did you mean max_instances"):
        run(max_instance="8")


def test_an_image_is_required_since_the_deployments_registry_is_empty():
    with pytest.raises(AssertionError, match="gpu_image is not set"):
        run(gpu_image="")


def test_what_was_made_is_known_everywhere_before_what_needs_it():
    """The mocks make each wait last, so that whatever does not depend on it comes first."""
    made = run()
    kinds = [resource["type"] for resource in made]
    waits = {r["name"]: (i, r["values"]["create_duration"]) for i, r in enumerate(made) if r["type"] == "time_sleep"}
    seconds = inventory.load(REQUIRED)["waits"]
    assert {name: duration for name, (_, duration) in waits.items()} == {n: f"{s}s" for n, s in seconds.items()}
    identities = {r["values"]["service"] for r in made[: waits["agents"][0]] if r["type"].endswith("service_identity")}
    assert identities == set(inventory.load(REQUIRED)["identities"])
    grants = ("project", "service_account", "pubsub_topic", "pubsub_subscription")
    for wait, before, after in (
        ("agents", (), [f"google_{kind}_iam_member" for kind in grants]),
        (
            "permissions",
            ["google_project_iam_member", "google_storage_bucket_iam_member", "google_service_account_iam_member"],
            [
                "google_cloudfunctions2_function",
                "google_cloud_run_v2_service",
                "google_cloud_run_v2_job",
                "google_workflows_workflow",
                "google_eventarc_trigger",
            ],
        ),
        ("metrics", ["google_logging_metric"], ["google_monitoring_slo"]),
    ):
        index = waits[wait][0]
        assert not set(before) & set(kinds[index:]), wait
        assert not set(after) & set(kinds[:index]), wait
        assert set(after) <= set(kinds[index:]), wait


def test_a_new_project_accepts_everything_in_the_order_in_which_it_is_made():
    project = NewProject()
    project.enable(["cloudresourcemanager.googleapis.com", "iam.googleapis.com", "storage.googleapis.com"])
    project.make_identity(agent("storage"))  # which reading its address does
    project.pass_time(API_DELAY)
    rules = Rules(project)
    for resource in run(micro_batching="true"):
        if resource["type"] == "time_sleep":
            project.pass_time(float(resource["values"]["create_duration"].removesuffix("s")))
        else:
            rules.make(resource["type"], resource["values"])
