"""The linter: what a deployment refuses, and warnings of what fails later in production."""

import re
from collections.abc import Iterator

from emulator.workflows import limits
from emulator.workflows.errors import Problem, WorkflowSyntaxError
from emulator.workflows.syntax import ast
from emulator.workflows.syntax.ast import Expression, Literal, Member, Name
from emulator.workflows.syntax.quoting import single_quoted
from emulator.workflows.syntax.source import Mapping, Node, Scalar, Sequence, parse
from emulator.workflows.syntax.steps import CallStep, Constant, Place, Routine, Step, Try, Value
from emulator.workflows.syntax.traversal import expressions, nested, values, walk
from emulator.workflows.workflow import examine, in_order

WARNING = "warning"
_HTTP = re.compile(r"http\.(get|post|put|patch|delete|request)\Z")
_EMBEDDED = re.compile(r"\$\{[^}]*\}")
_LARGE = frozenset({"googleapis.storage.v1.objects.get"})


def check(source: str, name: str) -> list[Problem]:
    """Every problem of a source, errors and warnings, in its order."""
    try:
        routines, problems = examine(source, name)
        root, _ = parse(source, name)
    except WorkflowSyntaxError as error:
        return error.problems
    linter = _Linter(name)
    linter.scalars(root)
    if not problems:
        linter.routines(routines)
    return in_order([*problems, *linter.problems])


class _Linter:
    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def warn(self, message: str, where: Place | Node) -> None:
        self.problems.append(Problem(f"{WARNING}: {message}", where.line, where.column, self.file, severity=WARNING))

    # --- strings that look like expressions ---------------------------------------------------------

    def scalars(self, node: Node) -> None:
        """Warn of strings in which an expression will not be evaluated."""
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

    def routines(self, routines: dict[str, Routine]) -> None:
        """Warn of steps that fail later in production."""
        for routine in routines.values():
            self._steps(routine.steps, handled=False)
            responses = {
                step.result
                for step in walk(routine.steps)
                if isinstance(step, CallStep) and step.result and _HTTP.match(step.function)
            }
            for step in walk(routine.steps):
                self._expressions(step, responses)

    def _steps(self, steps: list[Step], handled: bool) -> None:
        """`handled`: whether a lost connection is retried or caught."""
        for step in steps:
            if isinstance(step, CallStep):
                self._call(step, handled)
            for inner in nested(step):
                body = isinstance(step, Try) and inner is step.steps
                self._steps(inner, handled or body)

    def _call(self, step: CallStep, handled: bool) -> None:
        if _HTTP.match(step.function):
            if not handled:
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
            self.warn(f"'{url}' is not a URL", step.place)
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
        for value in values(step):
            for node, place in _nodes(value):
                match node:
                    case Member(Name(name), "status" | "status_code" | "statusCode" as member) if name in responses:
                        self.warn(
                            f"a response has 'code', not '{member}': write '{name}.code'; and a status of 400 and "
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
        node.value for node, _ in _nodes(value) if isinstance(node, Literal) and isinstance(node.value, str)
    )


def _nodes(value: Value) -> Iterator[tuple[Expression, Place]]:
    for part in expressions(value):
        yield from ((node, part.place) for node in ast.walk(part.expression))


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
    return single_quoted(whole) if ": " in whole or " #" in whole else whole


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
