import asyncio
from collections.abc import Callable
from typing import Any

from emulator.workflows import Outcome, load

Execute = Callable[..., Outcome]


def test_branches_run_concurrently(execute: Execute, clock: Any) -> None:
    source = """
- p:
    parallel:
      branches:
        - a: {steps: [{sa: {call: sys.sleep, args: {seconds: 10}}}]}
        - b: {steps: [{sb: {call: sys.sleep, args: {seconds: 7}}}]}
"""
    begin = clock.now()
    assert execute(source).state == "SUCCEEDED"
    assert clock.now() - begin == 10


def test_concurrency_limit(execute: Execute, clock: Any) -> None:
    source = """
- p:
    parallel:
      concurrency_limit: ${1 + 1}
      for:
        value: v
        range: [1, 6]
        steps:
          - s: {call: sys.sleep, args: {seconds: 1}}
"""
    begin = clock.now()
    execute(source)
    assert clock.now() - begin == 3


def test_at_most_twenty_iterations_run_concurrently(execute: Execute, clock: Any) -> None:
    source = """
- p:
    parallel:
      for:
        value: v
        range: [1, 40]
        steps:
          - s: {call: sys.sleep, args: {seconds: 1}}
"""
    begin = clock.now()
    execute(source)
    assert clock.now() - begin == 2


def test_no_update_of_a_shared_variable_is_lost(execute: Execute) -> None:
    source = """
main:
  steps:
    - init: {assign: [{total: 0}, {seen: []}]}
    - p:
        parallel:
          shared: [total, seen]
          for:
            value: v
            range: [1, 50]
            steps:
              - wait: {call: sys.sleep, args: {seconds: "${v % 3}"}}
              - add: {assign: [{total: "${total + slow(v)}"}, {seen: "${list.concat(seen, v)}"}]}
    - r: {return: ["${total}", "${len(seen)}"]}
slow:
  params: [v]
  steps:
    - wait: {call: sys.sleep, args: {seconds: 1}}
    - r: {return: "${v}"}
"""
    assert execute(source).result == [1275, 50]


def test_failed_branches_are_reported_and_the_others_finish(execute: Execute) -> None:
    source = """
- init: {assign: [{done: []}]}
- t:
    try:
      parallel:
        shared: [done]
        branches:
          - bad:
              steps:
                - fail: {raise: "out of stock"}
          - good:
              steps:
                - wait: {call: sys.sleep, args: {seconds: 5}}
                - note: {assign: [{done: "${list.concat(done, \\"good\\")}"}]}
    except:
      as: e
      steps:
        - r: {return: ["${e}", "${done}"]}
"""
    error, done = execute(source).result
    assert done == ["good"]
    assert error == {
        "message": "UnhandledBranchError: One or more branches or iterations encountered an unhandled runtime error",
        "tags": ["UnhandledBranchError", "RuntimeError"],
        "branches": [
            {
                "id": "bad",
                "error": {
                    "context": 'RuntimeError: "branch error"\nin step "fail", routine "main", line: 10',
                    "payload": "out of stock",
                },
            }
        ],
        "truncated": False,
    }


def test_one_hundred_branch_errors_are_kept(execute: Execute) -> None:
    source = """
- t:
    try:
      parallel:
        for: {value: v, range: [1, 120], steps: [{fail: {raise: "no"}}]}
    except:
      as: e
      steps:
        - r: {return: ["${len(e.branches)}", "${e.truncated}", "${e.branches[7].id}"]}
"""
    assert execute(source).result == [100, True, "7"]


def test_variables_of_a_branch_are_local(execute: Execute) -> None:
    source = """
- p:
    parallel:
      for:
        value: v
        in: [1, 2]
        steps:
          - a: {assign: [{mine: "${v}"}]}
- later: {assign: [{mine: outer}]}
- r: {return: "${mine}"}
"""
    assert execute(source).result == "outer"


def test_a_limit_in_one_branch_stops_all(execute: Execute, clock: Any) -> None:
    source = """
- p:
    parallel:
      branches:
        - endless: {steps: [{a: {assign: [{x: 1}]}}, {b: {next: a}}]}
        - slow: {steps: [{s: {call: sys.sleep, args: {seconds: 100000}}}]}
"""
    outcome = execute(source)
    assert outcome.error is not None
    assert outcome.error.value["tags"] == ["ResourceLimitError"]


def test_nothing_is_left_running_after_a_limit() -> None:
    async def go() -> int:
        source = "- p: {parallel: {for: {value: v, range: [1, 5], steps: [{a: {assign: [{x: 1}]}}, {b: {next: a}}]}}}\n"
        await load(source).execute()
        return len(asyncio.all_tasks())

    assert asyncio.run(go()) == 1
