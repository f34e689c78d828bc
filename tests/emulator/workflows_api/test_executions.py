"""The Executions API over REST: results, errors, views, filters, pages, histories."""

import json

import httpx
import pytest
from google.auth import jwt

WAITS = """
main:
  steps:
    - open:
        call: http.get
        args: {url: "${sys.get_env(\\"BASE\\") + \\"/gate\\"}"}
"""


def start(rest, workflow, **execution):
    answer = rest.post(f"/workflows/{workflow}/executions", json=execution)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_an_execution_succeeds_with_its_result(rest, deploy, finish):
    workflow = deploy(
        "main: {params: [a], steps: [{done: {return: '${a.n + 1}'}}]}", labels={"team": "ml", "env": "dev"}
    )
    created = start(rest, workflow, argument='{"n": 1}', labels={"env": "prod"}, callLogLevel="LOG_ERRORS_ONLY")
    assert created["state"] == "ACTIVE"
    assert created["startTime"] == created["createTime"]
    done = finish(created["name"])
    assert done["state"] == "SUCCEEDED"
    assert done["result"] == "2"
    assert done["argument"] == '{"n": 1}'
    assert done["labels"] == {"team": "ml", "env": "prod"}
    assert done["callLogLevel"] == "LOG_ERRORS_ONLY"
    assert done["status"] == {"currentSteps": [{"routine": "main", "step": "done"}]}
    assert done["duration"].endswith("s")
    assert done["workflowRevisionId"].startswith("000001-")
    assert "error" not in done


def test_a_missing_argument_is_null(rest, deploy, finish):
    workflow = deploy("main: {params: [a], steps: [{done: {return: '${a == null}'}}]}")
    done = finish(start(rest, workflow)["name"])
    assert (done["argument"], done["result"]) == ("null", "true")


def test_a_failure_carries_payload_context_and_trace(rest, deploy, finish):
    workflow = deploy("main:\n  steps:\n    - boom:\n        raise:\n          code: 7\n          message: no luck\n")
    failed = finish(start(rest, workflow)["name"])
    assert failed["state"] == "FAILED"
    assert json.loads(failed["error"]["payload"]) == {"code": 7, "message": "no luck"}
    assert 'in step "boom", routine "main", line: 4' in failed["error"]["context"]
    (frame,) = failed["error"]["stackTrace"]["elements"]
    assert (frame["step"], frame["routine"], frame["position"]["line"]) == ("boom", "main", "4")
    assert "result" not in failed


def test_views(rest, deploy, finish):
    workflow = deploy("main: {steps: [{done: {return: 1}}]}")
    name = start(rest, workflow)["name"]
    finish(name)
    path = "/workflows/" + name.split("/workflows/")[1]
    basic = {"name", "startTime", "endTime", "duration", "state", "workflowRevisionId"}
    assert set(rest.get(path, params={"view": "BASIC"}).json()) == basic
    assert set(rest.get(f"/workflows/{workflow}/executions").json()["executions"][0]) == basic
    listed = rest.get(f"/workflows/{workflow}/executions", params={"view": "FULL"}).json()["executions"]
    assert listed == [rest.get(path).json()]


def test_lists_are_newest_first_and_pages_do_not_shift(rest, deploy, finish):
    workflow = deploy("main: {params: [n], steps: [{done: {return: '${n}'}}]}")
    names = [start(rest, workflow, argument=str(n))["name"] for n in range(5)]
    for name in names:
        finish(name)
    first = rest.get(f"/workflows/{workflow}/executions", params={"pageSize": 2}).json()
    finish(start(rest, workflow, argument="99")["name"])
    listed, page = [], first
    while True:
        listed += [execution["name"] for execution in page["executions"]]
        if "nextPageToken" not in page:
            break
        params = {"pageSize": 2, "pageToken": page["nextPageToken"]}
        page = rest.get(f"/workflows/{workflow}/executions", params=params).json()
    assert listed == names[::-1]


FAILS_ABOVE_TWO = """
main:
  params: [n]
  steps:
    - look: {switch: [{condition: "${n > 2}", raise: too big}]}
    - done: {return: "${n}"}
"""


def test_a_failed_execution_is_told_with_its_step_and_cause(rest, deploy, finish, caplog):
    workflow = deploy(FAILS_ABOVE_TWO)
    for number in (1, 3):
        execution = finish(start(rest, workflow, argument=str(number))["name"])
    (warning,) = [record for record in caplog.records if record.message == "execution failed"]
    assert (warning.levelname, warning.workflow, warning.step, warning.line) == ("WARNING", workflow, "look", 5)
    assert "too big" in warning.cause
    assert execution["name"].endswith(warning.execution)


def test_filters_and_order(rest, deploy, finish):
    workflow = deploy(FAILS_ABOVE_TWO)
    for n in range(5):
        finish(start(rest, workflow, argument=str(n), labels={"n": str(n)})["name"])

    def found(filter, **params):
        page = rest.get(f"/workflows/{workflow}/executions", params={"filter": filter, "view": "FULL", **params}).json()
        return [json.loads(execution["argument"]) for execution in page["executions"]]

    assert found('state="FAILED"') == [4, 3]
    assert found("labels.n=1") == found("label.n=1") == [1]
    assert found('state=SUCCEEDED AND startTime>"2020-01-01"', orderBy="createTime") == [0, 1, 2]
    assert found("", orderBy="state desc, startTime asc") == [0, 1, 2, 3, 4]
    assert found('stepName="look"') == [4, 3]
    assert found("duration>3600s") == []
    paged = rest.get(f"/workflows/{workflow}/executions", params={"filter": "state=SUCCEEDED", "pageSize": 2}).json()
    assert len(paged["executions"]) == 2
    params = {"filter": "state=SUCCEEDED", "pageSize": 2, "pageToken": paged["nextPageToken"]}
    last = rest.get(f"/workflows/{workflow}/executions", params=params).json()
    assert len(last["executions"]) == 1
    assert "nextPageToken" not in last


def test_cancelling(rest, cloud, deploy):
    workflow = deploy(WAITS, userEnvVars={"BASE": cloud.http})
    created = start(rest, workflow)
    path = "/workflows/" + created["name"].split("/workflows/")[1]
    cancelled = rest.post(f"{path}:cancel")
    assert cancelled.json()["state"] == "CANCELLED"
    assert rest.get(path).json()["state"] == "CANCELLED"
    again = rest.post(f"{path}:cancel")
    assert again.status_code == 400
    assert again.json()["error"]["status"] == "FAILED_PRECONDITION"


def test_the_running_step_is_reported(rest, cloud, deploy):
    workflow = deploy(WAITS, userEnvVars={"BASE": cloud.http})
    path = "/workflows/" + start(rest, workflow)["name"].split("/workflows/")[1]
    for _ in range(200):
        running = rest.get(path).json()
        if "status" in running:
            break
    assert running["state"] == "ACTIVE"
    assert running["status"]["currentSteps"] == [{"routine": "main", "step": "open"}]
    (entry,) = rest.get(f"{path}/stepEntries").json()["stepEntries"]
    assert (entry["stepType"], entry["state"]) == ("STEP_CALL", "STATE_IN_PROGRESS")
    refused = rest.post(f"{path}:deleteExecutionHistory")
    assert refused.json()["error"]["status"] == "FAILED_PRECONDITION"
    rest.post(f"{path}:cancel")
    (entry,) = rest.get(f"{path}/stepEntries").json()["stepEntries"]
    assert entry["state"] == "STATE_CANCELLED"


HISTORY = """
main:
  params: [n]
  steps:
    - set:
        assign: [{total: 0}]
    - loop:
        for:
          value: v
          in: [1, 2, 3]
          steps:
            - add: {assign: [{total: "${total + v}"}]}
    - guard:
        try:
          steps: [{boom: {raise: oops}}]
        except:
          as: e
          steps: [{note: {assign: [{error: "${e}"}]}}]
    - ask: {call: helper, args: {x: 2}, result: doubled}
    - end: {return: "${total + doubled}"}
helper:
  params: [x]
  steps: [{answer: {return: "${x * 2}"}}]
"""


def test_step_entries(rest, deploy, finish):
    workflow = deploy(HISTORY)
    done = finish(start(rest, workflow)["name"])
    assert done["result"] == "10"
    path = "/workflows/" + done["name"].split("/workflows/")[1] + "/stepEntries"
    listed = rest.get(path).json()
    entries = listed["stepEntries"]
    assert listed["totalSize"] == len(entries)
    assert [int(entry["entryId"]) for entry in entries] == sorted(int(entry["entryId"]) for entry in entries)
    kinds = {entry["step"]: entry["stepType"] for entry in entries}
    assert (kinds["set"], kinds["boom"], kinds["end"]) == ("STEP_ASSIGN", "STEP_RAISE", "STEP_RETURN")
    assert [entry["step"] for entry in entries].count("add") == 3
    (boom,) = [entry for entry in entries if entry["step"] == "boom"]
    assert boom["state"] == "STATE_FAILED"
    assert json.loads(boom["exception"]["payload"]) == "oops"
    (answer,) = [entry for entry in entries if entry["step"] == "answer"]
    assert answer["routine"] == "helper"
    (ask,) = [entry for entry in entries if entry["step"] == "ask" and "parent" not in entry.get("navigationInfo", {})]
    assert answer["navigationInfo"]["parent"] == ask["entryId"]
    assert answer["entryId"] in ask["navigationInfo"]["children"]
    assert rest.get(f"{path}/{answer['entryId']}").json() == answer
    assert rest.get(f"{path}/999").status_code == 404

    failed = rest.get(path, params={"filter": "state=FAILED"}).json()["stepEntries"]
    assert boom in failed
    assert {entry["state"] for entry in failed} == {"STATE_FAILED"}
    page = rest.get(path, params={"pageSize": 2, "skip": 1, "orderBy": "entryId desc"}).json()
    assert [entry["entryId"] for entry in page["stepEntries"]] == [entry["entryId"] for entry in entries[-2:-4:-1]]
    exported = json.loads(rest.get(path.replace("/stepEntries", ":exportData")).json()["data"])
    assert exported == {"execution": done, "stepEntries": entries}
    assert rest.post(path.replace("/stepEntries", ":deleteExecutionHistory")).json() == {}
    assert rest.get(path).json()["totalSize"] == 0


def test_variables_are_part_of_a_detailed_history(rest, deploy, finish):
    workflow = deploy("[{set: {assign: [{x: [1, {a: b}]}]}}]", executionHistoryLevel="EXECUTION_HISTORY_DETAILED")
    started = rest.post(f"/workflows/{workflow}/executions", json={}).json()
    path = "/workflows/" + finish(started["name"])["name"].split("/workflows/")[1] + "/stepEntries"
    for view in ("", "EXECUTION_ENTRY_VIEW_UNSPECIFIED", "EXECUTION_ENTRY_VIEW_DETAILED"):
        (entry,) = rest.get(path, params={"view": view}).json()["stepEntries"]
        assert entry["variableData"] == {"variables": {"x": [1, {"a": "b"}]}}
        assert rest.get(f"{path}/1", params={"view": view}).json() == entry
    (entry,) = rest.get(path, params={"view": "EXECUTION_ENTRY_VIEW_BASIC"}).json()["stepEntries"]
    assert "variableData" not in entry
    assert rest.get(path, params={"view": "FULL"}).status_code == 400

    level = {"executionHistoryLevel": "EXECUTION_HISTORY_BASIC"}
    basic = finish(rest.post(f"/workflows/{workflow}/executions", json=level).json()["name"])
    path = "/workflows/" + basic["name"].split("/workflows/")[1] + "/stepEntries"
    assert "variableData" not in rest.get(path).json()["stepEntries"][0]


def test_a_pubsub_push_becomes_the_argument(rest, deploy, finish):
    workflow = deploy("main: {params: [event], steps: [{done: {return: '${event}'}}]}")
    push = {
        "subscription": "projects/p/subscriptions/s",
        "message": {"messageId": "17", "data": "aGk=", "publishTime": "2026-01-01T00:00:00Z"},
        "deliveryAttempt": 2,
    }
    params = {"__GCP_CloudEventsMode": "CUSTOM_PUBSUB_projects/p/topics/t"}
    created = rest.post(f"/workflows/{workflow}:triggerPubsubExecution", json=push, params=params).json()
    event = json.loads(finish(created["name"])["result"])
    assert event["id"] == "17"
    assert event["type"] == "google.cloud.pubsub.topic.v1.messagePublished"
    assert event["source"] == "//pubsub.googleapis.com/projects/p/topics/t"
    assert event["data"] == {"subscription": push["subscription"], "message": push["message"]}


def test_an_execution_stays_with_the_revision_that_it_began_with(rest, cloud, deploy, finish):
    workflow = deploy(WAITS + "    - done: {return: old}\n", userEnvVars={"BASE": cloud.http})
    old = start(rest, workflow)
    patched = rest.patch(f"/workflows/{workflow}", json={"sourceContents": "main: {steps: [{done: {return: new}}]}"})
    assert patched.json()["response"]["revisionId"].startswith("000002-")
    new = finish(start(rest, workflow)["name"])
    assert (json.loads(new["result"]), new["workflowRevisionId"][:6]) == ("new", "000002")
    cloud.open_gate()
    ended = finish(old["name"])
    cloud.close_gate()
    assert (json.loads(ended["result"]), ended["workflowRevisionId"][:6]) == ("old", "000001")


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "status"),
    [
        ("POST", "/workflows/nope/executions", {}, 404, "NOT_FOUND"),
        ("GET", "/workflows/nope/executions", None, 404, "NOT_FOUND"),
        ("GET", "/workflows/ok/executions/nope", None, 404, "NOT_FOUND"),
        ("POST", "/workflows/ok/executions/nope:cancel", {}, 404, "NOT_FOUND"),
        ("GET", "/workflows/ok/executions/nope/stepEntries", None, 404, "NOT_FOUND"),
        ("GET", "/workflows/ok/executions/nope/callbacks", None, 404, "NOT_FOUND"),
        ("POST", "/workflows/ok/executions/nope/callbacks/x", {}, 404, "NOT_FOUND"),
        ("POST", "/workflows/ok/executions", {"argument": "{"}, 400, "INVALID_ARGUMENT"),
        ("POST", "/workflows/ok/executions", {"argument": "NaN"}, 400, "INVALID_ARGUMENT"),
        ("POST", "/workflows/ok/executions", {"argument": f'"{"x" * 32768}"'}, 400, "INVALID_ARGUMENT"),
        ("POST", "/workflows/ok/executions", {"argument": {"n": 1}}, 400, "INVALID_ARGUMENT"),
        ("POST", "/workflows/ok/executions", {"labels": {"Bad": "x"}}, 400, "INVALID_ARGUMENT"),
        ("POST", "/workflows/ok/executions", {"colour": "red"}, 400, "INVALID_ARGUMENT"),
        ("POST", "/workflows/ok/executions", {"callLogLevel": "LOUD"}, 400, "INVALID_ARGUMENT"),
        ("POST", "/workflows/ok/executions", [], 400, "INVALID_ARGUMENT"),
        ("GET", "/workflows/ok/executions?pageToken=abc", None, 400, "INVALID_ARGUMENT"),
        ("GET", "/workflows/ok/executions?pageSize=-1", None, 400, "INVALID_ARGUMENT"),
        ("GET", "/workflows/ok/executions?filter=state=NOWHERE", None, 400, "INVALID_ARGUMENT"),
        ("GET", f"/workflows/ok/executions?filter={'(' * 3000}state=ACTIVE{')' * 3000}", None, 400, "INVALID_ARGUMENT"),
        ("GET", "/workflows/ok/executions?orderBy=colour", None, 400, "INVALID_ARGUMENT"),
        ("GET", "/workflows/ok/executions?view=ALL", None, 400, "INVALID_ARGUMENT"),
        ("POST", "/workflows/ok:triggerPubsubExecution", {"subscription": "s"}, 400, "INVALID_ARGUMENT"),
        ("POST", "/workflows/ok:triggerPubsubExecution", {"message": {"data": ""}}, 400, "INVALID_ARGUMENT"),
    ],
)
def test_errors(rest, method, path, body, code, status):
    rest.post("/workflows", params={"workflowId": "ok"}, json={"sourceContents": "main: {steps: [{a: {return: 1}}]}"})
    answer = rest.request(method, path, json=body) if body is not None else rest.request(method, path)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["status"]) == (code, code, status)
    assert error["message"]


def test_a_page_token_belongs_to_its_request(rest, deploy, finish):
    workflow = deploy("main: {steps: [{a: {return: 1}}]}")
    for _ in range(2):
        finish(start(rest, workflow)["name"])
    path = f"/workflows/{workflow}/executions"
    token = rest.get(path, params={"pageSize": 1}).json()["nextPageToken"]
    other = rest.get(path, params={"pageSize": 1, "pageToken": token, "filter": "state=FAILED"})
    assert other.json()["error"]["status"] == "INVALID_ARGUMENT"


def test_body_that_is_not_json_is_refused(rest, deploy):
    workflow = deploy("main: {steps: [{a: {return: 1}}]}")
    answer = rest.post(f"/workflows/{workflow}/executions", content=b"{")
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_calls_carry_a_token_of_the_workflows_identity(rest, cloud, deploy, finish):
    source = """
main:
  steps:
    - ask:
        call: http.post
        args:
          url: ${sys.get_env("BASE") + "/echo"}
          auth: {type: OIDC, audience: "https://a.example"}
          body: {x: 1}
"""
    workflow = deploy(
        source, userEnvVars={"BASE": cloud.http}, serviceAccount="runner@local-project.iam.gserviceaccount.com"
    )
    assert finish(start(rest, workflow)["name"])["state"] == "SUCCEEDED"
    bearer = cloud.web.requests[-1]["headers"]["authorization"].removeprefix("Bearer ")
    certs = httpx.get(f"{cloud.http}/oauth2/v1/certs").json()
    claims = jwt.decode(bearer, certs=certs, audience="https://a.example")
    assert claims["email"] == "runner@local-project.iam.gserviceaccount.com"


def test_the_executions_connector_reaches_the_emulator(rest, deploy, finish):
    child = deploy("main: {params: [n], steps: [{done: {return: '${n * 2}'}}]}", "connector-child")
    parent = f"""
main:
  steps:
    - run:
        call: googleapis.workflowexecutions.v1.projects.locations.workflows.executions.run
        args: {{workflow_id: {child}, location: us-central1, project_id: local-project, argument: 21}}
        result: answer
    - done: {{return: "${{answer}}"}}
"""
    done = finish(start(rest, deploy(parent, "connector-parent"))["name"], tries=3000)
    assert (done["state"], done.get("result")) == ("SUCCEEDED", "42"), done
