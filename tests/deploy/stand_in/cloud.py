"""A recording stand-in for Google's APIs: resources and policies by path, and operations that end immediately.

It knows how resources are named, created, listed, changed and deleted, but not what they mean. The real gcloud decides
what is sent.
"""

import base64
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from tests.deploy.shape import url

Body = dict[str, Any]

OPERATIONS = {"artifactregistry", "cloudbuild", "cloudfunctions", "eventarc", "workflows", "serviceusage"}
LISTS = {
    "serviceAccounts": "accounts",
    "b": "items",
    "o": "items",
    "managedFolders": "items",
    "notificationConfigs": "items",
}  # other collections are listed under their own name
NUMBER = "123456789"
NO_HEADERS: Mapping[str, str] = {}


@dataclass
class Google:
    """The resources of a project by `api/path`, and the requests that changed something, in order."""

    resources: dict[str, Body] = field(default_factory=dict)
    policies: dict[str, Body] = field(default_factory=dict)
    enabled: set[str] = field(default_factory=set)
    changes: list[tuple[str, str, Any]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)  # services whose new revisions fail
    refuse_after: int | None = None  # number of changes, to interrupt a deployment
    query_pages: list[Body] = field(default_factory=list)  # the answers of BigQuery, in order
    published: list[Body] = field(default_factory=list)  # messages
    base: str = ""
    lock: threading.RLock = field(default_factory=threading.RLock)

    def answer(self, method: str, target: str, body: Any, headers: Mapping[str, str] = NO_HEADERS) -> tuple[int, Any]:
        """The status and body of the answer to a request; `headers` are for stand-ins that check who calls."""
        url_parts = urlsplit(target)  # absolute where gcloud uses this server as a proxy
        path = re.sub(r"^/(resumable/)?upload/storage/v1/", "/storage/", url_parts.path)
        path = path if path.startswith("/storage/") else unquote(path)  # an object's name may contain slashes
        api, _, path = path.lstrip("/").replace("/projects/-/", "/projects/my-project/").partition("/")
        if "/namespaces/" in path:  # Cloud Run has the region in the host name
            path = f"regions/{(url_parts.hostname or '').removesuffix('-run.invalid')}/{path}"
        query = {key: values[-1] for key, values in parse_qs(url_parts.query).items()}
        override = self.special(method, api, path, query, body)
        if override is not None:
            return override
        path, _, verb = path.partition(":") if re.search(r":\w+$", path) else (path, "", "")
        if verb:
            return self.custom(method, api, path, verb, body)
        key = f"{api}/{path}"
        match method:
            case "GET" if key in self.resources and query.get("alt") == "media":
                return 200, base64.b64decode(self.resources[key]["data"])
            case "GET" if key in self.resources:
                return 200, self.resources[key]
            case "GET" if is_collection(api, path):
                return 200, self.listed(key)
            case "GET":
                return 404, error(404, f"{path} was not found")
            case "DELETE":
                self.changes.append((method, key, None))
                deleted = self.resources.pop(key, None)
                for below in [name for name in self.resources if name.startswith(key + "/")]:
                    del self.resources[below]
                run = path.partition("/locations/")[2].replace("/functions/", "/services/")  # what runs a function
                for own in [name for name in self.policies if name == key or (run and name.endswith(run))]:
                    del self.policies[own]
                if deleted and "transport" in deleted:  # a trigger is deleted with its subscription
                    delivery = f"pubsub/v1/{deleted['transport']['pubsub']['subscription']}"
                    self.resources.pop(delivery, None)
                    self.policies.pop(delivery, None)
                return (200, self.done(api, {})) if deleted is not None else (404, error(404, f"{path} was not found"))
            case "POST" | "PUT" | "PATCH":
                return self.changed(method, api, path, query, body)
        return 405, error(405, method)

    def changed(self, method: str, api: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        if self.refuse_after is not None and len(self.changes) >= self.refuse_after:
            return 400, error(400, "The deployment is interrupted here.")
        key = f"{api}/{path}"
        if method == "POST":
            key = f"{key}/{created_id(path, query, body) or f'id-{len(self.changes)}'}"
            if key in self.resources and "/o/" not in key:  # an object is overwritten
                return 409, error(409, f"{key} exists")
        before = self.resources.get(key, {})
        if method == "PATCH" and not before:
            return 404, error(404, f"{path} was not found")
        if api == "pubsub" and method == "PATCH":
            body = body.get("subscription") or body.get("topic")
        after = self.completed(api, key, merged(before, body) if method == "PATCH" else dict(body))
        self.changes.append((method, key, body))
        self.resources[key] = after
        return 200, self.done(api, after)

    def special(self, method: str, api: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any] | None:
        """The answer to a request that is not about a resource with a path, or None."""
        if api == "upload":
            return 200, {}
        if api == "tagged":
            return self.tagged(method, path)
        if "/operations/" in path or path.startswith("v1/operations/"):
            return 200, {"name": path, "done": True, "response": {}, "metadata": {"apiVersion": "v2"}}
        if api == "cloudresourcemanager" and re.fullmatch(r"v\d/projects/[^/:]+", path):
            return 200, {
                "projectId": path.rpartition("/")[2],
                "projectNumber": NUMBER,
                "lifecycleState": "ACTIVE",
                "name": f"projects/{NUMBER}",
            }
        if api == "serviceusage":
            return self.services(method, path, body)
        if path.endswith("functions:generateUploadUrl"):
            return 200, {
                "uploadUrl": f"{self.base}/upload/source.zip",
                "storageSource": {"bucket": f"gcf-v2-uploads-{NUMBER}-us-central1", "object": "source.zip"},
            }
        if api == "cloudfunctions" and path.endswith("/runtimes"):
            return 200, {"runtimes": [{"name": "python312", "stage": "GA", "environment": "GEN_2"}]}
        if api == "bigquery" and method == "GET" and "/queries/" in path:
            return 200, self.query_pages.pop(0)
        if api == "storage" and path.endswith("/serviceAccount"):
            return 200, {"email_address": f"service-{NUMBER}@gs-project-accounts.iam.gserviceaccount.com", "kind": "k"}
        if api == "storage" and path.endswith("/storageLayout"):
            return 200, {"bucket": path.split("/")[1], "hierarchicalNamespace": {"enabled": False}}
        if api == "storage" and path.endswith("/iam"):
            return self.policy(method, f"{api}/{path[:-4]}", body)
        if api == "run" and method == "GET" and re.fullmatch(r"v1/projects/[^/]+/locations", path):
            return 200, {"locations": [{"locationId": region} for region in ("us-central1", "europe-west4")]}
        return None

    def tagged(self, method: str, path: str) -> tuple[int, Any]:
        """The answer of a revision under its tag."""
        name, _, route = path.partition("/")
        if name in self.broken:
            return 500, error(500, "The new revision does not work.")
        if route == "predict" and method == "POST":
            return 200, {"predictions": [{"label": "POSITIVE"}]}
        return (200, {"status": "ok"}) if route in ("ready", "health") else (405, error(405, method))

    def services(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if "generateServiceIdentity" in path:
            return 200, {"done": True, "response": {}}
        if path.endswith(("services:batchEnable", ":enable")):
            names = (body or {}).get("serviceIds") or [path.rpartition("/")[2].removesuffix(":enable")]
            self.changes.append((method, f"serviceusage/{path}", sorted(names)))
            self.enabled |= set(names)
            return 200, {"name": "operations/enable", "done": True, "response": {}}
        if path.endswith("/services"):
            return 200, {
                "services": [
                    {"config": {"name": name}, "state": "ENABLED", "name": name} for name in sorted(self.enabled)
                ]
            }
        name = path.rpartition("/")[2]
        return 200, {"name": path, "state": "ENABLED" if name in self.enabled else "DISABLED"}

    def custom(self, method: str, api: str, path: str, verb: str, body: Any) -> tuple[int, Any]:
        if verb in ("getIamPolicy", "setIamPolicy"):
            return self.policy("PUT" if verb == "setIamPolicy" else "GET", f"{api}/{path}", body)
        if (api, verb) == ("pubsub", "publish"):
            self.published += body["messages"]
            return 200, {"messageIds": [str(number) for number in range(len(body["messages"]))]}
        self.unknown.append(f"{method} {api}/{path}:{verb}")
        return 501, error(501, f"{verb} is not implemented")

    def policy(self, method: str, key: str, body: Any) -> tuple[int, Any]:
        api, collection, name = key.split("/")[0], *key.split("/")[-2:]
        ending = f"/{collection}/{name}"
        if collection != "projects" and not any(k.startswith(api) and k.endswith(ending) for k in self.resources):
            return 404, error(404, f"{name} was not found")
        if method == "GET":
            return 200, self.policies.get(key, {"etag": "BwX=", "bindings": []})
        if self.refuse_after is not None and len(self.changes) >= self.refuse_after:
            return 400, error(400, "The deployment is interrupted here.")
        self.policies[key] = {**body.get("policy", body), "etag": "BwX="}
        self.changes.append(("POLICY", key, self.policies[key]))
        return 200, self.policies[key]

    def listed(self, key: str) -> Body:
        anywhere = re.compile(re.escape(key).replace("/\\-/", "/[^/]+/"))  # - matches every location
        entries = [value for name, value in self.resources.items() if anywhere.fullmatch(name.rpartition("/")[0])]
        last = "items" if "/namespaces/" in key else key.rpartition("/")[2]
        return {LISTS.get(last, last): entries, "kind": "list"}

    def completed(self, api: str, key: str, body: Body) -> Body:
        """The resource with the fields that Google adds and gcloud or the scripts read."""
        path = key.partition("/")[2]
        name = path.partition("/")[2]
        short = name.rpartition("/")[2]
        if api == "run" and "/jobs/" in path:
            return self.ready("run.googleapis.com/v1", "Job", body)
        if api == "run":
            return self.service(short, path.split("/")[1], body, self.resources.get(key))
        if api not in ("storage", "bigquery"):
            body = {**body, "name": name} if api != "logging" else body
        if api == "storage":
            kind = {"o": "object", "notificationConfigs": "notification"}.get(path.split("/")[-2], "bucket")
            body = {**body, "metageneration": "1", "generation": "1", "kind": f"storage#{kind}"}
            if kind == "object":  # its name may be in the query only
                link = f"{self.base}/{key}?alt=media"
                body |= {"name": unquote(short), "bucket": path.split("/")[1], "mediaLink": link}
            if kind == "notification":
                body |= {
                    "id": short,
                    "topic": f"//pubsub.googleapis.com/{body['topic'].partition('.com/')[2] or body['topic']}",
                }
        if api == "iam":
            email = f"{short}@{path.split('/')[2]}.iam.gserviceaccount.com" if "@" not in short else short
            body = {"name": name, "email": email, **body.get("serviceAccount", {}), "uniqueId": "1"}
        if api == "cloudfunctions":
            region = path.split("/")[4]
            uri = url(short, region)
            config = {
                **body.get("serviceConfig", {}),
                "uri": uri,
                "service": f"projects/p/locations/l/services/{short}",
            }
            body = {**body, "state": "ACTIVE", "environment": "GEN_2", "serviceConfig": config, "url": uri}
            services = f"run/regions/{region}/apis/serving.knative.dev/v1/namespaces/{path.split('/')[2]}/services"
            before = self.resources.get(f"{services}/{short}")
            self.resources[f"{services}/{short}"] = self.service(short, region, function_service(short, before), before)
        if api == "eventarc" and "/triggers/" in path:
            subscription = f"projects/{path.split('/')[2]}/subscriptions/eventarc-us-central1-{short}-sub-001"
            body = {**body, "transport": {"pubsub": {"subscription": subscription, "topic": f"{name}-topic"}}}
            self.resources.setdefault(f"pubsub/v1/{subscription}", {"name": subscription, "topic": "t"})
        if api == "workflows":
            body = {**body, "state": "ACTIVE", "revisionId": "000001-abc"}
        if api == "logging" and "/sinks/" in path:
            body = {**body, "writerIdentity": f"serviceAccount:service-{NUMBER}@gcp-sa-logging.iam.gserviceaccount.com"}
        if api == "cloudbuild":
            self.push(body["substitutions"]["_IMAGE"])
            body = {
                **body,
                "id": short,
                "projectId": path.split("/")[2],
                "status": "SUCCESS",
                "logUrl": "https://console",
            }
        if api == "billingbudgets":  # which names projects by number
            body = {**body, "budgetFilter": {**body["budgetFilter"], "projects": [f"projects/{NUMBER}"]}}
        if api == "cloudscheduler":
            body = {**body, "state": "ENABLED"}
        return body

    def push(self, image: str) -> None:
        """Adds a built image REGION-docker.pkg.dev/PROJECT/REPOSITORY/NAME:TAG to Artifact Registry."""
        host, project, repository, tagged_name = image.split("/")
        name, tag = tagged_name.split(":")
        region = host.removesuffix("-docker.pkg.dev")
        package = f"v1/projects/{project}/locations/{region}/repositories/{repository}/packages/{name}"
        version = f"{package.removeprefix('v1/')}/versions/sha256:{'0' * 64}"
        self.resources[f"artifactregistry/{package}/tags/{tag}"] = {
            "name": f"{package.removeprefix('v1/')}/tags/{tag}",
            "version": version,
        }

    def service(self, short: str, region: str, body: Body, before: Body | None) -> Body:
        """The service; another template is another revision, which has traffic as far as the service says."""
        template = body["spec"]["template"]
        traffic = body["spec"].get("traffic") or [{"latestRevision": True, "percent": 100}]
        made = self.ready("serving.knative.dev/v1", "Service", {**body, "spec": {**body["spec"], "traffic": traffic}})
        latest = before["status"]["latestReadyRevisionName"] if before else f"{short}-00000"
        if before is None or template != before["spec"]["template"]:
            numbered = re.search(rf"{short}-(\d+)", latest)
            number = int(numbered[1]) if numbered else 0
            latest = template.get("metadata", {}).get("name") or f"{short}-{number + 1:05}"
        made["status"] |= {
            "url": url(short, region),
            "latestReadyRevisionName": latest,
            "latestCreatedRevisionName": latest,
            "traffic": [
                {
                    **entry,
                    "revisionName": latest if entry.get("latestRevision") else entry["revisionName"],
                    **({"url": f"{self.base}/tagged/{short}"} if "tag" in entry else {}),
                }
                for entry in traffic
            ],
        }
        return made

    def ready(self, version: str, kind: str, body: Body) -> Body:
        """A resource of Cloud Run that is ready."""
        conditions = [{"type": name, "status": "True"} for name in ("Ready", "ConfigurationsReady", "RoutesReady")]
        return {
            **body,
            "apiVersion": version,
            "kind": kind,
            "metadata": {**body.get("metadata", {}), "generation": 1, "resourceVersion": "1", "selfLink": "s"},
            "status": {"observedGeneration": 1, "conditions": conditions if kind == "Service" else conditions[:1]},
        }

    def done(self, api: str, resource: Body) -> Body:
        if api not in OPERATIONS:
            return resource
        return {
            "name": "projects/p/locations/us-central1/operations/1",
            "done": True,
            "response": resource,
            "metadata": {"build": resource},
        }


def merged(before: Body, patch: Body) -> Body:
    """The resource after a patch, in which null deletes a field."""
    return {name: value for name, value in {**before, **patch}.items() if value is not None}


def function_service(short: str, before: Body | None) -> Body:
    """The service of Cloud Run that runs a function: each deployment is a revision, which has traffic as before."""
    deployments = int(before["metadata"]["annotations"]["deployments"]) + 1 if before else 1
    traffic = {"traffic": before["spec"]["traffic"]} if before else {}
    container = {"image": f"{short}:build-{deployments}", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}
    template = {
        "metadata": {"annotations": {"autoscaling.knative.dev/maxScale": "1"}},
        "spec": {"containers": [container]},
    }
    return {
        "metadata": {"name": short, "namespace": NUMBER, "annotations": {"deployments": str(deployments)}},
        "spec": {"template": template, **traffic},
    }


def is_collection(api: str, path: str) -> bool:
    """Whether a path ends with a collection: after the version, collections and names alternate."""
    parts = path.split("/")
    if api == "storage":
        return parts[-1] in ("b", "o", "managedFolders", "notificationConfigs")
    if api == "bigquery":
        return parts[-1] == "datasets"
    return len(parts) % 2 == 0


def created_id(path: str, query: dict[str, str], body: Any) -> str:
    if path.startswith("b/") and path.endswith("/o"):
        return quote(query.get("name") or body["name"], safe="")
    for parameter, value in query.items():
        if parameter.lower().endswith("id") and parameter not in ("userProject", "requestId"):
            return value
    body = body if isinstance(body, dict) else {}
    name = body.get("accountId") or body.get("name") or body.get("metadata", {}).get("name") or query.get("name")
    if name and "accountId" in body:
        return f"{name}@{path.split('/')[2]}.iam.gserviceaccount.com"
    if "datasetReference" in body:
        name = body["datasetReference"]["datasetId"]
    return str(name or "").rpartition("/")[2]


def error(code: int, message: str) -> Body:
    status = {404: "NOT_FOUND", 409: "ALREADY_EXISTS", 400: "INVALID_ARGUMENT"}.get(code, "UNIMPLEMENTED")
    return {
        "error": {
            "code": code,
            "message": message,
            "status": status,
            "errors": [{"message": message, "reason": status}],
        }
    }
