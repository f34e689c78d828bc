"""No method of an API is left without a permission."""

import asyncio

import httpx
import pytest

from emulator import access
from emulator.cloud_run_jobs import Jobs
from emulator.cloud_scheduler import Scheduler
from emulator.googleapi.errors import PermissionDeniedError
from emulator.googleapi.methods import OPEN, json_method, methods
from emulator.iam.authority import Authority
from emulator.iam.policies import Policies
from emulator.pubsub.policies import Policies as PubSubPolicies
from emulator.pubsub.publisher import Publisher
from emulator.pubsub.subscriber import Subscriber
from emulator.server import Emulator
from emulator.storage.api.application import app
from emulator.storage.store import Store
from emulator.vertex_ai.endpoints import Endpoints
from emulator.vertex_ai.models import Models
from emulator.workflows_api.deployments import Deployments
from emulator.workflows_api.executions import Executions
from emulator.workflows_api.operations import Locations, Operations


@pytest.mark.parametrize(
    "api",
    [Publisher, Subscriber, PubSubPolicies, Deployments, Executions, Operations, Jobs, Scheduler, Models, Endpoints],
)
def test_every_method_names_its_permission(api: type) -> None:
    """Those of IAM itself are named in the functions, since they depend on the kind of the resource."""
    declared = methods(object.__new__(api))
    assert all(each.needs for each in declared)
    by_themselves = {each.rpc for each in declared if each.needs == OPEN}
    assert by_themselves <= {"GetIamPolicy", "SetIamPolicy", "TestIamPermissions"}


def test_locations_too() -> None:
    assert all(each.needs for each in methods(Locations("l")))


def test_without_a_grant_no_route_of_cloud_storage_answers(running: Emulator) -> None:
    nobody = httpx.Client(base_url=f"http://{running.accounts['nobody'].http}")
    values = {
        "bucket": "files",
        "object": "kept",
        "id": "1",
        "project": "p",
        "to_bucket": "files",
        "to_object": "new",
    }
    bodies = {"compose": {"sourceObjects": [{"name": "kept"}]}, "b": {"name": "new-bucket"}}
    bodies["notificationConfigs"] = {"topic": "projects/p/topics/news"}
    query = "?project=p&uploadType=media&name=new&ifMetagenerationMatch=1"
    allowed = []
    for route in app(Store()).routes:
        path, verbs = str(getattr(route, "path", "")), set(getattr(route, "methods", None) or ())
        if "{rest" in path or path.startswith(("/batch", "/b/", "/b")) or path.endswith("/testPermissions"):
            continue  # without a handler, or with the same handler elsewhere, or for everyone
        for verb in sorted(verbs - {"HEAD"}):
            if "upload/" in path and verb != "POST":
                continue  # needs a session
            if "{object:path}" in path and verb == "POST":
                continue  # the XML API tells its requests apart by further parameters
            body = bodies.get(path.rpartition("/")[2], {})
            answer = nobody.request(verb, path.replace(":path", "").format(**values) + query, json=body)
            if answer.status_code not in {403, 501}:
                allowed.append((verb, path, answer.status_code, answer.text))
    assert not allowed


class Undeclared:
    @json_method("GET /v1/{name=projects/*}")
    def get(self, name: str) -> dict[str, str]:
        return {"name": name}


def test_a_method_that_names_none_is_the_developers_alone() -> None:
    (method,) = methods(Undeclared())
    call = method.call_json({}, {"name": "projects/p"})
    assert asyncio.run(call) == {"name": "projects/p"}

    async def call_as_nobody() -> None:
        access.CALLER.set(Authority(Policies("p")).account("nobody@p.iam.gserviceaccount.com"))
        await method.call_json({}, {"name": "projects/p"})

    with pytest.raises(PermissionDeniedError, match=r"emulator\.methods\.call"):
        asyncio.run(call_as_nobody())
