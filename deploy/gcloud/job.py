"""Prints the GPU job as a Cloud Run resource for `gcloud run jobs replace`: python deploy/gcloud/job.py REGION.

The environment sets the variables. The label `deployed` is a digest of the rest. Older versions
of gcloud have no flags for a job's GPU, but every version accepts the resource.
"""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from deploy import inventory


def body(system: inventory.Inventory, region: str) -> dict[str, Any]:
    job, chosen = system["gpu_job"], system["settings"]
    annotations = {"run.googleapis.com/execution-environment": "gen2"}
    if job["gpu"] != "none":
        annotations["run.googleapis.com/gpu-zonal-redundancy-disabled"] = json.dumps(not job["zonal_redundancy"])
    if chosen["vpc_network"]:
        network = {"network": chosen["vpc_network"], "subnetwork": chosen["vpc_subnetwork"]}
        annotations["run.googleapis.com/network-interfaces"] = json.dumps([network])
    elif chosen["vpc_connector"]:
        annotations["run.googleapis.com/vpc-access-connector"] = chosen["vpc_connector"]
    if chosen["vpc_network"] or chosen["vpc_connector"]:
        annotations["run.googleapis.com/vpc-access-egress"] = chosen["vpc_egress"]
    if chosen["kms_key"]:
        annotations["run.googleapis.com/encryption-key"] = chosen["kms_key"]
    execution = {"taskCount": job["tasks"], "parallelism": job["parallelism"], "template": {"spec": _task(system)}}
    resource: dict[str, Any] = {
        "apiVersion": "run.googleapis.com/v1",
        "kind": "Job",
        "metadata": {
            "name": f"{chosen['service_prefix']}-{job['name']}",
            "labels": {"cloud.googleapis.com/location": region},
        },
        "spec": {"template": {"metadata": {"annotations": annotations}, "spec": execution}},
    }
    digest = hashlib.sha256(json.dumps(resource, sort_keys=True).encode()).hexdigest()
    resource["metadata"]["labels"]["deployed"] = digest[:16]
    return resource


def _task(system: inventory.Inventory) -> dict[str, Any]:
    job, chosen = system["gpu_job"], system["settings"]
    account = f"{chosen['service_prefix']}-{job['name']}@{chosen['project_id']}.iam.gserviceaccount.com"
    container: dict[str, Any] = {
        "image": job["image"],
        "command": job["command"],
        "env": [
            *({"name": name, "value": value} for name, value in inventory.environment(system, job["name"]).items()),
            *(
                {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": "latest"}}}
                for name, secret in inventory.secrets(system).items()
            ),
        ],
        "resources": {"limits": {"cpu": str(job["cpu"]), "memory": job["memory"]}},
    }
    task = {
        "containers": [container],
        "maxRetries": job["max_retries"],
        "timeoutSeconds": job["task_timeout"],
        "serviceAccountName": account,
    }
    if job["gpu"] != "none":
        container["resources"]["limits"]["nvidia.com/gpu"] = "1"
        task["nodeSelector"] = {"run.googleapis.com/accelerator": job["gpu"]}
    return task


if __name__ == "__main__":
    print(json.dumps(body(inventory.load(inventory.from_environ(os.environ)), sys.argv[1]), indent=2))
