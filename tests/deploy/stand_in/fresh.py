"""The stand-in for Google's APIs as a new project finds them: each request meets the rules of a new project first."""

import base64
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from tests.deploy.shape import PROJECT
from tests.deploy.stand_in import cloud
from tests.deploy.stand_in.cloud import Body
from tests.deploy.stand_in.new_project import CLIENT_BASED, UNRESTRICTED, NewProject, agent
from tests.deploy.stand_in.refusals import Refusal

# Seconds that requests take, with the start of gcloud; changes wait for their operations.
READ, CHANGE = 4, 6
TAKES = {"cloudbuild": 240, "cloudfunctions": 200, "run": 60, "eventarc": 60}
DOCUMENT = json.dumps({"status": "succeeded"}).encode()
FUNCTION_DEFAULTS: Body = {"availableCpu": "0.1666", "availableMemory": "256M", "maxInstanceCount": 100}
DEFAULT_POLICY: Body = {"listPolicy": {"allValues": "ALLOW"}}
REGIONS = {*UNRESTRICTED, "europe-west4", "us-east4", "asia-southeast1"}
BUILD_METRIC = "cloudbuild.googleapis.com/concurrent_public_pool_build_cpus"


@dataclass
class FreshGoogle(cloud.Google):
    project: NewProject = field(default_factory=NewProject)
    failed: dict[str, Body] = field(default_factory=dict)  # operations that ended with an error

    def answer(
        self, method: str, target: str, body: Any, headers: Mapping[str, str] = cloud.NO_HEADERS
    ) -> tuple[int, Any]:
        path = urlsplit(target).path
        api = re.sub(r"^/(resumable/)?upload/storage/v1/", "/storage/", path).lstrip("/").partition("/")[0]
        if api == "clock":
            self.project.pass_time(float(parse_qs(urlsplit(target).query)["seconds"][0]))
            return 200, {}
        self.project.pass_time(READ if method == "GET" else CHANGE)
        try:
            if api not in (
                "upload",
                "tagged",
            ):  # of a function's source, to a URL that is signed; revisions take other tokens
                self.project.need_token(headers.get("Authorization", "").removeprefix("Bearer "))
                if api not in CLIENT_BASED or headers.get("X-Goog-User-Project") == PROJECT:
                    self.project.need_api(api)
            return super().answer(method, target, body, headers)
        except Refusal as refusal:
            return refusal.http, refusal.body

    def special(self, method: str, api: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any] | None:
        if error := self.failed.get(path):
            return 200, {"name": path, "done": True, "error": error}
        if api == "cloudquotas":
            return 200, self.quota(path)
        if api == "cloudbilling" and path.endswith("/billingInfo"):
            self.project.billing = self.project.billing or method == "PUT"
            return 200, {"projectId": PROJECT, "billingEnabled": self.project.billing}
        if api == "cloudresourcemanager" and (method, path) == ("POST", "v1/projects"):
            return 200, {"name": "operations/project"}
        if api == "storage" and path.endswith("/serviceAccount"):
            self.project.make_identity(agent("storage"))
        return super().special(method, api, path, query, body)

    def services(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if service := re.search(r"services/([a-z]+)\.googleapis\.com:generateServiceIdentity", path):
            self.project.make_identity(agent(service[1]))
        elif path.endswith(("services:batchEnable", ":enable")):
            names = (body or {}).get("serviceIds") or [path.rpartition("/")[2].removesuffix(":enable")]
            self.project.enable(names)
        return super().services(method, path, body)

    def custom(self, method: str, api: str, path: str, verb: str, body: Any) -> tuple[int, Any]:
        if verb == "testIamPermissions" and api == "cloudresourcemanager":
            return 200, {"permissions": sorted(set(body["permissions"]) - self.project.lacking)}
        if verb == "getEffectiveOrgPolicy":
            policy = self.project.policies.get(body["constraint"].removeprefix("constraints/"), DEFAULT_POLICY)
            return 200, {"constraint": body["constraint"], **policy}
        return super().custom(method, api, path, verb, body)

    def quota(self, path: str) -> Body:
        project, name = self.project, path.rpartition("/")[2]
        if "services/cloudbuild.googleapis.com" in path:
            regions = [
                {"details": {"value": cpus}, "applicableLocations": [region]}
                for region in sorted(REGIONS)
                for cpus in ["32" if region in project.build_regions else "0"]
            ]
            return {"quotaInfos": [{"metric": BUILD_METRIC, "quotaId": "BuildCpus", "dimensionsInfos": regions}]}
        values = {
            "CpuAllocPerProjectRegion": project.cpus * 1000,
            "MemAllocPerProjectRegion": project.gib << 30,
            "NvidiaL4GpuAllocNoZonalRedundancyPerProjectRegion": project.gpus,
        }
        info = {"details": {"value": str(values.get(name, 0))}, "applicableLocations": sorted(REGIONS)}
        return {"quotaId": name, "dimensionsInfos": [info]}

    def changed(self, method: str, api: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        takes = TAKES.get(api, 0)
        try:
            self.examine(method, api, path, body)
        except Refusal as refusal:
            if api != "cloudfunctions":
                raise
            return 200, self.failure(refusal)
        finally:
            self.project.pass_time(takes)
        status, answer = super().changed(method, api, path, query, body)
        if status == 200:
            self.made(api, path, query, body)
            if (api, path) == ("storage", f"b/{PROJECT}-inference-input/o"):
                self.predict(query.get("name") or body["name"])
        return status, answer

    def predict(self, name: str) -> None:
        """Writes the document of an upload, as the deployed pipeline does."""
        digest = base64.b64encode(hashlib.md5(DOCUMENT).digest()).decode()
        objects, name = f"b/{PROJECT}-inference-output/o", f"latest/{name}.json"
        link = f"{self.base}/storage/{objects}/{quote(name, safe='')}?alt=media"
        data = base64.b64encode(DOCUMENT).decode()
        document = {"name": name, "size": str(len(DOCUMENT)), "md5Hash": digest, "mediaLink": link, "data": data}
        super().changed("POST", "storage", objects, {}, document)

    def failure(self, refusal: Refusal) -> Body:
        """An operation that ends with an error."""
        name = f"projects/{PROJECT}/locations/us-central1/operations/failed-{len(self.failed)}"
        self.failed[f"v2/{name}"] = {"code": 3, "message": refusal.message}
        return {"name": name, "metadata": {}, "done": False}

    def examine(self, method: str, api: str, path: str, body: Body) -> None:
        """Refuses what a new project refuses."""
        project, collection = self.project, path.split("/")[-1 if method == "POST" else -2]
        match api, collection:
            case "storage", "b":
                project.need_billing()
            case "storage", "notificationConfigs":
                project.need_publisher(body["topic"].rpartition("/")[2])
            case "cloudfunctions", "functions":
                config, build = {**FUNCTION_DEFAULTS, **body["serviceConfig"]}, body["buildConfig"]
                gib = gibibytes(config["availableMemory"])
                project.need_quota(config["maxInstanceCount"], float(config["availableCpu"]), gib)
                builder = build["serviceAccount"].rpartition("/")[2]
                project.need_builder(builder, path.split("/")[4], PROJECT)
                if trigger := body.get("eventTrigger"):
                    project.need_trigger(trigger["serviceAccountEmail"])
            case "cloudbuild", "builds":
                builder = body["serviceAccount"].rpartition("/")[2]
                project.need_builder(builder, path.split("/")[4], body["source"]["storageSource"]["bucket"])
            case "run", "services":
                template = body["spec"]["template"]
                instances = int(template["metadata"]["annotations"]["autoscaling.knative.dev/maxScale"])
                self.need_instances(instances, template["spec"])
            case "run", "jobs":
                execution = body["spec"]["template"]["spec"]
                self.need_instances(execution["parallelism"], execution["template"]["spec"])
            case "eventarc", "triggers":
                project.need_trigger(body["serviceAccount"].rpartition("/")[2])
            case "monitoring", "alertPolicies":
                self.need_conditions(body["conditions"])
            case "monitoring", "serviceLevelObjectives":
                ratio = body["serviceLevelIndicator"]["requestBased"]["goodTotalRatio"]
                project.need_metrics(*ratio.values())
            case "bigquery", "datasets" if method == "PATCH":
                for entry in body.get("access", []):
                    project.grant(path.rpartition("/")[2], entry["role"], entry["userByEmail"])

    def need_instances(self, instances: int, spec: Body) -> None:
        limits = spec["containers"][0]["resources"]["limits"]
        gpus = int(limits.get("nvidia.com/gpu", 0))
        self.project.need_quota(instances, float(limits["cpu"]), gibibytes(limits["memory"]), gpus)

    def need_conditions(self, conditions: list[Body]) -> None:
        for condition in conditions:
            if query := condition.get("conditionPrometheusQueryLanguage"):
                self.project.need_unvalidated(query.get("disableMetricValidation"))
            else:
                threshold = condition["conditionThreshold"]
                self.project.need_metrics(threshold["filter"], threshold.get("denominatorFilter") or "")

    def made(self, api: str, path: str, query: dict[str, str], body: Body) -> None:
        """Takes note of what later requests need."""
        match api, path.rpartition("/")[2]:
            case "iam", "serviceAccounts":
                self.project.make_identity(cloud.created_id(path, query, body))
            case "logging", "metrics":
                self.project.make_metric(body["name"])
            case "logging", "sinks":
                self.project.make_identity(agent("logging"), age=math.inf)

    def policy(self, method: str, key: str, body: Any) -> tuple[int, Any]:
        if method == "PUT":
            target, bindings = key.rpartition("/")[2], body.get("policy", body).get("bindings", [])
            members = [(binding["role"], member) for binding in bindings for member in binding["members"]]
            for role, member in members:
                self.project.grant(target, role, member)
            if target == PROJECT:  # names of others are ambiguous: a topic and a subscription may share one
                self.project.withdraw(target, set(members))
        return super().policy(method, key, body)


def gibibytes(memory: str) -> float:
    number, unit = re.fullmatch(r"(\d+)([MG]i?)", memory).groups()  # type: ignore[union-attr]
    return int(number) / (1 if unit.startswith("G") else 1024)
