"""Request bodies for the monitoring of the inventory: python deploy/monitoring/bodies.py KIND NAME.

KIND is a key of KINDS; the environment sets the variables.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from string import Template
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from deploy import inventory

Body = dict[str, Any]
EVALUATION_SECONDS = 60


def log_metric(system: inventory.Inventory, name: str) -> Body:
    metric = system["log_metrics"][name]
    return {
        "name": f"{system['settings']['service_prefix']}-{name}",
        "description": metric["about"],
        "filter": metric["filter"],
        "metricDescriptor": {
            "metricKind": "DELTA",
            "valueType": "INT64",
            "labels": [{"key": key, "valueType": "STRING"} for key in sorted(metric["labels"])],
        },
        "labelExtractors": {key: f"EXTRACT({field})" for key, field in metric["labels"].items()},
    }


def alert(system: inventory.Inventory, name: str) -> Body:
    policy = system["alerts"][name]
    condition = {
        "query": policy["query"],
        "duration": f"{policy['for']}s",
        "evaluationInterval": f"{EVALUATION_SECONDS}s",
        "disableMetricValidation": True,  # a new project has no data
    }
    return {
        "displayName": f"{system['settings']['service_prefix']}-{name}",
        "combiner": "OR",
        "documentation": {"content": policy["about"], "mimeType": "text/markdown"},
        "conditions": [{"displayName": name, "conditionPrometheusQueryLanguage": condition}],
        "notificationChannels": system["settings"]["notification_channels"],
    }


def dashboard(system: inventory.Inventory, name: str) -> Body:
    text = (Path(__file__).parent / f"{name}.json").read_text(encoding="utf-8")
    body: Body = json.loads(Template(text).substitute(system["settings"]))
    return body


def service(system: inventory.Inventory, _: str = "") -> Body:
    return {"displayName": system["settings"]["service_prefix"], "custom": {}}


def slo(system: inventory.Inventory, _: str = "") -> Body:
    goal = system["slo"]
    return {
        "displayName": goal["about"],
        "goal": goal["goal"],
        "rollingPeriod": f"{goal['days'] * 86400}s",
        "serviceLevelIndicator": {
            "requestBased": {"goodTotalRatio": {"goodServiceFilter": goal["good"], "totalServiceFilter": goal["total"]}}
        },
    }


def dataset_id(system: inventory.Inventory) -> str:
    """The dataset's id: BigQuery allows no hyphens."""
    return f"{system['settings']['service_prefix']}-{system['log_sink']['name']}".replace("-", "_")


def dataset(system: inventory.Inventory, _: str = "") -> Body:
    chosen = system["settings"]
    return {
        "datasetReference": {"projectId": chosen["project_id"], "datasetId": dataset_id(system)},
        "location": chosen["region"],
        "defaultPartitionExpirationMs": str(system["log_sink"]["keep_days"] * 86_400_000),
    }


def log_sink(system: inventory.Inventory, _: str = "") -> Body:
    chosen = system["settings"]
    return {
        "name": f"{chosen['service_prefix']}-{system['log_sink']['name']}",
        "destination": f"bigquery.googleapis.com/projects/{chosen['project_id']}/datasets/{dataset_id(system)}",
        "filter": system["log_sink"]["filter"],
        "bigqueryOptions": {"usePartitionedTables": True},
    }


KINDS: dict[str, Callable[..., Body]] = {
    "log_metrics": log_metric,
    "alerts": alert,
    "dashboards": dashboard,
    "service": service,
    "slo": slo,
    "dataset": dataset,
    "log_sink": log_sink,
}


def main(arguments: list[str], environ: Mapping[str, str] = os.environ) -> int:
    kind, *name = arguments
    print(json.dumps(KINDS[kind](inventory.load(inventory.from_environ(environ)), *name), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
