import pytest

from emulator.workflows.linter import check

CLEAN = """
- fetch:
    try:
      call: http.get
      args: {url: "https://example.com", timeout: 30}
      result: response
    retry: ${http.default_retry}
- done: {return: "${response.code}"}
"""


def messages(source: str) -> list[str]:
    return [str(problem) for problem in check(source, "w.yaml")]


def test_a_sound_workflow_has_no_problems() -> None:
    assert messages(CLEAN) == []


def test_errors_have_a_place() -> None:
    assert messages("- a: {return: '${x}'}\n") == [
        "w.yaml:1:15: error in step a: error evaluating return value: "
        "symbol 'x' is neither a variable nor a sub-workflow name"
    ]


def test_unreadable_yaml_is_a_problem() -> None:
    assert messages("- a: [\n")[0].startswith("w.yaml:2:1: invalid YAML")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (CLEAN.replace(", timeout: 30", ""), "has no timeout"),
        ("- a: {call: http.get, args: {url: 'https://example.com', timeout: 30}}\n", "has no retry"),
        (CLEAN.replace("response.code", "response.status"), "write 'response.code'"),
        (CLEAN.replace("https://example.com", "https://example.com/download/image"), "may be too large"),
        (CLEAN.replace("https://example.com", "example.com"), "is not a URL"),
        (CLEAN.replace("timeout: 30", "timeout: 3600"), "larger than 1800"),
        ("- a: {return: 'hello ${name}!'}\n", '${"hello " + name + "!"}'),
        ("- a: {return: '$${name}'}\n", "Terraform"),
        ('- a:\n    return: ${"a #" + b}\n', "YAML comment"),
    ],
)  # fmt: skip
def test_warnings(source: str, words: str) -> None:
    problems = check(source, "w.yaml")
    assert [problem.severity for problem in problems] == ["warning"]
    assert words in problems[0].message


def test_a_call_whose_errors_are_caught_needs_no_retry() -> None:
    caught = CLEAN.replace("retry: ${http.default_retry}", "except: {as: e, steps: [{x: {return: '${e}'}}]}")
    assert messages(caught) == []


def test_the_fix_for_an_embedded_expression_works() -> None:
    (problem,) = check("- a: {return: 'cost: ${n} \"euro\"'}\n", "w.yaml")
    assert problem.message.endswith("""'${"cost: " + n + " \\"euro\\""}'""")
