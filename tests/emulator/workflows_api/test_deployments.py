"""The management API over REST: deployments, revisions, operations, locations."""

import pytest

GOOD = "main: {steps: [{done: {return: 1}}]}"
SOURCE = {"sourceContents": GOOD}
NEW = "/workflows?workflowId=new"


def test_a_workflow_as_it_was_deployed(rest, deploy):
    fields = {
        "description": "what it is for",
        "labels": {"team": "ml"},
        "callLogLevel": "LOG_ALL_CALLS",
        "userEnvVars": {"URL": "http://a"},
        "executionHistoryLevel": 2,  # clients may send enums as numbers
    }
    workflow = deploy(GOOD, **fields)
    got = rest.get(f"/workflows/{workflow}").json()
    assert got["name"] == f"projects/local-project/locations/us-central1/workflows/{workflow}"
    assert got["state"] == "ACTIVE"
    assert got["sourceContents"] == GOOD
    assert got["serviceAccount"].startswith("projects/local-project/serviceAccounts/")
    assert got["createTime"] == got["updateTime"] == got["revisionCreateTime"]
    assert {key: got[key] for key in fields} == {**fields, "executionHistoryLevel": "EXECUTION_HISTORY_DETAILED"}


def test_updates_that_create_a_revision(rest, deploy):
    workflow = deploy(GOOD)

    def patched(mask, **fields):
        answer = rest.patch(f"/workflows/{workflow}", params={"updateMask": mask} if mask else {}, json=fields)
        return answer.json()["response"]

    assert patched("description,labels", description="x", labels={"a": "b"})["revisionId"].startswith("000001-")
    assert patched("call_log_level", callLogLevel="LOG_NONE")["callLogLevel"] == "LOG_NONE"
    assert patched("sourceContents", sourceContents=GOOD)["revisionId"].startswith("000001-")
    assert patched("userEnvVars", userEnvVars={"A": "1"})["revisionId"].startswith("000002-")
    assert (
        patched("serviceAccount", serviceAccount="a@b")["serviceAccount"]
        == "projects/local-project/serviceAccounts/a@b"
    )
    newest = patched(None, sourceContents=GOOD.replace("1", "2"))
    assert newest["revisionId"].startswith("000004-")
    assert newest["description"] == "x"
    assert newest["userEnvVars"] == {"A": "1"}
    assert "labels" not in patched("labels")

    revisions = rest.get(f"/workflows/{workflow}:listRevisions").json()["workflows"]
    assert [revision["revisionId"][:6] for revision in revisions] == ["000004", "000003", "000002", "000001"]
    first = rest.get(f"/workflows/{workflow}", params={"revisionId": revisions[-1]["revisionId"]}).json()
    assert (first["sourceContents"], "userEnvVars" in first) == (GOOD, False)
    page = rest.get(f"/workflows/{workflow}:listRevisions", params={"pageSize": 3}).json()
    params = {"pageSize": 3, "pageToken": page["nextPageToken"]}
    rest_of_them = rest.get(f"/workflows/{workflow}:listRevisions", params=params).json()
    assert page["workflows"] + rest_of_them["workflows"] == revisions


def test_source_that_does_not_compile_fails_the_operation(rest):
    source = "main:\n  steps:\n    - a:\n        return: ${nowhere}\n"
    answer = rest.post("/workflows", params={"workflowId": "bad"}, json={"sourceContents": source})
    operation = answer.json()
    assert answer.status_code == 200
    assert operation["done"] is True
    assert operation["error"]["code"] == 3
    assert operation["error"]["message"].startswith("main.yaml:4:")
    assert "nowhere" in operation["error"]["message"]
    assert rest.get("/workflows/bad").status_code == 404


def test_failed_update_keeps_the_revision(rest, deploy):
    workflow = deploy(GOOD)
    operation = rest.patch(f"/workflows/{workflow}", json={"sourceContents": "main: {steps: [{a: {call: nowhere}}]}"})
    assert operation.json()["error"]["code"] == 3
    assert rest.get(f"/workflows/{workflow}").json()["sourceContents"] == GOOD


def test_operations_can_be_polled_listed_and_deleted(rest):
    operation = rest.post("/workflows", params={"workflowId": "polled"}, json=SOURCE).json()
    path = "/operations/" + operation["name"].split("/operations/")[1]
    assert rest.get(path).json() == operation
    assert operation["metadata"]["verb"] == "create"
    assert operation["metadata"]["target"] == operation["response"]["name"]
    assert operation in rest.get("/operations").json()["operations"]
    assert rest.delete(path).json() == {}
    assert rest.get(path).json()["error"]["status"] == "NOT_FOUND"


def test_deleting_a_workflow_deletes_its_executions(rest, deploy, finish):
    workflow = deploy(GOOD)
    name = rest.post(f"/workflows/{workflow}/executions", json={}).json()["name"]
    finish(name)
    sleeping = rest.patch(
        f"/workflows/{workflow}", json={"sourceContents": "- a: {call: sys.sleep, args: {seconds: 900}}"}
    )
    assert "error" not in sleeping.json()
    running = rest.post(f"/workflows/{workflow}/executions", json={}).json()["name"]
    assert rest.delete(f"/workflows/{workflow}").json()["metadata"]["verb"] == "delete"
    assert rest.get(f"/workflows/{workflow}").status_code == 404
    for gone in (name, running):
        assert rest.get("/workflows/" + gone.split("/workflows/")[1]).status_code == 404
    again = rest.post("/workflows", params={"workflowId": workflow}, json=SOURCE).json()
    assert again["response"]["revisionId"].startswith("000001-")


def test_lists(rest, cloud, deploy):
    for name, team in (("list-b", "x"), ("list-a", "y"), ("list-c", "x")):
        deploy(GOOD, name, labels={"listed": team})

    def names(**params):
        page = rest.get("/workflows", params=params).json()
        return [workflow["name"].rsplit("/", 1)[1] for workflow in page["workflows"]], page.get("nextPageToken")

    assert names(filter="labels.listed=x")[0] == ["list-b", "list-c"]
    assert names(filter="labels:listed", orderBy="createTime desc")[0] == ["list-c", "list-a", "list-b"]
    first, token = names(filter="labels:listed", pageSize=2)
    second, end = names(filter="labels:listed", pageSize=2, pageToken=token)
    assert (first, second, end) == (["list-a", "list-b"], ["list-c"], None)


def test_locations(rest, cloud):
    base = str(rest.base_url).rstrip("/")
    assert rest.get(base).json()["locationId"] == "us-central1"
    listed = rest.get(base.removesuffix("/us-central1")).json()["locations"]
    assert [location["name"] for location in listed] == ["projects/local-project/locations/us-central1"]


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "status"),
    [
        ("POST", "/workflows?workflowId=taken", SOURCE, 409, "ALREADY_EXISTS"),
        ("POST", "/workflows?workflowId=1st", SOURCE, 400, "INVALID_ARGUMENT"),
        ("POST", "/workflows", SOURCE, 400, "INVALID_ARGUMENT"),
        ("POST", NEW, {}, 400, "INVALID_ARGUMENT"),
        ("POST", NEW, {"sourceContents": "#" * 131073}, 400, "INVALID_ARGUMENT"),
        ("POST", NEW, {**SOURCE, "labels": {"A": ""}}, 400, "INVALID_ARGUMENT"),
        (
            "POST",
            NEW,
            {**SOURCE, "description": "x" * 1001},
            400,
            "INVALID_ARGUMENT",
        ),
        (
            "POST",
            NEW,
            {**SOURCE, "userEnvVars": {"GOOGLE_A": ""}},
            400,
            "INVALID_ARGUMENT",
        ),
        ("POST", NEW, {**SOURCE, "colour": "red"}, 400, "INVALID_ARGUMENT"),
        ("POST", NEW, {"sourceContents": 1}, 400, "INVALID_ARGUMENT"),
        ("GET", "/workflows/nope", None, 404, "NOT_FOUND"),
        ("GET", "/workflows/taken?revisionId=000009-abc", None, 404, "NOT_FOUND"),
        ("PATCH", "/workflows/nope", SOURCE, 404, "NOT_FOUND"),
        ("PATCH", "/workflows/taken?updateMask=colour", {}, 400, "INVALID_ARGUMENT"),
        ("PATCH", "/workflows/taken?updateMask=sourceContents", {}, 400, "INVALID_ARGUMENT"),
        ("DELETE", "/workflows/nope", None, 404, "NOT_FOUND"),
        ("GET", "/workflows/nope:listRevisions", None, 404, "NOT_FOUND"),
        ("GET", "/workflows?pageToken=x", None, 400, "INVALID_ARGUMENT"),
        ("GET", "/workflows?filter=colour=red", None, 400, "INVALID_ARGUMENT"),
        ("GET", f"/workflows?filter={'(' * 3000}state=ACTIVE", None, 400, "INVALID_ARGUMENT"),
        ("GET", "/operations/nope", None, 404, "NOT_FOUND"),
    ],
)
def test_errors(rest, method, path, body, code, status):
    rest.post("/workflows", params={"workflowId": "taken"}, json=SOURCE)
    answer = rest.request(method, path, json=body) if body is not None else rest.request(method, path)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["status"]) == (code, code, status)
    assert error["message"]
    assert rest.get("/workflows/new").status_code == 404
