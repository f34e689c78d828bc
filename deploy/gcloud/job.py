"""Prints a job as a Cloud Run resource for `gcloud run jobs replace`: python deploy/gcloud/job.py NAME REGION [IMAGE].

NAME is gpu-job or cut-job. The environment sets the variables. The label `deployed` is a digest of the rest. Older
versions of gcloud have no flags for a job's GPU, but every version accepts the resource.
"""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from deploy import inventory


def body(system: inventory.Inventory, name: str, region: str, image: str | None) -> dict[str, Any]:
    job, chosen = system[name.replace("-", "_")], system["settings"]
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
    execution = {
        "taskCount": job["tasks"],
        "parallelism": job["parallelism"],
        "template": {"spec": _task(system, job, image)},
    }
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


def _task(system: inventory.Inventory, job: dict[str, Any], image: str | None) -> dict[str, Any]:
    chosen = system["settings"]
    secrets = inventory.secrets(system) if "gpu" in job["env"] else {}
    account = f"{chosen['service_prefix']}-{job['name']}@{chosen['project_id']}.iam.gserviceaccount.com"
    container: dict[str, Any] = {
        "image": image or job["image"],
        "command": job["command"],
        "env": [
            *({"name": name, "value": value} for name, value in inventory.environment(system, job["name"]).items()),
            *(
                {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": "latest"}}}
                for name, secret in secrets.items()
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
    _, job_name, region, *images = sys.argv
    deployed = inventory.load(inventory.from_environ(os.environ))
    print(json.dumps(body(deployed, job_name, region, next(iter(images), None)), indent=2))
