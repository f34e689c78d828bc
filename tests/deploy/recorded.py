"""Reads the project that the stand-in for Google's APIs recorded, and the commands of a dry run."""

import base64
import json
import re
import shlex
from pathlib import Path
from typing import Any

from tests.deploy import shape
from tests.deploy.stand_in.cloud import Google

FLAGS: dict[str, list[str]] = json.loads((Path(__file__).parent / "gcloud_flags.json").read_text())
GLOBAL = {"--quiet", "--format", "--project", "--filter", "--condition"}


def shape_of(google: Google) -> shape.Shape:
    """The shape of the recorded project."""
    found: shape.Shape = {f"api/{name}": True for name in google.enabled}
    for key, body in google.resources.items():
        api, _, path = key.partition("/")
        collection, _, name = path.rpartition("/")
        collection = collection.rpartition("/")[2]
        match api, collection:
            case "storage", "b":
                found[f"bucket/{name}"] = _bucket(body)
            case "storage", "notificationConfigs":
                topic = body["topic"].removeprefix(f"//pubsub.googleapis.com/projects/{shape.PROJECT}/topics/")
                settings = [*body["event_types"], body["payload_format"]]
                found[f"notification/{path.split('/')[1]}/{body.get('object_name_prefix', '')}>{topic}"] = settings
            case "iam", "serviceAccounts":
                found[f"account/{name}"] = body.get("displayName")
            case "pubsub", "topics":
                days = int(body["messageRetentionDuration"].rstrip("s")) // shape.DAY
                found[f"topic/{name}"] = {"retention_days": days, "key": body.get("kmsKeyName") or ""}
            case "pubsub", "subscriptions" if not name.startswith("eventarc-"):
                found[f"subscription/{name}"] = _subscription(body)
            case "cloudfunctions", "functions":
                found[f"function/{name}"] = _function(body)
            case "run", "services" if name.endswith("gpu-service"):
                found[f"service/{path.split('/')[1]}/{name}"] = _service(body)
            case "run", "jobs":
                found[f"job/{path.split('/')[1]}/{name}"] = _job(body)
            case "eventarc", "triggers":
                found[f"trigger/{name}"] = _trigger(body)
            case "workflows", "workflows":
                found[f"workflow/{name}"] = {
                    "account": body["serviceAccount"].rpartition("/")[2],
                    "env": body["userEnvVars"],
                    "key": body.get("cryptoKeyName") or "",
                }
            case "cloudscheduler", "jobs":
                found[f"schedule/{name}"] = _schedule(body)
            case "artifactregistry", "repositories":
                found[f"registry/{name}"] = [body["format"], body.get("kmsKeyName") or ""]
            case "logging", "metrics":
                found[f"log_metric/{name}"] = shape.log_metric(body)
            case "logging", "sinks":
                found[f"log_sink/{name}"] = shape.log_sink(body)
            case "monitoring", "alertPolicies":
                found[f"alert/{body['displayName']}"] = shape.alert(body)
            case "monitoring", "dashboards":
                found[f"dashboard/{body['displayName']}"] = body["mosaicLayout"]
            case "monitoring", "serviceLevelObjectives":
                found[f"slo/{path.split('/')[-3]}/{name}"] = shape.slo(body)
            case "bigquery", "datasets":
                key = body.get("defaultEncryptionConfiguration", {}).get("kmsKeyName", "")
                found[f"dataset/{name}"] = [body["location"], key]
                for entry in body.get("access", []):
                    assert entry["userByEmail"].endswith("gcp-sa-logging.iam.gserviceaccount.com")
                    found[f"iam/dataset/{name}/{entry['role']}/log-sink"] = True
    for key, policy in google.policies.items():
        for entry in policy.get("bindings", []):
            for member in entry["members"]:
                kind, name = _policy_target(key)
                found[shape.binding(kind, name, entry["role"], member, entry.get("condition", {}))] = True
    return shape.plain(found)


def image(google: Google, wheels: str = "cu126") -> str:
    """The image that was built for the GPU service, with these wheels of PyTorch."""
    built = [body["substitutions"] for key, body in google.resources.items() if key.startswith("cloudbuild/")]
    return next(arguments["_IMAGE"] for arguments in built if arguments["_WHEELS"] == wheels)


def _policy_target(key: str) -> tuple[str, str]:
    kinds = {
        "b": "bucket",
        "serviceAccounts": "account",
        "services": "service",
        "jobs": "job",
        "topics": "topic",
        "subscriptions": "subscription",
        "secrets": "secret",
        "projects": "project",
    }
    collection, name = key.split("/")[-2:]
    if collection in ("services", "jobs"):
        name = f"{key.split('/')[-3]}/{name}"
    return kinds[collection], name


def _bucket(body: dict[str, Any]) -> shape.Shape:
    iam = body["iamConfiguration"]
    rules = body.get("lifecycle", {}).get("rule", [])
    assert all(rule["action"]["type"] == "Delete" for rule in rules)
    return {
        "location": body["location"].lower(),
        "uniform": iam["uniformBucketLevelAccess"]["enabled"],
        "public": iam["publicAccessPrevention"],
        "key": body.get("encryption", {}).get("defaultKmsKeyName") or "",
        "class": body.get("storageClass", "STANDARD"),
        "versioning": body.get("versioning", {}).get("enabled", False),
        "delete_after": [
            next((rule["condition"][name] for rule in rules if name in rule["condition"]), 0)
            for name in ("age", "daysSinceNoncurrentTime")
        ],
        "soft_delete": int(body["softDeletePolicy"]["retentionDurationSeconds"]),
    }


def _function(body: dict[str, Any]) -> shape.Shape:
    build, config = body["buildConfig"], body["serviceConfig"]
    return {
        "runtime": build["runtime"],
        "entry_point": build["entryPoint"],
        "account": config["serviceAccountEmail"],
        "build_account": build["serviceAccount"],
        "cpu": config["availableCpu"],
        "memory": config["availableMemory"],
        "concurrency": config["maxInstanceRequestConcurrency"],
        "timeout": config["timeoutSeconds"],
        "instances": [config["minInstanceCount"], config["maxInstanceCount"]],
        "ingress": config["ingressSettings"],
        "network": [config["vpcConnector"], config["vpcConnectorEgressSettings"].lower().replace("_", "-")]
        if config.get("vpcConnector")
        else None,
        "pool": build.get("workerPool") or "",
        "key": body.get("kmsKeyName") or "",
        "registry": build.get("dockerRepository") or "",
        "env": config["environmentVariables"],
        "secret_files": [
            [v["mountPath"], w["path"], _project(v["projectId"]), v["secret"], w["version"]]
            for v in config.get("secretVolumes", [])
            for w in v["versions"]
        ],
    }


def _project(id: str) -> str:
    """The project's id, in place of the number that gcloud sends."""
    return shape.PROJECT if id == shape.NUMBER else id


def _service(body: dict[str, Any]) -> shape.Shape:
    template = body["spec"]["template"]
    notes = template["metadata"]["annotations"]
    container = template["spec"]["containers"][0]
    return {
        "image": container["image"],
        "account": template["spec"]["serviceAccountName"],
        "gpu": _gpu(template["spec"]),
        "limits": container["resources"]["limits"],
        "zonal_redundancy": _zonal_redundancy(template["spec"], notes),
        "concurrency": template["spec"]["containerConcurrency"],
        "timeout": template["spec"]["timeoutSeconds"],
        "instances": [
            int(notes.get("autoscaling.knative.dev/minScale", 0)),
            int(notes["autoscaling.knative.dev/maxScale"]),
        ],
        "serves": _serves(body["status"]["traffic"]),
        "cpu_boost": notes["run.googleapis.com/startup-cpu-boost"] == "True",
        "cpu_idle": notes["run.googleapis.com/cpu-throttling"] != "False",
        "port": container["ports"][0]["containerPort"],
        "ingress": body["metadata"]["annotations"]["run.googleapis.com/ingress"],
        "network": _network(notes),
        "key": notes.get("run.googleapis.com/encryption-key", ""),
        "env": _environment(container),
        "startup": _probe(container["startupProbe"]),
        "liveness": _probe(container["livenessProbe"]),
    }


def _job(body: dict[str, Any]) -> shape.Shape:
    execution = body["spec"]["template"]
    task = execution["spec"]["template"]["spec"]
    container = task["containers"][0]
    return {
        "image": shape.built_image(container["image"]),
        "command": container["command"],
        "account": task["serviceAccountName"],
        "gpu": _gpu(task),
        "limits": container["resources"]["limits"],
        "zonal_redundancy": _zonal_redundancy(task, execution["metadata"]["annotations"]),
        "tasks": [execution["spec"]["taskCount"], execution["spec"]["parallelism"]],
        "timeout": int(task["timeoutSeconds"]),
        "retries": task["maxRetries"],
        "network": _network(execution["metadata"]["annotations"]),
        "key": execution["metadata"]["annotations"].get("run.googleapis.com/encryption-key", ""),
        "env": _environment(container),
    }


def _network(notes: dict[str, str]) -> list[str] | None:
    """The network, or the connector, and what takes it."""
    prefix = "run.googleapis.com"
    egress = notes.get(f"{prefix}/vpc-access-egress", "")
    for interface in json.loads(notes.get(f"{prefix}/network-interfaces", "[]")):
        return [interface["network"], interface["subnetwork"], egress]
    connector = notes.get(f"{prefix}/vpc-access-connector")
    return [connector, egress] if connector else None


def _serves(traffic: list[dict[str, Any]]) -> str:
    """The revision that has all traffic."""
    entry = next(entry for entry in traffic if entry.get("percent") == 100)
    return "latest" if entry.get("latestRevision") else str(entry["revisionName"])


def _gpu(spec: dict[str, Any]) -> str:
    return str(spec.get("nodeSelector", {}).get("run.googleapis.com/accelerator", "none"))


def _zonal_redundancy(spec: dict[str, Any], annotations: dict[str, str]) -> bool | None:
    """Without a GPU the annotation has no meaning; gcloud leaves it where there was one."""
    disabled = annotations.get("run.googleapis.com/gpu-zonal-redundancy-disabled")
    return None if _gpu(spec) == "none" else str(disabled).lower() != "true"


def _environment(container: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: _variable(entry) for entry in container["env"]}


def _variable(entry: dict[str, Any]) -> str:
    if "valueFrom" not in entry:
        return str(entry.get("value", ""))
    reference = entry["valueFrom"]["secretKeyRef"]
    return shape.secret_value(reference["name"], reference["key"])


def _probe(body: dict[str, Any]) -> list[Any]:
    get = body["httpGet"]
    return [get["path"], get["port"], body["periodSeconds"], body["timeoutSeconds"], body["failureThreshold"]]


def _subscription(body: dict[str, Any]) -> shape.Shape:
    push, retry, dead = (body.get(name) or {} for name in ("pushConfig", "retryPolicy", "deadLetterPolicy"))
    token = push.get("oidcToken", {})
    assert body["expirationPolicy"] == {}, "a subscription without traffic must not expire"
    return {
        "topic": body["topic"],
        "ack": body["ackDeadlineSeconds"],
        "retention": int(body["messageRetentionDuration"].rstrip("s")),
        "push": {
            "endpoint": push["pushEndpoint"],
            "audience": token["audience"],
            "account": token["serviceAccountEmail"],
        }
        if push
        else None,
        "backoff": [int(retry[name].rstrip("s")) for name in ("minimumBackoff", "maximumBackoff")] if retry else None,
        "dead_letter": dead.get("deadLetterTopic"),
        "attempts": dead.get("maxDeliveryAttempts"),
        "files": _files(body.get("cloudStorageConfig") or {}),
    }


def _files(config: dict[str, Any]) -> list[Any] | None:
    if not config:
        return None
    duration = int(config["maxDuration"].rstrip("s"))
    return [config["bucket"], config["filenameSuffix"], duration, config["avroConfig"]["writeMetadata"]]


def _trigger(body: dict[str, Any]) -> shape.Shape:
    return {
        "location": body["name"].split("/")[3],
        "filters": {entry["attribute"]: entry["value"] for entry in body["eventFilters"]},
        "service": body["destination"]["cloudRun"]["service"],
        "account": body["serviceAccount"].rpartition("/")[2],
    }


def _schedule(body: dict[str, Any]) -> shape.Shape:
    target = body["pubsubTarget"]
    return {
        "schedule": body["schedule"],
        "topic": target["topicName"],
        "message": base64.b64decode(target["data"]).decode(),
        "zone": body["timeZone"],
    }


def commands(output: str) -> list[list[str]]:
    """The gcloud commands among the lines of a dry run, without the first word."""
    lines = [line for line in output.splitlines() if line.startswith("gcloud ")]
    return [shlex.split(re.sub(r"\$'\\037'", "", line))[1:] for line in lines]


def unknown_flags(commands: list[list[str]]) -> list[str]:
    """Commands, and flags of known commands, that gcloud 528 does not have."""
    bad = []
    for words in commands:
        command = next((c for c in FLAGS if words[: len(c.split())] == c.split()), None)
        if command is None:
            bad.append(" ".join(words[:3]))
            continue
        flags = {word.partition("=")[0] for word in words if word.startswith("--")} - GLOBAL
        known = set(FLAGS[command])
        bad += [
            f"{command} {flag}"
            for flag in sorted(flags)
            if flag not in known and flag.replace("--no-", "--") not in known
        ]
    return bad
