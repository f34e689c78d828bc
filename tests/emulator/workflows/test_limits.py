from collections.abc import Callable

import pytest

from emulator.workflows import Outcome, WorkflowSyntaxError, load

Execute = Callable[..., Outcome]


def failed_with(outcome: Outcome, tag: str) -> str:
    assert outcome.state == "FAILED"
    assert outcome.error is not None
    assert tag in outcome.error.value["tags"]
    return str(outcome.error.value["message"])


GROW = """
main:
  steps:
    - init:
        assign:
          - text: "0123456789abcdef"
          - kept: []
    - grow:
        for:
          value: i
          range: [1, {doublings}]
          steps:
            - double: {{assign: [{{text: "${{text + text}}"}}]}}
    - keep:
        try:
          for:
            value: i
            range: [1, {copies}]
            steps:
              - add: {{assign: [{{kept: "${{list.concat(kept, text)}}"}}]}}
        except:
          as: e
          steps:
            - caught: {{return: "caught"}}
    - done: {{return: "fits"}}
"""


def test_variables_of_512_kb_together_fit_and_more_do_not(execute: Execute) -> None:
    assert execute(GROW.format(doublings=12, copies=6)).result == "fits"
    assert failed_with(execute(GROW.format(doublings=12, copies=8)), "ResourceLimitError") == (
        "ResourceLimitError: Memory usage limit exceeded"
    )


def test_a_string_holds_256_kb(execute: Execute) -> None:
    assert execute(GROW.format(doublings=14, copies=0)).result == "fits"
    assert "String length" in failed_with(execute(GROW.format(doublings=15, copies=0)), "ResourceLimitError")


def test_memory_of_ended_scopes_is_released(execute: Execute) -> None:
    source = """
main:
  steps:
    - loop:
        for:
          value: i
          range: [1, 40]
          steps:
            - call: {call: work, result: size}
    - done: {return: "fits"}
work:
  steps:
    - make: {assign: [{t: "0123456789abcdef"}]}
    - grow:
        for:
          value: i
          range: [1, 12]
          steps:
            - double: {assign: [{t: "${t + t}"}]}
    - done: {return: "${len(t)}"}
"""
    assert execute(source).result == "fits"


def test_one_hundred_thousand_steps(execute: Execute) -> None:
    endless = "- a: {assign: [{x: 1}]}\n- b: {next: a}\n"
    assert "Step limit" in failed_with(execute(endless), "ResourceLimitError")


def test_calls_nest_twenty_deep_and_the_error_can_be_caught(execute: Execute) -> None:
    source = """
main:
  params: [n]
  steps:
    - go: {return: "${down(n)}"}
down:
  params: [n]
  steps:
    - check:
        switch:
          - condition: ${n <= 1}
            return: 1
    - more: {return: "${1 + down(n - 1)}"}
"""
    assert execute(source, 20).result == 20
    failed_with(execute(source, 21), "RecursionError")


def test_argument_of_more_than_32_kb(execute: Execute) -> None:
    source = "main:\n  params: [a]\n  steps:\n    - r: {return: '${len(a)}'}\n"
    assert execute(source, "x" * 32_000).result == 32_000
    assert "Argument size" in failed_with(execute(source, "x" * 33_000), "ResourceLimitError")


def test_values_nested_without_end(execute: Execute) -> None:
    source = """
- init: {assign: [{m: {}}]}
- loop:
    for:
      value: i
      range: [1, 5000]
      steps:
        - wrap: {assign: [{m: {k: "${m}"}}]}
"""
    assert "nested too deeply" in failed_with(execute(source), "ResourceLimitError")


@pytest.mark.parametrize(("count", "accepted"), [(0, False), (1, True), (50, True), (51, False)])
def test_assignments_and_conditions_per_step(count: int, accepted: bool) -> None:
    assign = "- a:\n    assign: [" + ", ".join(["{x: 1}"] * count) + "]\n"
    switch = "- a:\n    switch: [" + ", ".join(["{condition: true, next: end}"] * count) + "]\n"
    for source in (assign, switch):
        if accepted:
            load(source)
        else:
            with pytest.raises(WorkflowSyntaxError, match="1 to 50"):
                load(source)


@pytest.mark.parametrize(("count", "accepted"), [(1, False), (2, True), (10, True), (11, False)])
def test_branches_per_parallel_step(count: int, accepted: bool) -> None:
    branches = "".join(f"        - b{n}: {{steps: [{{s{n}: {{assign: [{{x: 1}}]}}}}]}}\n" for n in range(count))
    source = f"- p:\n    parallel:\n      branches:\n{branches}"
    if accepted:
        load(source)
    else:
        with pytest.raises(WorkflowSyntaxError, match="2 to 10 branches"):
            load(source)


def test_parallel_steps_nest_two_deep(execute: Execute) -> None:
    def nested(depth: int) -> str:
        inner = "- leaf: {assign: [{x: 1}]}"
        for level in range(depth):
            body = "\n".join("            " + line for line in inner.splitlines())
            loop = f"      for:\n        value: v{level}\n        in: [1]\n        steps:\n{body}"
            inner = f"- p{level}:\n    parallel:\n{loop}"
        return inner

    assert execute(nested(2)).state == "SUCCEEDED"
    message = failed_with(execute(nested(3)), "UnhandledBranchError")
    assert "One or more branches" in message
