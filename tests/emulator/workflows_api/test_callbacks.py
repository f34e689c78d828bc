"""Callbacks: an execution waits until its endpoint receives a request."""

import json

import pytest

SOURCE = """
main:
  params: [method]
  steps:
    - open: {call: events.create_callback_endpoint, args: {http_callback_method: "${method}"}, result: callback}
    - wait: {call: events.await_callback, args: {callback: "${callback}", timeout: 60}, result: request}
    - done: {return: "${request}"}
"""


@pytest.fixture
def waiting(rest, deploy):
    """Starts an execution and returns its path and its callback, once one waits for it."""

    def waiting(method: str, name: str):
        workflow = deploy(SOURCE, name)
        created = rest.post(f"/workflows/{workflow}/executions", json={"argument": json.dumps(method)}).json()
        path = "/workflows/" + created["name"].split("/workflows/")[1]
        for _ in range(400):
            callbacks = rest.get(f"{path}/callbacks").json().get("callbacks", [])
            if callbacks and callbacks[0].get("waiters"):
                return created["name"], callbacks[0]
        raise AssertionError(rest.get(path).json())

    return waiting


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_a_callback_resumes_the_execution(rest, waiting, finish, method):
    name, callback = waiting(method, f"callback-{method.lower()}")
    assert callback["name"].startswith(f"{name}/callbacks/")
    assert (callback["method"], callback["waiters"]) == (method, "1")
    url = "/workflows/" + callback["name"].split("/workflows/")[1]
    body = None if method in ("GET", "DELETE") else {"approved": True}
    answer = rest.request(method, url, params={"by": "me"}, json=body, headers={"X-Trace": "t"})
    assert answer.status_code == 200
    received = json.loads(finish(name)["result"])
    assert received["type"] == "HTTP"
    assert received["received_time"].endswith("Z")
    request = received["http_request"]
    assert (request["method"], request["body"], request["query"]) == (method, body, {"by": "me"})
    assert request["headers"]["X-Trace"] == "t"
    assert request["url"].endswith("?by=me")


def test_another_method_is_refused_and_an_ended_execution_has_no_callbacks(rest, waiting, finish):
    name, callback = waiting("POST", "callback-refused")
    url = "/workflows/" + callback["name"].split("/workflows/")[1]
    assert rest.get(url).status_code == 405
    assert rest.post(url, content=b"\xff\xfe\x00", headers={"Content-Type": "text/plain"}).status_code == 400
    assert rest.post(url, content=b"{", headers={"Content-Type": "application/json"}).status_code == 400
    assert rest.post(url, content=b"fine", headers={"Content-Type": "text/plain"}).status_code == 200
    assert json.loads(finish(name)["result"])["http_request"]["body"] == "fine"
    assert rest.post(url).status_code == 404
    assert rest.get(url.rsplit("/", 1)[0]).json() == {"callbacks": []}


def test_cancelling_closes_the_callback(rest, waiting):
    name, callback = waiting("POST", "callback-cancelled")
    rest.post("/workflows/" + name.split("/workflows/")[1] + ":cancel")
    url = "/workflows/" + callback["name"].split("/workflows/")[1]
    for _ in range(100):
        if rest.post(url).status_code == 404:
            return
    raise AssertionError("the callback outlived its execution")
