import asyncio
from typing import Any

from emulator.workflows import CallbackRegistry, Environment, Outcome, Runtime, load

WAIT = """
- open:
    call: events.create_callback_endpoint
    args: {http_callback_method: POST}
    result: callback
- wait:
    try:
      call: events.await_callback
      args: {callback: "${callback}", timeout: 60}
      result: request
    except:
      as: e
      steps:
        - late: {return: "${e.tags[0]}"}
- r: {return: "${request}"}
"""


def request(body: Any, method: str = "POST") -> dict[str, Any]:
    return {"method": method, "url": "/x", "headers": {}, "query": {}, "body": body}


async def opened(registry: CallbackRegistry, environment: Environment) -> Any:
    while not registry.list(environment.execution_name):
        await asyncio.sleep(0)
    return registry.list(environment.execution_name)[0]


def test_a_request_resumes_the_execution() -> None:
    async def go() -> tuple[Outcome, list[int]]:
        registry, environment = CallbackRegistry("http://127.0.0.1:1234/"), Environment(execution_id="e1")
        async with Runtime(callbacks=registry) as runtime:
            task = asyncio.ensure_future(load(WAIT).execute(runtime=runtime, environment=environment))
            callback = await opened(registry, environment)
            assert (
                callback.url
                == f"http://127.0.0.1:1234/v1/{environment.execution_name}/callbacks/"
                + (callback.name.rpartition("/")[2])
            )
            codes = [
                registry.deliver("projects/none", request(1), "t"),
                registry.deliver(callback.name, request(1, "GET"), "t"),
                registry.deliver(callback.name, request({"ok": True}), "2026-01-01T00:00:00Z"),
            ]
            outcome = await task
            codes.append(registry.deliver(callback.name, request(2), "t"))
            return outcome, codes

    outcome, codes = asyncio.run(go())
    assert codes == [404, 405, 200, 404]
    assert outcome.result == {
        "http_request": request({"ok": True}),
        "received_time": "2026-01-01T00:00:00Z",
        "type": "HTTP",
    }


def test_one_early_request_is_kept_and_the_next_refused() -> None:
    registry = CallbackRegistry()
    callback = registry.create("projects/p/locations/l/workflows/w/executions/e", "POST")
    assert registry.deliver(callback.name, request("first"), "t") == 200
    assert registry.deliver(callback.name, request("second"), "t") == 429


def test_waiting_ends_with_a_timeout(clock: Any) -> None:
    async def go() -> Outcome:
        async with Runtime(clock=clock) as runtime:
            return await load(WAIT).execute(runtime=runtime)

    assert asyncio.run(go()).result == "TimeoutError"
    assert clock.slept == [60]


def test_two_waiters_get_a_request_each() -> None:
    source = """
- open: {call: events.create_callback_endpoint, result: callback}
- init: {assign: [{got: {}}]}
- p:
    parallel:
      shared: [got]
      for:
        value: v
        in: [a, b]
        steps:
          - wait: {call: events.await_callback, args: {callback: "${callback}"}, result: request}
          - keep: {assign: [{"got[request.http_request.body]": true}]}
- r: {return: "${len(got)}"}
"""

    async def go() -> Outcome:
        registry, environment = CallbackRegistry(), Environment(execution_id="e2")
        async with Runtime(callbacks=registry) as runtime:
            task = asyncio.ensure_future(load(source).execute(runtime=runtime, environment=environment))
            callback = await opened(registry, environment)
            while callback.waiters < 2:
                await asyncio.sleep(0)
            assert registry.deliver(callback.name, request("one"), "t") == 200
            assert registry.deliver(callback.name, request("two"), "t") == 200
            return await task

    assert asyncio.run(go()).result == 2
