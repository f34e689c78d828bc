"""A common shape for what each route creates, so that routes can be compared: `{"kind/name": attributes}`."""

import json
from typing import Any

from deploy import inventory
from deploy.monitoring import bodies

Shape = dict[str, Any]

PROJECT = "my-project"
PREFIX = "inference"
REGION = "us-central1"
IMAGE = "us-central1-docker.pkg.dev/my-project/images/gpu-service:1"  # required by all routes but gcloud
NUMBER = "123456789"
DAY = 86400


def url(resource: str, region: str = REGION) -> str:
    """The URL that every stand-in gives a service."""
    return f"https://{resource}-{region}.a.run.app"


def account(name: str) -> str:
    return f"{PREFIX}-{name}@{PROJECT}.iam.gserviceaccount.com"


def expected(system: inventory.Inventory) -> Shape:
    """The shape of the inventory."""
    return {
        **{f"api/{name}": True for name in system["apis"]},
        **{f"account/{account(name)}": about for name, about in system["accounts"].items()},
        **{f"bucket/{PROJECT}-{PREFIX}-{name}": _bucket(bucket) for name, bucket in system["buckets"].items()},
        **{
            f"topic/{PREFIX}-{name}": {"retention_days": topic["retention_days"]}
            for name, topic in system["topics"].items()
        },
        **{f"function/{PREFIX}-{name}": _function(system, name) for name in system["functions"]},
        **{f"subscription/{PREFIX}-{name}": _push(push) for name, push in system["push"].items()},
        **{f"subscription/{PREFIX}-{name}": _pull(pull) for name, pull in system["pull"].items()},
        **{
            f"notification/{PROJECT}-{PREFIX}-{entry['bucket']}/{PREFIX}-{entry['topic']}": [
                entry["event"],
                entry["payload"],
            ]
            for entry in system["notifications"].values()
        },
        **{f"trigger/{PREFIX}-{name}": _trigger(name, trigger) for name, trigger in system["triggers"].items()},
        **{f"schedule/{PREFIX}-{name}": _schedule(schedule) for name, schedule in system["schedules"].items()},
        **dict.fromkeys((key for row in system["iam"] for key in _bindings(system, row)), True),
        **{
            f"log_metric/{PREFIX}-{name}": log_metric(bodies.log_metric(system, name)) for name in system["log_metrics"]
        },
        **{f"alert/{PREFIX}-{name}": alert(bodies.alert(system, name)) for name in system["alerts"]},
        **{
            f"dashboard/{PREFIX} {name}": bodies.dashboard(system, name)["mosaicLayout"]
            for name in system["dashboards"]
        },
        f"registry/{PREFIX}": "DOCKER",
        **{
            f"service/{region}/{PREFIX}-gpu-service": _gpu_service(system)
            for region in system["gpu_service"]["regions"]
        },
        f"job/{system['gpu_job']['region']}/{PREFIX}-gpu-job": _gpu_job(system),
        f"workflow/{PREFIX}": _workflow(system),
        f"slo/{system['slo']['name']}": slo(bodies.slo(system)),
        f"log_sink/{PREFIX}-logs": log_sink(bodies.log_sink(system)),
        f"dataset/{bodies.dataset_id(system)}": system["settings"]["region"],
        f"iam/dataset/{bodies.dataset_id(system)}/WRITER/log-sink": True,
    }


def _bucket(bucket: dict[str, Any]) -> Shape:
    return {
        "location": "us-central1",
        "uniform": True,
        "public": "enforced",
        "versioning": bucket["versioning"],
        "delete_after": bucket["delete_after"],
        "soft_delete": bucket["soft_delete"] * DAY,
    }


def _function(system: inventory.Inventory, name: str) -> Shape:
    function = system["functions"][name]
    return {
        "runtime": system["runtime"],
        "entry_point": name.replace("-", "_"),
        "account": account(name),
        "build_account": f"projects/{PROJECT}/serviceAccounts/{account('builder')}",
        "cpu": str(function["cpu"]),
        "memory": function["memory"],
        "concurrency": function["concurrency"],
        "timeout": function["timeout"],
        "instances": [0, function["max_instances"]],
        "ingress": "ALLOW_ALL",
        "env": inventory.environment(system, name),
    }


def _gpu_service(system: inventory.Inventory) -> Shape:
    service = system["gpu_service"]
    probes = {
        name: [probe["path"], service["port"], probe["period"], probe["timeout"], probe["failures"]]
        for name, probe in (("startup", service["startup_probe"]), ("liveness", service["liveness_probe"]))
    }
    return {
        "image": service["image"],
        "account": account("gpu-service"),
        "gpu": service["gpu"],
        "limits": {"cpu": str(service["cpu"]), "memory": service["memory"], "nvidia.com/gpu": "1"},
        "zonal_redundancy": service["zonal_redundancy"],
        "concurrency": service["concurrency"],
        "timeout": service["timeout"],
        "instances": [service["min_instances"], service["max_instances"]],
        "cpu_boost": service["cpu_boost"],
        "cpu_idle": False,
        "port": service["port"],
        "ingress": system["settings"]["ingress"],
        "env": inventory.environment(system, "gpu-service") | _secrets(system),
        **probes,
    }


def _gpu_job(system: inventory.Inventory) -> Shape:
    job = system["gpu_job"]
    return {
        "image": job["image"],
        "command": job["command"],
        "account": account("gpu-job"),
        "gpu": job["gpu"],
        "limits": {"cpu": str(job["cpu"]), "memory": job["memory"], "nvidia.com/gpu": "1"},
        "zonal_redundancy": job["zonal_redundancy"],
        "tasks": [job["tasks"], job["parallelism"]],
        "timeout": job["task_timeout"],
        "retries": job["max_retries"],
        "env": inventory.environment(system, "gpu-job") | _secrets(system),
    }


def _secrets(system: inventory.Inventory) -> dict[str, str]:
    return {variable: secret_value(secret, "latest") for variable, secret in inventory.secrets(system).items()}


def secret_value(secret: str, version: str) -> str:
    """The value of a variable that comes from a secret, by its name alone."""
    return f"secret {secret.rpartition('/')[2]}:{version}"


def _push(push: dict[str, Any]) -> Shape:
    topic = f"projects/{PROJECT}/topics/{PREFIX}-{push['topic']}"
    address = url(f"{PREFIX}-{push['service']}")
    return {
        "topic": topic,
        "ack": push["ack_deadline"],
        "retention": push["retention_days"] * DAY,
        "push": {"endpoint": f"{address}/{topic}", "audience": address, "account": account("events")},
        "backoff": push["backoff"],
        "dead_letter": push.get("dead_letter") and f"projects/{PROJECT}/topics/{PREFIX}-{push['dead_letter']}",
        "attempts": push.get("attempts"),
    }


def _pull(pull: dict[str, Any]) -> Shape:
    return {
        "topic": f"projects/{PROJECT}/topics/{PREFIX}-{pull['topic']}",
        "ack": pull["ack_deadline"],
        "retention": pull["retention_days"] * DAY,
        "push": None,
        "backoff": pull.get("backoff"),
        "dead_letter": pull.get("dead_letter") and f"projects/{PROJECT}/topics/{PREFIX}-{pull['dead_letter']}",
        "attempts": pull.get("attempts"),
    }


def _trigger(name: str, trigger: dict[str, Any]) -> Shape:
    return {
        "filters": {"type": trigger["event"], "bucket": f"{PROJECT}-{PREFIX}-{trigger['bucket']}"},
        "service": f"{PREFIX}-{name}",
        "account": account("events"),
    }


def _schedule(schedule: dict[str, Any]) -> Shape:
    return {
        "schedule": schedule["schedule"],
        "topic": f"projects/{PROJECT}/topics/{PREFIX}-{schedule['topic']}",
        "message": schedule["message"],
        "zone": "Etc/UTC",
    }


def _workflow(system: inventory.Inventory) -> Shape:
    urls = {
        variable: ",".join(url(f"{PREFIX}-{service}", region) for region in _regions(system, f"service/{service}"))
        for variable, service in system["workflow"]["urls"].items()
    }
    return {"account": account("workflow"), "env": system["workflow"]["env"] | urls}


def _regions(system: inventory.Inventory, target: str) -> list[str]:
    special = {"service/gpu-service": system["gpu_service"]["regions"], "job/gpu-job": [system["gpu_job"]["region"]]}
    return special.get(target, [REGION])


def _bindings(system: inventory.Inventory, row: dict[str, Any]) -> list[str]:
    kind, _, name = row["target"].partition("/")
    target = {
        "project": PROJECT,
        "bucket": f"{PROJECT}-{PREFIX}-{name}",
        "account": account(name),
        "secret": inventory.secrets(system).get(name, ""),
        "trigger": f"eventarc-us-central1-{PREFIX}-{name}-sub-001",
    }.get(kind, f"{PREFIX}-{name}")
    targets = [target]
    if kind in ("service", "job"):
        targets = [f"{region}/{target}" for region in _regions(system, row["target"])]
    kind = "subscription" if kind == "trigger" else kind
    who = row["who"]
    agent = who.startswith("agent/")
    member = f"service-{NUMBER}@{system['agents'][who[6:]]}" if agent else account(who)
    return [binding(kind, each, row["role"], f"serviceAccount:{member}", row.get("only", "")) for each in targets]


def binding(kind: str, target: str, role: str, member: str, condition: str = "") -> str:
    return f"iam/{kind}/{target}/{role}/{member}" + (f"/{condition}" if condition else "")


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
