"""The Model Registry: versions, aliases, and what is refused."""

from typing import Any

import pytest

from tests.emulator.vertex_ai.conftest import IMAGE, LOCATION, Vertex

MODEL = f"{LOCATION}/models/m"


def aliases(vertex: Vertex, model: str = MODEL) -> dict[str, list[str]]:
    listed = vertex.call("GET", f"{model}:listVersions")["models"]
    return {version["versionId"]: version["versionAliases"] for version in listed}


def test_the_first_version_is_the_default(vertex: Vertex) -> None:
    operation = vertex.upload(versionAliases=["stable"])
    assert operation["done"]
    assert operation["response"]["model"] == MODEL
    assert operation["response"]["modelVersionId"] == "1"
    model = vertex.call("GET", MODEL)
    assert model["versionAliases"] == ["stable", "default"]
    assert model["supportedDeploymentResourcesTypes"] == ["DEDICATED_RESOURCES"]
    assert vertex.call("GET", f"{MODEL}@stable") == model == vertex.call("GET", f"{MODEL}@1")


def test_versions_count_on_and_take_their_aliases_from_others(vertex: Vertex) -> None:
    vertex.upload(versionAliases=["stable"])
    vertex.version("m", versionAliases=["candidate"])
    vertex.version("m", versionAliases=["candidate", "default"])
    assert aliases(vertex) == {"1": ["stable"], "2": [], "3": ["candidate", "default"]}
    vertex.call("DELETE", f"{MODEL}@2:deleteVersion")
    assert vertex.version("m")["response"]["modelVersionId"] == "4"


def test_aliases_are_merged(vertex: Vertex) -> None:
    vertex.upload(versionAliases=["stable"])
    vertex.version("m", versionAliases=["candidate"])
    merged = vertex.call("POST", f"{MODEL}@2:mergeVersionAliases", {"versionAliases": ["stable", "-candidate"]})
    assert merged["versionAliases"] == ["stable"]
    assert aliases(vertex) == {"1": ["default"], "2": ["stable"]}
    both = vertex.call("POST", f"{MODEL}@2:mergeVersionAliases", {"versionAliases": ["new", "-new"]})
    assert both["versionAliases"] == ["stable"]
    refused = vertex.call("POST", f"{MODEL}@1:mergeVersionAliases", {"versionAliases": ["-default"]})
    assert refused["error"]["status"] == "FAILED_PRECONDITION"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"displayName": ""}, "displayName is required"),
        ({"containerSpec": {}}, "imageUri is required"),
        ({"containerSpec": {"imageUri": "nginx"}}, r"add an entry to `containers` of the stack file"),
        ({"containerSpec": {"imageUri": IMAGE, "command": ["sh"]}}, "containerSpec.command is not emulated"),
        ({"artifactUri": "/models"}, "must begin with gs://"),
        ({"artefactUri": "gs://b"}, "Unknown name \"artefactUri\" at 'model'"),
        ({"versionAliases": ["Stable"]}, "'Stable' is not a version alias"),
        ({"versionAliases": ["1"]}, "'1' is not a version alias"),
    ],
)
def test_what_cannot_be_served_is_refused(vertex: Vertex, fields: dict[str, Any], message: str) -> None:
    assert message in vertex.upload(**fields)["error"]["message"]
    assert vertex.call("GET", f"{LOCATION}/models") == {"models": []}


def test_ids_are_unique_and_well_formed(vertex: Vertex) -> None:
    vertex.upload()
    assert vertex.upload()["error"]["status"] == "ALREADY_EXISTS"
    assert vertex.upload("M!")["error"]["status"] == "INVALID_ARGUMENT"
    assert vertex.version("missing")["error"]["status"] == "NOT_FOUND"


def test_lists_show_default_versions_and_take_filters_and_pages(vertex: Vertex) -> None:
    for name in ("a", "b", "c"):
        vertex.upload(name, labels={"team": name})
    vertex.version("a", versionAliases=["default"])
    listed = vertex.call("GET", f"{LOCATION}/models")["models"]
    assert [(model["displayName"], model["versionId"]) for model in listed] == [("c", "1"), ("b", "1"), ("a", "2")]
    found = vertex.call("GET", f"{LOCATION}/models", filter='display_name="b" OR labels.team=c', orderBy="display_name")
    assert [model["displayName"] for model in found["models"]] == ["b", "c"]
    page = vertex.call("GET", f"{LOCATION}/models", pageSize="2")
    rest = vertex.call("GET", f"{LOCATION}/models", pageSize="2", pageToken=page["nextPageToken"])
    assert [model["displayName"] for model in rest["models"]] == ["a"]
    assert vertex.call("GET", "projects/p/locations/europe-west4/models") == {"models": []}


def test_fields_of_the_mask_change(vertex: Vertex) -> None:
    vertex.upload(description="old", labels={"a": "b"})
    changed = {"displayName": "new", "description": "ignored"}
    model = vertex.call("PATCH", MODEL, changed, updateMask="display_name,labels")
    assert (model["displayName"], model["description"]) == ("new", "old")
    assert "labels" not in model
    assert "updateMask" in vertex.call("PATCH", MODEL, changed, updateMask="artifactUri")["error"]["message"]
    assert "updateMask" in vertex.call("PATCH", MODEL, changed)["error"]["message"]


def test_what_is_deployed_default_or_last_is_not_deleted(vertex: Vertex) -> None:
    vertex.upload()
    assert "only version" in vertex.call("DELETE", f"{MODEL}@1:deleteVersion")["error"]["message"]
    vertex.version("m")
    assert "default" in vertex.call("DELETE", f"{MODEL}@1:deleteVersion")["error"]["message"]
    endpoint = vertex.endpoint()
    vertex.deploy(endpoint, "m@2", id="7")
    assert vertex.call("GET", f"{MODEL}@2")["deployedModels"] == [{"endpoint": endpoint, "deployedModelId": "7"}]
    assert "is deployed to" in vertex.call("DELETE", f"{MODEL}@2:deleteVersion")["error"]["message"]
    assert "is deployed to" in vertex.call("DELETE", MODEL)["error"]["message"]
    vertex.done(vertex.call("POST", f"{endpoint}:undeployModel", {"deployedModelId": "7"}))
    assert vertex.call("DELETE", MODEL)["done"]
    assert vertex.call("GET", MODEL)["error"]["code"] == 404
