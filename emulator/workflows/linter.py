"""The linter: what a deployment refuses, and what it accepts but production will regret."""

from __future__ import annotations

import re
from collections.abc import Iterator

from emulator.workflows import limits
from emulator.workflows.errors import Problem, WorkflowSyntaxError
from emulator.workflows.syntax.nodes import Binary, Call, Expression, Index, ListLiteral, Member, Name, Unary
from emulator.workflows.syntax.program import (
    Assign,
    CallStep,
    Computed,
    Constant,
    ListValue,
    MapValue,
    Place,
    Program,
    Raise,
    Return,
    Step,
    Switch,
    Try,
    Value,
)
from emulator.workflows.syntax.source import Mapping, Node, Scalar, Sequence, parse
from emulator.workflows.syntax.variables import inside, walk
from emulator.workflows.workflow import examine

WARNING = "warning"
_HTTP = re.compile(r"http\.(get|post|put|patch|delete|request)\Z")
_EMBEDDED = re.compile(r"\$\{[^}]*\}")
_LARGE = frozenset({"googleapis.storage.v1.objects.get"})


def check(source: str, name: str) -> list[Problem]:
    """Every problem of a source, errors and warnings, in its order."""
    try:
        program, problems = examine(source, name)
        root, _ = parse(source, name)
    except WorkflowSyntaxError as error:
        return error.problems
    linter = _Linter(name)
    linter.scalars(root)
    if not problems:
        linter.program(program)
    return sorted({*problems, *linter.problems}, key=lambda problem: (problem.line, problem.column))


class _Linter:
    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def warn(self, message: str, where: Place | Node) -> None:
        self.problems.append(Problem(f"{WARNING}: {message}", where.line, where.column, self.file, severity=WARNING))

    # --- strings that look like expressions ---------------------------------------------------------

    def scalars(self, node: Node) -> None:
        """Strings in which an expression will not be evaluated."""
        if isinstance(node, Scalar):
            self._scalar(node)
        elif isinstance(node, Sequence):
            for item in node.items:
                self.scalars(item)
        elif isinstance(node, Mapping):
            for _, value in node.entries:
                self.scalars(value)

    def _scalar(self, node: Scalar) -> None:
        text = node.value
        if not isinstance(text, str) or node.expression is not None:
            return
        if text.strip().startswith("$${"):
            self.warn("'$${' is Terraform's escape; outside of Terraform write '${'", node)
        elif node.plain and text.startswith("${") and "}" not in text:
            self.warn("the expression is cut off at ' #', a YAML comment; put the value in single quotes", node)
        elif _EMBEDDED.search(text):
            fix = _concatenation(text)
            self.warn(f"'${{…}}' inside a longer string stays as written; use an expression: {fix}", node)

    # --- steps --------------------------------------------------------------------------------------

    def program(self, program: Program) -> None:
        """Steps that will hurt in production."""
        for routine in program.routines.values():
            self._steps(routine.steps, retried=False)
            responses = {
                step.result
                for step in walk(routine.steps)
                if isinstance(step, CallStep) and step.result and _HTTP.match(step.function)
            }
            for step in walk(routine.steps):
                self._expressions(step, {name for name in responses if name})

    def _steps(self, steps: list[Step], retried: bool) -> None:
        for step in steps:
            if isinstance(step, CallStep):
                self._call(step, retried)
            tried = isinstance(step, Try) and step.retry is not None
            for inner in inside(step):
                body = isinstance(step, Try) and inner is step.steps
                self._steps(inner, retried or (tried and body))

    def _call(self, step: CallStep, retried: bool) -> None:
        if _HTTP.match(step.function):
            if not retried:
                self.warn(
                    f"'{step.function}' in step '{step.name}' has no retry; one lost connection fails the execution",
                    step.place,
                )
            if step.argument_map is None and step.positional is None:
                self._http(step)
        elif step.function in _LARGE and _constant(step.arguments.get("alt")) == "media":
            self._size(step)

    def _http(self, step: CallStep) -> None:
        if "timeout" not in step.arguments:
            self.warn(f"'{step.function}' in step '{step.name}' has no timeout", step.place)
        timeout = _constant(step.arguments.get("timeout"))
        if isinstance(timeout, int | float) and timeout > limits.HTTP_TIMEOUT_S:
            self.warn(f"timeout is larger than {limits.HTTP_TIMEOUT_S} seconds: the call will fail", step.place)
        url = _constant(step.arguments.get("url"))
        if isinstance(url, str) and not url.startswith(("http://", "https://")):
            self.warn(f"'{url}' is no URL", step.place)
        if step.result is not None:
            self._size(step)

    def _size(self, step: CallStep) -> None:
        if step.result is None or not _looks_large(step):
            return
        self.warn(
            f"the response in '{step.result}' may be too large: all variables together hold "
            f"{limits.MEMORY_BYTES // 1024} KB, a response {limits.RESPONSE_BYTES // 1024 // 1024} MB; "
            "let the service store it and answer with a reference",
            step.place,
        )

    def _expressions(self, step: Step, responses: set[str]) -> None:
        for value in _values(step):
            for node, place in _nodes(value):
                if (
                    isinstance(node, Member)
                    and node.name in ("status", "status_code", "statusCode")
                    and isinstance(node.value, Name)
                    and node.value.name in responses
                ):
                    name = node.value.name
                    self.warn(
                        f"a response has 'code', not '{node.name}': write '{name}.code'; and a status of 400 and "
                        "more raises, so test it in 'except'",
                        place,
                    )


_LARGE_WORDS = ("download", "alt=media", "export", "image", "video", "audio", "base64", "embedding")


def _looks_large(step: CallStep) -> bool:
    if step.function in _LARGE:
        return True
    parts = [step.arguments.get(name) for name in ("url", "query")]
    words = " ".join(_words(part) for part in parts if part is not None).lower()
    return any(word in words for word in _LARGE_WORDS)


def _words(value: Value) -> str:
    if isinstance(value, Constant):
        return str(value.value)
    return " ".join(
        str(getattr(node, "value", "")) for node, _ in _nodes(value) if isinstance(getattr(node, "value", None), str)
    )


def _constant(value: Value | None) -> object:
    return value.value if isinstance(value, Constant) else None


def _concatenation(text: str) -> str:
    parts: list[str] = []
    at = 0
    for match in _EMBEDDED.finditer(text):
        if match.start() > at:
            parts.append(_quoted(text[at : match.start()]))
        parts.append(match.group()[2:-1].strip())
        at = match.end()
    if at < len(text):
        parts.append(_quoted(text[at:]))
    whole = "${" + " + ".join(parts) + "}"
    return "'" + whole.replace("'", "''") + "'" if ": " in whole or " #" in whole else whole


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _values(step: Step) -> Iterator[Value]:
    match step:
        case Assign(assignments=assignments):
            yield from (value for _, value, _ in assignments)
        case CallStep(arguments=arguments):
            yield from arguments.values()
        case Switch(cases=cases):
            yield from (case.condition for case in cases)
        case Return(value=value) | Raise(value=value):
            yield value


def _nodes(value: Value) -> Iterator[tuple[Expression, Place]]:
    match value:
        case Computed(expression, place):
            yield from ((node, place) for node in _inside(expression))
        case ListValue(items):
            for item in items:
                yield from _nodes(item)
        case MapValue(entries):
            for key, item in entries:
                yield from _nodes(key)
                yield from _nodes(item)


def _inside(node: Expression) -> Iterator[Expression]:
    yield node
    match node:
        case Member(value):
            children: tuple[Expression, ...] = (value,)
        case Index(value, index):
            children = (value, index)
        case Call(_, arguments):
            children = arguments
        case Unary(_, operand):
            children = (operand,)
        case Binary(_, left, right):
            children = (left, right)
        case ListLiteral(items):
            children = items
        case _:
            children = ()
    for child in children:
        yield from _inside(child)
