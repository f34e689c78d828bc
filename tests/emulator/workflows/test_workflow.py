import asyncio
from collections.abc import Callable

import pytest
from aiohttp import web

from emulator.workflows import Environment, Observer, Outcome, Runtime, StepEntry, WorkflowSyntaxError, load

Execute = Callable[..., Outcome]


def test_context_and_stack_trace_name_every_call(execute: Execute) -> None:
    source = """main:
  steps:
    - outer:
        call: sub
        args: {m: {}}
sub:
  params: [m]
  steps:
    - inner:
        return: ${m.missing}
"""
    error = execute(source).error
    assert error is not None
    assert error.context == (
        "KeyError: key not found: missing\n"
        'in step "inner", routine "sub", line: 10\n'
        'in step "outer", routine "main", line: 4'
    )
    assert error.payload == '{"message":"KeyError: key not found: missing","tags":["KeyError","LookupError"]}'
    frames = [(frame.step, frame.routine, frame.line, frame.column, frame.length) for frame in error.stack_trace]
    assert frames == [("inner", "sub", 10, 9, 6), ("outer", "main", 4, 9, 4)]


def test_raised_string(execute: Execute) -> None:
    error = execute('- r:\n    raise: "no luck"\n').error
    assert error is not None
    assert error.payload == '"no luck"'
    assert error.context == 'RuntimeError: "no luck"\nin step "r", routine "main", line: 2'


def test_every_problem_is_listed_in_order() -> None:
    with pytest.raises(WorkflowSyntaxError) as caught:
        load("- a: {return: '${x}'}\n- b: {next: nowhere}\n", "two.yaml")
    assert [problem.line for problem in caught.value.problems] == [1, 2]
    assert str(caught.value).startswith("two.yaml:1:15: error in step a: error evaluating return value: symbol 'x' ")


def test_a_case_may_jump_back_to_its_own_switch(execute: Execute) -> None:
    source = """
- init: {assign: [{n: 0}]}
- again:
    switch:
      - condition: ${n < 3}
        assign: [{n: "${n + 1}"}]
        next: again
- done: {return: "${n}"}
"""
    assert execute(source).result == 3


def test_values_are_copied_on_assignment(execute: Execute) -> None:
    source = """
- a: {assign: [{m: {list: [1, 2], deep: {k: 1}}}, {copy: "${m}"}, {part: "${m.deep}"}]}
- b: {assign: [{"m.list[0]": 9}, {m.deep.k: 2}, {copy.new: 3}]}
- r: {return: ["${m}", "${copy}", "${part}"]}
"""
    assert execute(source).result == [
        {"list": [9, 2], "deep": {"k": 2}},
        {"list": [1, 2], "deep": {"k": 1}, "new": 3},
        {"k": 1},
    ]


def test_the_callers_argument_is_unchanged(execute: Execute) -> None:
    argument = {"list": [1]}
    source = "main:\n  params: [a]\n  steps:\n    - x: {assign: [{'a.list[0]': 2}]}\n    - r: {return: '${a}'}\n"
    outcome = execute(source, argument)
    assert outcome.result == {"list": [2]}
    assert argument == {"list": [1]}


def test_cancelling_the_task_cancels_the_execution_and_its_branches() -> None:
    ended: list[str] = []

    class Watch(Observer):
        def step_ended(self, entry: StepEntry) -> None:
            ended.append(f"{entry.step} {entry.state}")

    source = """
- p:
    parallel:
      branches:
        - one: {steps: [{wait1: {call: sys.sleep, args: {seconds: 1000}}}]}
        - two: {steps: [{wait2: {call: sys.sleep, args: {seconds: 1000}}}]}
"""

    async def go() -> Outcome:
        async with Runtime() as runtime:
            task = asyncio.ensure_future(load(source).execute(runtime=runtime, observer=Watch()))
            while len(asyncio.all_tasks()) < 4:
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
            outcome = await task
            assert len(asyncio.all_tasks()) == 1
            return outcome

    assert asyncio.run(go()).state == "CANCELLED"
    assert "p STATE_FAILED" in ended


def test_an_endless_loop_can_be_cancelled() -> None:
    async def go() -> Outcome:
        task = asyncio.ensure_future(load("- a: {assign: [{x: 1}]}\n- b: {next: a}\n").execute())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        return await task

    assert asyncio.run(go()).state == "CANCELLED"


def test_observer_sees_steps_with_their_parents(execute: Execute) -> None:
    entries: list[tuple[str, str, str | None, object]] = []

    class Watch(Observer):
        def step_ended(self, entry: StepEntry) -> None:
            parent = entry.parent.step_type if entry.parent else None
            entries.append((entry.step, entry.step_type, parent, entry.exception))

    source = """
- loop:
    for:
      value: v
      in: [1]
      steps:
        - set: {assign: [{x: "${v}"}]}
- t:
    try:
      steps:
        - bad: {raise: oops}
    except:
      as: e
      steps:
        - good: {return: ok}
"""
    assert execute(source, observer=Watch()).result == "ok"
    assert entries == [
        ("set", "STEP_ASSIGN", "STEP_FOR_ITERATION", None),
        ("loop", "STEP_FOR_ITERATION", "STEP_FOR", None),
        ("loop", "STEP_FOR", None, None),
        ("bad", "STEP_RAISE", "STEP_TRY", "oops"),
        ("t", "STEP_TRY", "STEP_TRY_RETRY_EXCEPT", "oops"),
        ("good", "STEP_RETURN", "STEP_EXCEPT", None),
        ("t", "STEP_EXCEPT", "STEP_TRY_RETRY_EXCEPT", None),
        ("t", "STEP_TRY_RETRY_EXCEPT", None, None),
    ]


def test_environment_variables(execute: Execute) -> None:
    environment = Environment(project_id="p", workflow_id="w", variables={"URL": "http://x"})
    source = "- r: {return: ['${sys.get_env(\"GOOGLE_CLOUD_PROJECT_ID\")}', '${sys.get_env(\"URL\")}']}\n"
    assert execute(source, environment=environment).result == ["p", "http://x"]


def test_retry_waits_as_long_as_its_policy_says(execute: Execute, clock) -> None:  # type: ignore[no-untyped-def]
    source = """
main:
  steps:
    - t:
        try: {steps: [{bad: {raise: oops}}]}
        retry:
          predicate: ${always}
          max_retries: 4
          backoff: {initial_delay: 2, max_delay: 10, multiplier: 2}
always:
  params: [e]
  steps:
    - r: {return: '${e == "oops"}'}
"""
    outcome = execute(source)
    assert outcome.error is not None
    assert outcome.error.value == "oops"
    assert clock.slept == [2, 4, 8, 10]


def test_a_thousand_concurrent_executions_of_three_calls() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"n": int(request.query["n"]) + 1})

    async def go() -> list[Outcome]:
        app = web.Application()
        app.router.add_get("/", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        call = f"call: http.get, args: {{url: '{url}', query: {{n: '${{n}}'}}}}, result: r"
        steps = "".join(f"    - c{k}: {{{call}}}\n    - n{k}: {{assign: [{{n: '${{r.body.n}}'}}]}}\n" for k in range(3))
        workflow = load(f"main:\n  params: [n]\n  steps:\n{steps}    - r: {{return: '${{n}}'}}\n")
        async with Runtime() as runtime:
            outcomes = await asyncio.gather(*(workflow.execute(n, runtime=runtime) for n in range(1000)))
        await runner.cleanup()
        return outcomes

    outcomes = asyncio.run(go())
    assert [outcome.result for outcome in outcomes] == [n + 3 for n in range(1000)]


def test_a_variable_of_a_path_not_taken_is_null(execute: Execute) -> None:
    source = """
- t:
    try:
      steps:
        - fail: {raise: False}
        - set: {assign: [{answer: 1}]}
    except:
      as: e
      steps:
        - note: {assign: [{unused: "${e}"}]}
- check:
    switch:
      - condition: ${answer == null}
        return: nothing
- r: {return: "${answer}"}
"""
    assert execute(source).result == "nothing"


def test_a_predicate_receives_a_raised_boolean(execute: Execute) -> None:
    source = """
main:
  steps:
    - init: {assign: [{n: 0}]}
    - poll:
        try:
          steps:
            - count: {assign: [{n: "${n + 1}"}]}
            - again: {switch: [{condition: "${n < 4}", raise: False}]}
        retry:
          predicate: ${unfinished}
          max_retries: 10
          backoff: {initial_delay: 300, max_delay: 1800, multiplier: 1.25}
    - r: {return: "${n}"}
unfinished:
  params: [done]
  steps:
    - answer: {return: "${done != true}"}
"""
    assert execute(source).result == 4
