"""Runs terraform on a copy of the root against the stand-in for its providers, and reads the result."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy import stage
from tests.deploy import shape

ROOT = Path(__file__).parents[3]
Found = list[dict[str, Any]]


class Root:
    """A copy of the root and the files that it reads, in the layout of the repository."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.path = folder / "deploy/terraform"
        shutil.copytree(
            ROOT / "deploy/terraform", self.path, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*")
        )
        shutil.copytree(ROOT / "deploy/monitoring", folder / "deploy/monitoring")
        for name in ("inventory.yaml", "machines.yaml"):
            shutil.copy(ROOT / "deploy" / name, folder / "deploy")
        shutil.copy(ROOT / "workflow.yaml", folder)
        for name in stage.names():
            stage.stage(name, target=folder / "build/functions")
        own = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
        self.env = {**own, **env, "TF_VAR_gpu_image": shape.IMAGE, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["terraform", *arguments, "-no-color"]
        return subprocess.run(command, cwd=self.path, env=self.env, capture_output=True, text=True, timeout=100)

    def show(self, *arguments: str) -> Any:
        run = self.run("show", "-json", *arguments)
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout)


def resources(values: dict[str, Any]) -> Found:
    return [resource for resource in values["root_module"]["resources"] if resource["mode"] == "managed"]


def shape_of(resources: Found) -> shape.Shape:
    """The shape of a state or plan, without the resources that other routes do not have."""
    made: shape.Shape = {}
    for resource in resources:
        reader = READERS.get(resource["type"])
        if reader is None:
            assert resource["type"] in LEFT_OUT, resource["type"]
            continue
        name, value = reader(resource["values"])
        assert name not in made, name
        made[name] = value
    return shape.plain(made)


LEFT_OUT = {
    "google_storage_bucket_object",
    "google_project_service_identity",
    "google_monitoring_custom_service",
    "time_sleep",
}


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def one(blocks: list[Any]) -> Any:
    assert len(blocks) == 1
    return blocks[0]


def bucket(v: dict[str, Any]) -> tuple[str, Any]:
    rules = v["lifecycle_rule"]
    assert all(one(rule["action"])["type"] == "Delete" for rule in rules)
    return f"bucket/{v['name']}", {
        "location": v["location"].lower(),
        "uniform": v["uniform_bucket_level_access"],
        "public": v["public_access_prevention"],
        "key": one(v["encryption"])["default_kms_key_name"] if v["encryption"] else "",
        "class": v["storage_class"],
        "versioning": one(v["versioning"])["enabled"],
        "delete_after": [
            next((days for rule in rules if (days := one(rule["condition"])[name])), 0)
            for name in ("age", "days_since_noncurrent_time")
        ],
        "soft_delete": one(v["soft_delete_policy"])["retention_duration_seconds"],
    }


def function(v: dict[str, Any]) -> tuple[str, Any]:
    build, config = one(v["build_config"]), one(v["service_config"])
    return f"function/{v['name']}", {
        "runtime": build["runtime"],
        "entry_point": build["entry_point"],
        "account": config["service_account_email"],
        "build_account": build["service_account"],
        "cpu": config["available_cpu"],
        "memory": config["available_memory"],
        "concurrency": config["max_instance_request_concurrency"],
        "timeout": config["timeout_seconds"],
        "instances": [config["min_instance_count"], config["max_instance_count"]],
        "ingress": config["ingress_settings"],
        "network": [config["vpc_connector"], config["vpc_connector_egress_settings"].lower().replace("_", "-")]
        if config["vpc_connector"]
        else None,
        "pool": build["worker_pool"] or "",
        "key": v["kms_key_name"] or "",
        "registry": build["docker_repository"] or "",
        "env": config["environment_variables"],
        "secret_files": [
            [v["mount_path"], w["path"], v["project_id"], v["secret"], w["version"]]
            for v in config.get("secret_volumes") or []
            for w in v["versions"]
        ],
    }


def service(v: dict[str, Any]) -> tuple[str, Any]:
    template = one(v["template"])
    container, scaling = one(template["containers"]), one(template["scaling"])
    resources = one(container["resources"])
    return f"service/{v['location']}/{v['name']}", {
        "image": container["image"],
        "account": template["service_account"],
        "gpu": gpu(template["node_selector"]),
        "limits": resources["limits"],
        "zonal_redundancy": zonal_redundancy(template),
        "concurrency": template["max_instance_request_concurrency"],
        "timeout": seconds(template["timeout"]),
        "instances": [scaling["min_instance_count"], scaling["max_instance_count"]],
        "serves": serves(v["traffic"]),
        "cpu_boost": resources["startup_cpu_boost"],
        "cpu_idle": resources["cpu_idle"],
        "port": one(container["ports"])["container_port"],
        "ingress": {"INGRESS_TRAFFIC_ALL": "all", "INGRESS_TRAFFIC_INTERNAL_ONLY": "internal"}[v["ingress"]],
        "network": network(template["vpc_access"]),
        "key": template["encryption_key"] or "",
        "env": environment(container),
        "startup": probe(one(container["startup_probe"])),
        "liveness": probe(one(container["liveness_probe"])),
    }


def job(v: dict[str, Any]) -> tuple[str, Any]:
    template = one(v["template"])
    task = one(template["template"])
    container = one(task["containers"])
    return f"job/{v['location']}/{v['name']}", {
        "image": shape.built_image(container["image"]),
        "command": container["command"],
        "account": task["service_account"],
        "gpu": gpu(task["node_selector"]),
        "limits": one(container["resources"])["limits"],
        "zonal_redundancy": zonal_redundancy(task),
        "tasks": [template["task_count"], template["parallelism"]],
        "timeout": seconds(task["timeout"]),
        "retries": task["max_retries"],
        "network": network(task["vpc_access"]),
        "key": task["encryption_key"] or "",
        "env": environment(container),
    }


def network(access: list[dict[str, Any]]) -> list[str] | None:
    """The network, or the connector, and what takes it."""
    if not access:
        return None
    v = one(access)
    egress = v["egress"].lower().replace("_", "-")
    interfaces = [[interface["network"], interface["subnetwork"]] for interface in v["network_interfaces"]]
    return [*(one(interfaces) if interfaces else [v["connector"]]), egress]


def serves(traffic: list[dict[str, Any]]) -> str:
    """The revision that has all traffic."""
    entry = one([entry for entry in traffic if entry["percent"] == 100])
    latest = entry["type"] == "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
    assert latest or {"tag": "candidate", "percent": 0}.items() <= traffic[1].items()
    return "latest" if latest else str(entry["revision"])


def gpu(selectors: list[Any]) -> str:
    return str(one(selectors)["accelerator"]) if selectors else "none"


def zonal_redundancy(template: dict[str, Any]) -> bool | None:
    disabled = template["gpu_zonal_redundancy_disabled"]
    return None if disabled is None else not disabled


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: variable(entry) for entry in container["env"]}


def variable(entry: dict[str, Any]) -> str:
    if not entry.get("value_source"):
        return str(entry["value"])
    reference = one(one(entry["value_source"])["secret_key_ref"])
    return shape.secret_value(reference["secret"], reference["version"])


def probe(v: dict[str, Any]) -> list[Any]:
    get = one(v["http_get"])
    return [get["path"], get["port"], v["period_seconds"], v["timeout_seconds"], v["failure_threshold"]]


def subscription(v: dict[str, Any]) -> tuple[str, Any]:
    push, retry, dead = v["push_config"], v["retry_policy"], v["dead_letter_policy"]
    assert one(v["expiration_policy"])["ttl"] == "", "a subscription without traffic must not expire"
    return f"subscription/{v['name']}", {
        "topic": v["topic"],
        "ack": v["ack_deadline_seconds"],
        "retention": seconds(v["message_retention_duration"]),
        "push": {
            "endpoint": one(push)["push_endpoint"],
            "audience": one(one(push)["oidc_token"])["audience"],
            "account": one(one(push)["oidc_token"])["service_account_email"],
        }
        if push
        else None,
        "backoff": [seconds(one(retry)[name]) for name in ("minimum_backoff", "maximum_backoff")] if retry else None,
        "dead_letter": one(dead)["dead_letter_topic"] if dead else None,
        "attempts": one(dead)["max_delivery_attempts"] if dead else None,
        "files": _files(v["cloud_storage_config"]),
    }


def _files(config: list[dict[str, Any]]) -> list[Any] | None:
    if not config:
        return None
    files = one(config)
    avro = one(files["avro_config"])["write_metadata"]
    return [files["bucket"], files["filename_suffix"], seconds(files["max_duration"]), avro]


def notification(v: dict[str, Any]) -> tuple[str, Any]:
    key = f"{v['object_name_prefix'] or ''}>{v['topic'].rpartition('/')[2]}"
    return f"notification/{v['bucket']}/{key}", [*v["event_types"], v["payload_format"]]


def trigger(v: dict[str, Any]) -> tuple[str, Any]:
    return f"trigger/{v['name']}", {
        "filters": {entry["attribute"]: entry["value"] for entry in v["matching_criteria"]},
        "location": v["location"],
        "service": one(one(v["destination"])["cloud_run_service"])["service"],
        "account": v["service_account"],
    }


def schedule(v: dict[str, Any]) -> tuple[str, Any]:
    target = one(v["pubsub_target"])
    message = base64.b64decode(target["data"]).decode()
    found = {"schedule": v["schedule"], "topic": target["topic_name"], "message": message, "zone": v["time_zone"]}
    return f"schedule/{v['name']}", found


def alert(v: dict[str, Any]) -> tuple[str, Any]:
    return f"alert/{v['display_name']}", [
        {
            "query": query["query"],
            "duration": query["duration"],
            "every": query["evaluation_interval"],
            "unvalidated": query["disable_metric_validation"],
        }
        for condition in v["conditions"]
        for query in [one(condition["condition_prometheus_query_language"])]
    ]


def slo(v: dict[str, Any]) -> tuple[str, Any]:
    ratio = one(one(v["request_based_sli"])["good_total_ratio"])
    return f"slo/{v['service']}/{v['slo_id']}", {
        "goal": v["goal"],
        "period": f"{int(v['rolling_period_days']) * shape.DAY}s",
        "good": ratio["good_service_filter"],
        "total": ratio["total_service_filter"],
    }


def dashboard(v: dict[str, Any]) -> tuple[str, Any]:
    body = json.loads(v["dashboard_json"])
    return f"dashboard/{body['displayName']}", body["mosaicLayout"]


def grant(kind: str, target: str) -> Callable[[dict[str, Any]], tuple[str, Any]]:
    def read(v: dict[str, Any]) -> tuple[str, Any]:
        conditions = v.get("condition") or []
        only = one(conditions) if conditions else {}
        where = f"{v['location']}/" if v.get("location") else ""
        return shape.binding(kind, where + v[target].rpartition("/")[2], v["role"], v["member"], only), True

    return read


def dataset(v: dict[str, Any]) -> tuple[str, Any]:
    encryption = v["default_encryption_configuration"]
    return f"dataset/{v['dataset_id']}", [v["location"], one(encryption)["kms_key_name"] if encryption else ""]


def dataset_grant(v: dict[str, Any]) -> tuple[str, Any]:
    assert v["role"] == "roles/bigquery.dataEditor", "what a dataset's policy calls WRITER"
    assert v["member"].endswith("gcp-sa-logging.iam.gserviceaccount.com")
    return f"iam/dataset/{v['dataset_id']}/WRITER/log-sink", True


READERS: dict[str, Callable[[dict[str, Any]], tuple[str, Any]]] = {
    "google_project_service": lambda v: (f"api/{v['service']}", True),
    "google_service_account": lambda v: (f"account/{v['email']}", v["display_name"]),
    "google_artifact_registry_repository": lambda v: (
        f"registry/{v['repository_id']}",
        [v["format"], v["kms_key_name"] or ""],
    ),
    "google_pubsub_topic": lambda v: (
        f"topic/{v['name']}",
        {
            "retention_days": seconds(v["message_retention_duration"]) // shape.DAY,
            "key": v["kms_key_name"] or "",
        },
    ),
    "google_workflows_workflow": lambda v: (
        f"workflow/{v['name']}",
        {
            "account": v["service_account"].rpartition("/")[2],
            "env": v["user_env_vars"],
            "key": v["crypto_key_name"] or "",
        },
    ),
    "google_logging_metric": lambda v: (
        f"log_metric/{v['name']}",
        {"filter": v["filter"], "labels": v["label_extractors"] or {}},
    ),
    "google_logging_project_sink": lambda v: (
        f"log_sink/{v['name']}",
        {"destination": v["destination"], "filter": v["filter"]},
    ),
    "google_bigquery_dataset": dataset,
    "google_bigquery_dataset_iam_member": dataset_grant,
    "google_storage_bucket": bucket,
    "google_cloudfunctions2_function": function,
    "google_cloud_run_v2_service": service,
    "google_cloud_run_v2_job": job,
    "google_pubsub_subscription": subscription,
    "google_storage_notification": notification,
    "google_eventarc_trigger": trigger,
    "google_cloud_scheduler_job": schedule,
    "google_monitoring_alert_policy": alert,
    "google_monitoring_slo": slo,
    "google_monitoring_dashboard": dashboard,
    "google_project_iam_member": grant("project", "project"),
    "google_storage_bucket_iam_member": grant("bucket", "bucket"),
    "google_secret_manager_secret_iam_member": grant("secret", "secret_id"),
    "google_service_account_iam_member": grant("account", "service_account_id"),
    "google_cloud_run_v2_service_iam_member": grant("service", "name"),
    "google_cloud_run_v2_job_iam_member": grant("job", "name"),
    "google_pubsub_topic_iam_member": grant("topic", "topic"),
    "google_pubsub_subscription_iam_member": grant("subscription", "subscription"),
}
