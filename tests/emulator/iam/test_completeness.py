"""No method of an API is left without a permission."""

import httpx
import pytest

from emulator.cloud_run_jobs import Jobs
from emulator.googleapi.methods import methods
from emulator.pubsub.policies import Policies
from emulator.pubsub.publisher import Publisher
from emulator.pubsub.subscriber import Subscriber
from emulator.server import Emulator
from emulator.storage.api.application import app
from emulator.storage.store import Store
from emulator.workflows_api.deployments import Deployments
from emulator.workflows_api.executions import Executions
from emulator.workflows_api.operations import Locations, Operations


@pytest.mark.parametrize("api", [Publisher, Subscriber, Policies, Deployments, Executions, Operations, Jobs])
def test_every_method_names_its_permission(api: type) -> None:
    """Those of IAM itself are named in the functions, since they depend on the kind of the resource."""
    silent = {each.rpc for each in methods(object.__new__(api)) if not each.needs}
    assert silent <= {"GetIamPolicy", "SetIamPolicy", "TestIamPermissions"}


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
            if answer.status_code != 403:
                allowed.append((verb, path, answer.status_code, answer.text))
    assert not allowed
