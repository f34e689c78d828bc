"""A common shape for what each route creates, so that routes can be compared: `{"kind/name": attributes}`."""

import json
from typing import Any

from deploy import inventory
from deploy.monitoring import bodies

Shape = dict[str, Any]

PROJECT = "my-project"
REGION = "us-central1"
IMAGE = "us-central1-docker.pkg.dev/my-project/images/gpu-service:1"  # required by all routes but gcloud
NUMBER = "123456789"
DAY = 86400
# The variables that a company's policies may demand, together.
COMPANY = {
    "kms_key": "projects/keys/locations/us-central1/keyRings/r/cryptoKeys/k",
    "vpc_network": "projects/my-project/global/networks/n",
    "vpc_subnetwork": "projects/my-project/regions/us-central1/subnetworks/s",
    "vpc_connector": "projects/my-project/locations/us-central1/connectors/c",
    "vpc_egress": "all-traffic",
    "ingress": "internal",
    "build_worker_pool": "projects/my-project/locations/us-central1/workerPools/w",
}


def url(resource: str, region: str = REGION) -> str:
    """The URL that every stand-in gives a service."""
    return f"https://{resource}-{region}.a.run.app"


def prefix(system: inventory.Inventory) -> str:
    return str(system["settings"]["service_prefix"])


def account(system: inventory.Inventory, name: str) -> str:
    return f"{prefix(system)}-{name}@{PROJECT}.iam.gserviceaccount.com"


def expected(system: inventory.Inventory) -> Shape:
    """The shape of the inventory."""
    key = system["settings"]["kms_key"]
    return {
        **{f"api/{name}": True for name in system["apis"]},
        **{f"account/{account(system, name)}": about for name, about in system["accounts"].items()},
        **{
            f"bucket/{PROJECT}-{prefix(system)}-{name}": _bucket(system, bucket)
            for name, bucket in system["buckets"].items()
        },
        **{
            f"topic/{prefix(system)}-{name}": {"retention_days": topic["retention_days"], "key": key}
            for name, topic in system["topics"].items()
        },
        **{f"function/{prefix(system)}-{name}": _function(system, name) for name in system["functions"]},
        **{f"subscription/{prefix(system)}-{name}": _push(system, push) for name, push in system["push"].items()},
        **{f"subscription/{prefix(system)}-{name}": _pull(system, pull) for name, pull in system["pull"].items()},
        **{
            _notification(system, entry): [entry["event"], entry["payload"]]
            for entry in system["notifications"].values()
        },
        **{
            f"trigger/{prefix(system)}-{name}": _trigger(system, name, trigger)
            for name, trigger in system["triggers"].items()
        },
        **{
            f"schedule/{prefix(system)}-{name}": _schedule(system, schedule)
            for name, schedule in system["schedules"].items()
        },
        **dict.fromkeys((key for row in system["iam"] for key in _bindings(system, row)), True),
        **{
            f"log_metric/{prefix(system)}-{name}": log_metric(bodies.log_metric(system, name))
            for name in system["log_metrics"]
        },
        **{f"alert/{prefix(system)}-{name}": alert(bodies.alert(system, name)) for name in system["alerts"]},
        **{
            f"dashboard/{prefix(system)} {name}": bodies.dashboard(system, name)["mosaicLayout"]
            for name in system["dashboards"]
        },
        f"registry/{prefix(system)}": ["DOCKER", key],
        **{
            f"service/{region}/{prefix(system)}-gpu-service": _gpu_service(system)
            for region in system["gpu_service"]["regions"]
        },
        **{
            f"job/{region}/{prefix(system)}-gpu-job": _job(system, "gpu-job") for region in system["gpu_job"]["regions"]
        },
        f"job/{REGION}/{prefix(system)}-cut-job": _job(system, "cut-job"),
        f"workflow/{prefix(system)}": _workflow(system),
        f"slo/{prefix(system)}/{system['slo']['name']}": slo(bodies.slo(system)),
        **(_reports(system) if system["settings"]["reports"] else {}),
    }


def _reports(system: inventory.Inventory) -> Shape:
    dataset = bodies.dataset_id(system)
    return {
        f"log_sink/{prefix(system)}-logs": log_sink(bodies.log_sink(system)),
        f"dataset/{dataset}": [system["settings"]["region"], system["settings"]["kms_key"]],
        f"iam/dataset/{dataset}/WRITER/log-sink": True,
    }


def _network(system: inventory.Inventory, name: str) -> list[str] | None:
    """The network, or the connector, and what takes it; functions have connectors only."""
    chosen = system["settings"]
    if chosen["vpc_network"] and name not in system["functions"]:
        return [chosen["vpc_network"], chosen["vpc_subnetwork"], chosen["vpc_egress"]]
    return [chosen["vpc_connector"], chosen["vpc_egress"]] if chosen["vpc_connector"] else None


def _bucket_name(system: inventory.Inventory, name: str) -> str:
    own = f"{PROJECT}-{prefix(system)}-{name}"
    return str(system["settings"]["input_bucket"]) if name == "input" else own


def _notification(system: inventory.Inventory, entry: dict[str, Any]) -> str:
    bucket = _bucket_name(system, entry["bucket"])
    return f"notification/{bucket}/{entry['prefix']}>{prefix(system)}-{entry['topic']}"


def _bucket(system: inventory.Inventory, bucket: dict[str, Any]) -> Shape:
    return {
        "key": system["settings"]["kms_key"],
        "location": "us-central1",
        "uniform": True,
        "public": "enforced",
        "class": bucket["class"],
        "versioning": bucket["versioning"],
        "delete_after": [bucket["delete_after"], bucket["noncurrent_after"]],
        "soft_delete": bucket["soft_delete"] * DAY,
    }


def _function(system: inventory.Inventory, name: str) -> Shape:
    function, chosen = system["functions"][name], system["settings"]
    return {
        "runtime": system["runtime"],
        "entry_point": name.replace("-", "_"),
        "account": account(system, name),
        "build_account": f"projects/{PROJECT}/serviceAccounts/{account(system, 'builder')}",
        "cpu": str(function["cpu"]),
        "memory": function["memory"],
        "concurrency": function["concurrency"],
        "timeout": function["timeout"],
        "instances": [0, function["max_instances"]],
        "ingress": "ALLOW_ALL" if chosen["ingress"] == "all" else "ALLOW_INTERNAL_ONLY",
        "network": _network(system, name),
        "pool": chosen["build_worker_pool"],
        "key": chosen["kms_key"],
        "registry": f"projects/{PROJECT}/locations/{REGION}/repositories/{prefix(system)}" if chosen["kms_key"] else "",
        "env": inventory.environment(system, name),
        "secret_files": _secret_files(system, name),
    }


def _secret_files(system: inventory.Inventory, name: str) -> list[list[str]]:
    secret = inventory.secret_file(system, name)
    return [[secret["folder"], secret["file"], PROJECT, secret["secret"], "latest"]] if secret else []


def _gpu_service(system: inventory.Inventory) -> Shape:
    service = system["gpu_service"]
    probes = {
        name: [probe["path"], service["port"], probe["period"], probe["timeout"], probe["failures"]]
        for name, probe in (("startup", service["startup_probe"]), ("liveness", service["liveness_probe"]))
    }
    return {
        "image": service["image"],
        "account": account(system, "gpu-service"),
        "gpu": service["gpu"],
        "limits": _limits(service),
        "zonal_redundancy": None if service["gpu"] == "none" else service["zonal_redundancy"],
        "concurrency": service["concurrency"],
        "timeout": service["timeout"],
        "instances": [service["min_instances"], service["max_instances"]],
        "serves": service["revision"] or "latest",
        "cpu_boost": service["cpu_boost"],
        "cpu_idle": service["gpu"] == "none",
        "port": service["port"],
        "ingress": system["settings"]["ingress"],
        "network": _network(system, "gpu-service"),
        "key": system["settings"]["kms_key"],
        "env": inventory.environment(system, "gpu-service") | _secrets(system),
        **probes,
    }


def _job(system: inventory.Inventory, name: str) -> Shape:
    job = system[name.replace("-", "_")]
    return {
        "image": job["image"] if "image" in job else f"{prefix(system)}-{job['function']}",
        "command": job["command"],
        "account": account(system, name),
        "gpu": job["gpu"],
        "limits": _limits(job),
        "zonal_redundancy": None if job["gpu"] == "none" else job["zonal_redundancy"],
        "tasks": [job["tasks"], job["parallelism"]],
        "timeout": job["task_timeout"],
        "retries": job["max_retries"],
        "network": _network(system, name),
        "key": system["settings"]["kms_key"],
        "env": inventory.environment(system, name) | (_secrets(system) if name == "gpu-job" else {}),
    }


def built_image(image: str) -> str:
    """What a job runs: of a function's image, the function's name."""
    return image.partition(":build-")[0]


def _limits(sized: dict[str, Any]) -> dict[str, str]:
    gpu = {} if sized["gpu"] == "none" else {"nvidia.com/gpu": "1"}
    return {"cpu": str(sized["cpu"]), "memory": sized["memory"], **gpu}


def _secrets(system: inventory.Inventory) -> dict[str, str]:
    return {variable: secret_value(secret, "latest") for variable, secret in inventory.secrets(system).items()}


def secret_value(secret: str, version: str) -> str:
    """The value of a variable that comes from a secret, by its name alone."""
    return f"secret {secret.rpartition('/')[2]}:{version}"


def _push(system: inventory.Inventory, push: dict[str, Any]) -> Shape:
    topic = f"projects/{PROJECT}/topics/{prefix(system)}-{push['topic']}"
    address = url(f"{prefix(system)}-{push['service']}")
    return {
        "topic": topic,
        "ack": push["ack_deadline"],
        "retention": push["retention_days"] * DAY,
        "push": {"endpoint": f"{address}/{topic}", "audience": address, "account": account(system, "events")},
        "backoff": push["backoff"],
        "dead_letter": push.get("dead_letter") and f"projects/{PROJECT}/topics/{prefix(system)}-{push['dead_letter']}",
        "attempts": push.get("attempts"),
        "files": None,
    }


def _pull(system: inventory.Inventory, pull: dict[str, Any]) -> Shape:
    return {
        "topic": f"projects/{PROJECT}/topics/{prefix(system)}-{pull['topic']}",
        "ack": pull["ack_deadline"],
        "retention": pull["retention_days"] * DAY,
        "push": None,
        "backoff": pull.get("backoff"),
        "dead_letter": pull.get("dead_letter") and f"projects/{PROJECT}/topics/{prefix(system)}-{pull['dead_letter']}",
        "attempts": pull.get("attempts"),
        "files": [_bucket_name(system, pull["bucket"]), ".avro", 300, True] if "bucket" in pull else None,
    }


def _trigger(system: inventory.Inventory, name: str, trigger: dict[str, Any]) -> Shape:
    return {
        "filters": {"type": trigger["event"], "bucket": _bucket_name(system, trigger["bucket"])},
        "location": trigger["location"],
        "service": f"{prefix(system)}-{name}",
        "account": account(system, "events"),
    }


def _schedule(system: inventory.Inventory, schedule: dict[str, Any]) -> Shape:
    return {
        "schedule": schedule["schedule"],
        "topic": f"projects/{PROJECT}/topics/{prefix(system)}-{schedule['topic']}",
        "message": schedule["message"],
        "zone": "Etc/UTC",
    }


def _workflow(system: inventory.Inventory) -> Shape:
    urls = {
        variable: ",".join(
            url(f"{prefix(system)}-{service}", region) for region in _regions(system, f"service/{service}")
        )
        for variable, service in system["workflow"]["urls"].items()
    }
    key = system["settings"]["kms_key"]
    return {"account": account(system, "workflow"), "env": system["workflow"]["env"] | urls, "key": key}


def _regions(system: inventory.Inventory, target: str) -> list[str]:
    special = {"service/gpu-service": system["gpu_service"]["regions"], "job/gpu-job": system["gpu_job"]["regions"]}
    return special.get(target, [REGION])


def _bindings(system: inventory.Inventory, row: dict[str, Any]) -> list[str]:
    kind, _, name = row["target"].partition("/")
    target = {
        "project": PROJECT,
        "bucket": _bucket_name(system, name),
        "account": account(system, name),
        "secret": system["secrets"].get(name, {}).get("secret", ""),
        "trigger": f"eventarc-us-central1-{prefix(system)}-{name}-sub-001",
    }.get(kind, f"{prefix(system)}-{name}")
    targets = [target]
    if kind in ("service", "job"):
        targets = [f"{region}/{target}" for region in _regions(system, row["target"])]
    kind = "subscription" if kind == "trigger" else kind
    who = row["who"]
    agent = who.startswith("agent/")
    member = f"service-{NUMBER}@{system['agents'][who[6:]]}" if agent else account(system, who)
    condition = {"title": prefix(system), "expression": row["only"]} if "only" in row else {}
    return [binding(kind, each, row["role"], f"serviceAccount:{member}", condition) for each in targets]


def binding(kind: str, target: str, role: str, member: str, condition: dict[str, str]) -> str:
    only = f"/{condition['title']}: {condition['expression']}" if condition else ""
    return f"iam/{kind}/{target}/{role}/{member}{only}"


def log_metric(body: Shape) -> Shape:
    return {"filter": body["filter"], "labels": body.get("labelExtractors") or {}}


def alert(body: Shape) -> list[Shape]:
    """The conditions, without the fields that Google adds."""
    return [
        {
            "query": query["query"],
            "duration": query["duration"],
            "every": query["evaluationInterval"],
            "unvalidated": query["disableMetricValidation"],
        }
        for condition in body["conditions"]
        for query in [condition["conditionPrometheusQueryLanguage"]]
    ]


def slo(body: Shape) -> Shape:
    ratio = body["serviceLevelIndicator"]["requestBased"]["goodTotalRatio"]
    return {
        "goal": body["goal"],
        "period": body["rollingPeriod"],
        "good": ratio["goodServiceFilter"],
        "total": ratio["totalServiceFilter"],
    }


def log_sink(body: Shape) -> Shape:
    return {"destination": body["destination"], "filter": body["filter"]}


def plain(value: Any) -> Any:
    """The value with tuples as lists."""
    return json.loads(json.dumps(value))
