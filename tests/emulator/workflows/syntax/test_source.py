import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.workflows import Problem, WorkflowSyntaxError, load
from emulator.workflows.syntax.source import Mapping, Node, Scalar, Sequence, parse, quoting_fix


def plain(text: str) -> object:
    root, _ = parse(text)
    assert isinstance(root, Scalar)
    return root.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("-7", -7), ("0x1F", 31), ("0o17", 15), ("1e3", 1000.0), (".5", 0.5), ("~", None), ("null", None),
        ("True", True), ("yes", "yes"), ("on", "on"), ("2024-01-01", "2024-01-01"), ("12:30:45", "12:30:45"),
        ("'1'", "1"), ('"true"', "true"), ("9223372036854775808", 9223372036854775808.0), (".inf", float("inf")),
    ],
)  # fmt: skip
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    assert plain(text) == value
    assert type(plain(text)) is type(value)


def test_places_are_one_based() -> None:
    root, _ = parse("a:\n  - b: 1\n")
    assert isinstance(root, Mapping)
    steps = root.get("a")
    assert isinstance(steps, Sequence)
    item = steps.items[0]
    assert (item.line, item.column) == (2, 5)


def test_aliases_and_merge_keys() -> None:
    root, problems = parse("base: &b {x: 1, y: 2}\nmore: {<<: *b, y: 3}\n")
    assert isinstance(root, Mapping)
    more = root.get("more")
    assert isinstance(more, Mapping)
    assert {key.text for key, _ in more.entries} == {"x", "y"}
    assert not problems


def test_duplicate_keys_are_problems_with_their_place() -> None:
    _, problems = parse("a: 1\nb: 2\na: 3\n")
    assert [(problem.line, problem.message) for problem in problems] == [(3, "duplicate key 'a'")]


def test_billion_laughs_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(WorkflowSyntaxError, match="too many values"):
        parse("\n".join(lines))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("a: [1", "invalid YAML"),
        ("a: *nowhere", "unknown alias"),
        ("a: 1\n---\nb: 2", "one document"),
        ("[" * 200, "nested deeper"),
        ("? [a]\n: b", "key must be a string"),
        ("a: 1\n" + "#" * (128 * 1024), "larger than 128 KB"),
        ("a: \x00", "invalid YAML"),
    ],
)
def test_unreadable_sources(text: str, message: str) -> None:
    with pytest.raises(WorkflowSyntaxError, match=message):
        parse(text)


@pytest.mark.parametrize("source", ['- s:\n    return: ${"a: " + b}\n', '- s:\n    assign:\n      - ${"x: " + y}\n'])
def test_unquoted_colon_names_line_and_fix(source: str) -> None:
    with pytest.raises(WorkflowSyntaxError) as caught:
        load(source)
    message = caught.value.message
    assert "': '" in message
    assert "'${" in message
    assert f"line {caught.value.line}" in message


def test_fix_doubles_single_quotes() -> None:
    assert quoting_fix('  x: ${"it\'s: " + y}') == "'${\"it''s: \" + y}'"
    assert quoting_fix('  x: "${a}"') is None


def test_json_with_tabs_and_surrogates() -> None:
    root, _ = parse('[\n\t{"s": {"return": "a\\/b \\ud83d\\ude00"}}\n]')
    assert isinstance(root, Sequence)


def problems_of(text: str) -> list[Problem]:
    """`load` raises nothing but syntax errors."""
    try:
        load(text)
    except WorkflowSyntaxError as error:
        return error.problems
    return []


@given(st.text(max_size=200))
def test_any_text_loads_or_is_a_syntax_error(text: str) -> None:
    assert all(problem.message for problem in problems_of(text))


LINES = """\
- a:
    return:
    assign:
      - x: 1
    - ${x}
${x +
    call: http.get
    args: {url: u}
    switch:
      - condition: true
        next: a
main:
  steps:
    - b:
    for:
    try:
    retry: ${http.default_retry}
    parallel:
      branches:
      value: v
    next: a
    raise: x""".splitlines()
yaml_like = st.lists(st.sampled_from(LINES), max_size=12).map("\n".join)


@given(yaml_like)
def test_any_lines_load_or_are_a_syntax_error(text: str) -> None:
    assert all(problem.line >= 1 and problem.column >= 1 for problem in problems_of(text))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("[${a}]", ["${a}"]),
        ('["b", ${a}, 1]', ["b", "${a}", 1]),
        ('[${m["}"] + "]"}, x]', ['${m["}"] + "]"}', "x"]),
        ("{k: ${a}, l: [${b}]}", {"k": "${a}", "l": ["${b}"]}),
        ('[\n      ${text.split(a, ",")[0]},\n      "x"]', ['${text.split(a, ",")[0]}', "x"]),
        ('[${"it\'s: " + a}]', ['${"it\'s: " + a}']),
    ],
)
def test_unquoted_expressions_in_flow_collections(value: str, expected: object) -> None:
    root, _ = parse(f"before: ${{x}}\nkey: {value}\nafter: '[${{y}}]'\n")
    assert isinstance(root, Mapping)
    node, after = root.get("key"), root.get("after")
    assert node is not None
    assert as_python(node) == expected
    assert isinstance(after, Scalar)
    assert after.value == "[${y}]"


def as_python(node: Node) -> object:
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return [as_python(item) for item in node.items]
    return {key.text: as_python(value) for key, value in node.entries}
