"""Source tree to typed steps, with every structural problem on the way."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from . import limits
from .errors import Problem
from .lexer import ExpressionError
from .nodes import Name
from .parser import parse, parse_target
from .program import (
    Assign,
    Branch,
    CallStep,
    Case,
    Computed,
    Constant,
    For,
    Goto,
    Group,
    Handler,
    ListValue,
    Loop,
    MapValue,
    Parallel,
    Parameter,
    Place,
    Program,
    Raise,
    Retry,
    Return,
    Routine,
    Step,
    Switch,
    Target,
    Try,
    Value,
)
from .source import Mapping, Node, Scalar, Sequence, split_expression

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_RESERVED = frozenset(
    "and or not in true false null AND OR NOT True TRUE False FALSE Null NULL".split()  # noqa: SIM905
)
ACTIONS = ("assign", "call", "switch", "for", "parallel", "raise", "try", "return", "steps")
_COMPANIONS = {"call": {"args", "result"}, "try": {"retry", "except"}}
_CASE_ACTIONS = tuple(action for action in ACTIONS if action != "steps")


def read(root: Node, file: str) -> tuple[Program, list[Problem]]:
    """The program that a tree describes, as far as it can be read, and every problem."""
    reader = _Reader(file)
    return reader.program(root), reader.problems


def place(node: Node) -> Place:
    """Where a node stands."""
    return Place(node.line, node.column, len(node.text) if isinstance(node, Scalar) else 0)


class _Reader:
    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.step_name: str | None = None
        self.seen: set[str] = set()
        self._actions: dict[str, Callable[..., Step]] = {
            "assign": self._assign,
            "call": self._call,
            "switch": self._switch,
            "for": self._for,
            "parallel": self._parallel,
            "raise": self._raise,
            "try": self._try,
            "return": self._return,
            "steps": self._group,
        }

    def problem(self, message: str, node: Node | Place) -> None:
        """Note a problem, in the service's words for where it is."""
        where = f"error in step {self.step_name}: " if self.step_name else ""
        self.problems.append(Problem(f"{where}{message}", node.line, node.column, self.file))

    # --- routines ---------------------------------------------------------------------------------

    def program(self, root: Node) -> Program:
        """Every routine of the source."""
        program = Program(self.file)
        if isinstance(root, Sequence):
            program.routines["main"] = Routine("main", [], self.steps(root), place(root))
            return program
        if not isinstance(root, Mapping):
            self.problem("a workflow is a map with 'main', or a list of steps", root)
            return program
        for key, body in root.entries:
            if split_expression(key, body) is None:
                program.routines.setdefault(key.text, self.routine(key, body))
        if "main" not in program.routines:
            self.problem("the workflow has no 'main'", root)
        return program

    def routine(self, key: Scalar, body: Node) -> Routine:
        """`main` or a subworkflow."""
        self.step_name = None
        self.seen = set()
        if not NAME.match(key.text) or key.text in _RESERVED:
            self.problem(f"'{key.text}' cannot be a workflow's name", key)
        if isinstance(body, Sequence):
            return Routine(key.text, [], self.steps(body), place(key))
        if not isinstance(body, Mapping):
            self.problem(f"workflow '{key.text}' must be a map with 'steps'", body)
            return Routine(key.text, [], [], place(key))
        self._only(body, {"params", "steps"}, f"workflow '{key.text}'")
        steps = body.get("steps")
        if steps is None:
            self.problem(f"workflow '{key.text}' has no 'steps'", key)
        return Routine(
            key.text,
            self._parameters(key.text, body.get("params")),
            [] if steps is None else self.steps(steps),
            place(key),
        )

    def _parameters(self, routine: str, node: Node | None) -> list[Parameter]:
        if node is None or (isinstance(node, Scalar) and node.value is None):
            return []
        if not isinstance(node, Sequence):
            self.problem("'params' must be a list", node)
            return []
        most = 1 if routine == "main" else limits.PARAMS_PER_SUBWORKFLOW
        if len(node.items) > most:
            self.problem(f"workflow '{routine}' takes at most {most} params", node)
        parameters = [parameter for item in node.items if (parameter := self._parameter(item))]
        names = [parameter.name for parameter in parameters]
        for number, parameter in enumerate(parameters):
            if parameter.name in names[:number]:
                self.problem(f"duplicate param '{parameter.name}'", parameter.place)
        return parameters

    def _parameter(self, node: Node) -> Parameter | None:
        if isinstance(node, Mapping) and len(node.entries) == 1:
            key, default = node.entries[0]
            return Parameter(self._variable(key), self.value(default), place(key))
        if isinstance(node, Scalar):
            return Parameter(self._variable(node), None, place(node))
        self.problem("a param is a name, or a name with its default", node)
        return None

    # --- steps ------------------------------------------------------------------------------------

    def steps(self, node: Node) -> list[Step]:
        """A list of steps, names checked."""
        if not isinstance(node, Sequence):
            self.problem("steps must be a list", node)
            return []
        if not node.items:
            self.problem("steps must not be empty", node)
        steps: list[Step] = []
        for item in node.items:
            step = self._named_step(item)
            if step is not None:
                steps.append(step)
        return steps

    def _named_step(self, node: Node) -> Step | None:
        outer = self.step_name
        if not isinstance(node, Mapping) or not node.entries:
            self.problem("a step is a map of one name to its body", node)
            return None
        key, body = node.entries[0]
        message = split_expression(key, body)
        if message is not None:
            self.problem(message, key)
            return None
        self.step_name = key.text
        if key.text in self.seen:
            self.problem(f"duplicate step name '{key.text}'", key)
        self.seen.add(key.text)
        if len(node.entries) > 1:
            self.problem(
                f"step '{key.text}' has more than one name; check the indentation of "
                f"'{node.entries[1][0].text}'",
                node.entries[1][0],
            )
        step = self.body(key, body)
        self.step_name = outer
        return step

    def body(self, key: Scalar, node: Node, extra: frozenset[str] = frozenset()) -> Step | None:
        """A step's body; `extra` are keys that its surroundings have already taken."""
        if not isinstance(node, Mapping):
            self.problem(f"step '{key.text}' must be a map", node)
            return None
        found = [(name, body) for name, body in node.entries if name.text in ACTIONS]
        allowed = {"next", *extra, *(name.text for name, _ in found)}
        for name, _ in found:
            allowed |= _COMPANIONS.get(name.text, set())
        self._only(node, allowed, f"step '{key.text}'")
        if len(found) > 1:
            names = ", ".join(f"'{name.text}'" for name, _ in found)
            self.problem(f"step '{key.text}' has more than one action: {names}", found[1][0])
        following, next_place = self._next(node)
        if not found:
            if following is None:
                if all(name.text in allowed for name, _ in node.entries):
                    self.problem(f"step '{key.text}' has no action", key)
                return None
            where = next_place or place(key)
            return Goto(name=key.text, place=where, next=following, next_place=next_place)
        action, content = found[0]
        common = {
            "name": key.text,
            "place": place(action),
            "next": following,
            "next_place": next_place,
        }
        return self._actions[action.text](content, node, common)

    def _next(self, node: Mapping) -> tuple[str | None, Place | None]:
        target = node.get("next")
        if target is None:
            return None, None
        if not isinstance(target, Scalar) or target.value is None or target.expression is not None:
            self.problem("'next' must be a step's name", target)
            return None, None
        return target.text, place(target)

    def _assign(self, node: Node, _body: Mapping, common: dict[str, Any]) -> Step:
        assignments: list[tuple[Target, Value, Place]] = []
        if not isinstance(node, Sequence):
            self.problem("'assign' must be a list of one-key maps", node)
            return Assign(**common, assignments=[])
        if not 1 <= len(node.items) <= limits.ASSIGNMENTS_PER_STEP:
            self.problem(
                f"'assign' takes 1 to {limits.ASSIGNMENTS_PER_STEP} assignments, has {len(node.items)}", node
            )
        for item in node.items:
            assignments.extend(self._assignment(item))
        return Assign(**common, assignments=assignments)

    def _assignment(self, item: Node) -> list[tuple[Target, Value, Place]]:
        if not isinstance(item, Mapping) or len(item.entries) != 1:
            self.problem("an assignment is a map of one variable to its value", item)
            return []
        key, node = item.entries[0]
        message = split_expression(key, node)
        if message is not None:
            self.problem(message, key)
            return []
        target = self._target(key)
        value = self.value(node)
        return [] if target is None else [(target, value, place(key))]

    def _target(self, key: Scalar) -> Target | None:
        try:
            return parse_target(key.text)
        except ExpressionError as error:
            self.problem(f"invalid assignment target '{key.text}': {error.message}", key)
            return None

    def _call(self, node: Node, body: Mapping, common: dict[str, Any]) -> Step:
        if not isinstance(node, Scalar) or not isinstance(node.value, str) or node.expression is not None:
            self.problem("'call' must be a function's name", node)
        arguments: dict[str, Value] = {}
        places: dict[str, Place] = {}
        argument_map: Value | None = None
        positional: list[Value] | None = None
        args = body.get("args")
        if isinstance(args, Mapping):
            for key, value in args.entries:
                message = split_expression(key, value)
                if message is not None:
                    self.problem(message, key)
                arguments[key.text] = self.value(value)
                places[key.text] = place(key)
        elif isinstance(args, Scalar) and args.expression is not None:
            argument_map = self.value(args)
        elif isinstance(args, Sequence):
            positional = [self.value(item) for item in args.items]
        elif args is not None and not (isinstance(args, Scalar) and args.value is None):
            self.problem("'args' must be a map or a list", args)
        result = body.get("result")
        return CallStep(
            **common,
            function=node.text if isinstance(node, Scalar) else "",
            arguments=arguments,
            argument_places=places,
            argument_map=argument_map,
            positional=positional,
            result=None if result is None else self._variable(result),
            result_place=None if result is None else place(result),
        )

    def _switch(self, node: Node, _body: Mapping, common: dict[str, Any]) -> Step:
        if not isinstance(node, Sequence):
            self.problem("'switch' must be a list of conditions", node)
            return Switch(**common, cases=[])
        if not 1 <= len(node.items) <= limits.CONDITIONS_PER_SWITCH:
            self.problem(
                f"'switch' takes 1 to {limits.CONDITIONS_PER_SWITCH} conditions, has {len(node.items)}", node
            )
        cases = [case for item in node.items if (case := self._case(item, common))]
        return Switch(**common, cases=cases)

    def _case(self, node: Node, common: dict[str, Any]) -> Case | None:
        condition = node.get("condition") if isinstance(node, Mapping) else None
        if not isinstance(node, Mapping) or condition is None:
            self.problem("an entry of 'switch' must be a map with 'condition'", node)
            return None
        value = self.value(condition)
        if isinstance(value, Constant) and not isinstance(value.value, bool):
            self.problem("'condition' must be true, false or an expression", condition)
        following, next_place = self._next(node)
        steps_node = node.get("steps")
        if steps_node is not None:
            self._only(node, {"condition", "steps", "next"}, "entry of 'switch'")
            steps = self.steps(steps_node)
        elif any(name.text in _CASE_ACTIONS for name, _ in node.entries):
            key = Scalar(common["name"], common["name"], True, node.line, node.column)
            step = self.body(key, node, frozenset({"condition"}))
            steps = [] if step is None else [step]
            return Case(value, steps, None, None, place(node))
        else:
            self._only(node, {"condition", "steps", "next"}, "entry of 'switch'")
            steps = []
            if following is None:
                self.problem("an entry of 'switch' needs 'next', 'steps' or another action", node)
        return Case(value, steps, following, next_place, place(node))

    def _for(self, node: Node, _body: Mapping, common: dict[str, Any]) -> Step:
        loop = self._loop(node)
        return Goto(**common) if loop is None else For(**common, loop=loop)

    def _loop(self, node: Node) -> Loop | None:
        if not isinstance(node, Mapping):
            self.problem("'for' must be a map with 'value', 'in' or 'range', and 'steps'", node)
            return None
        self._only(node, {"value", "index", "in", "range", "steps"}, "'for'")
        value, index, steps = node.get("value"), node.get("index"), node.get("steps")
        items, bounds = node.get("in"), node.get("range")
        if value is None:
            self.problem("'for' has no 'value'", node)
        if steps is None:
            self.problem("'for' has no 'steps'", node)
        if (items is None) == (bounds is None):
            self.problem("'for' needs exactly one of 'in' and 'range'", node)
        start, end = self._range(bounds)
        over = None if items is None else self.value(items)
        if isinstance(over, Constant) and not isinstance(over.value, list):
            self.problem("'in' must be a list or an expression", items or node)
        return Loop(
            value="" if value is None else self._variable(value),
            index=None if index is None else self._variable(index),
            items=over,
            start=start,
            end=end,
            steps=[] if steps is None else self.steps(steps),
            place=place(node),
        )

    def _range(self, node: Node | None) -> tuple[Value | None, Value | None]:
        if node is None:
            return None, None
        if isinstance(node, Scalar) and node.expression is not None:
            return self.value(node), None
        if not isinstance(node, Sequence) or len(node.items) != 2:
            self.problem("'range' must be a list of two numbers", node)
            return None, None
        for item in node.items:
            wrong = isinstance(item, Scalar) and item.expression is None
            if not isinstance(item, Scalar) or (
                wrong and (isinstance(item.value, bool) or not isinstance(item.value, int | float))
            ):
                self.problem("'range' takes numbers or expressions", item)
        return self.value(node.items[0]), self.value(node.items[1])

    def _parallel(self, node: Node, _body: Mapping, common: dict[str, Any]) -> Step:
        if not isinstance(node, Mapping):
            self.problem("'parallel' must be a map with 'branches' or 'for'", node)
            return Goto(**common)
        self._only(
            node, {"exception_policy", "shared", "concurrency_limit", "branches", "for"}, "'parallel'"
        )
        policy = node.get("exception_policy")
        if policy is not None and (not isinstance(policy, Scalar) or policy.text != "continueAll"):
            self.problem("'exception_policy' must be 'continueAll'", policy)
        branches, loop = node.get("branches"), node.get("for")
        if (branches is None) == (loop is None):
            self.problem("'parallel' needs exactly one of 'branches' and 'for'", node)
        limit = node.get("concurrency_limit")
        return Parallel(
            **common,
            shared=self._shared(node.get("shared")),
            concurrency_limit=None if limit is None else self._limit(limit),
            branches=[] if branches is None else self._branches(branches),
            loop=None if loop is None else self._loop(loop),
        )

    def _shared(self, node: Node | None) -> list[tuple[str, Place]]:
        if node is None:
            return []
        if not isinstance(node, Sequence):
            self.problem("'shared' must be a list of variables", node)
            return []
        return [(self._variable(item), place(item)) for item in node.items]

    def _limit(self, node: Node) -> Value:
        value = self.value(node)
        if isinstance(value, Constant) and (type(value.value) is not int or value.value < 1):
            self.problem("'concurrency_limit' must be a positive integer", node)
        return value

    def _branches(self, node: Node) -> list[Branch]:
        if not isinstance(node, Sequence):
            self.problem("'branches' must be a list", node)
            return []
        if not limits.BRANCHES_MIN <= len(node.items) <= limits.BRANCHES_MAX:
            self.problem(
                f"'branches' takes {limits.BRANCHES_MIN} to {limits.BRANCHES_MAX} branches, "
                f"has {len(node.items)}",
                node,
            )
        branches = [branch for item in node.items if (branch := self._branch(item))]
        names = [branch.name for branch in branches]
        for number, branch in enumerate(branches):
            if branch.name in names[:number]:
                self.problem(f"duplicate branch name '{branch.name}'", branch.place)
        return branches

    def _branch(self, node: Node) -> Branch | None:
        if not isinstance(node, Mapping) or len(node.entries) != 1:
            self.problem("a branch is a map of one name to its steps", node)
            return None
        key, body = node.entries[0]
        if isinstance(body, Mapping):
            steps = body.get("steps")
            if steps is not None and len(body.entries) == 1:
                return Branch(key.text, self.steps(steps), place(key))
            step = self.body(key, body)
            return Branch(key.text, [] if step is None else [step], place(key))
        self.problem(f"branch '{key.text}' must be a map with 'steps'", body)
        return None

    def _try(self, node: Node, body: Mapping, common: dict[str, Any]) -> Step:
        steps: list[Step] = []
        if isinstance(node, Mapping):
            key = Scalar(common["name"], common["name"], True, node.line, node.column)
            inner = node.get("steps")
            if inner is not None and len(node.entries) == 1:
                steps = self.steps(inner)
            else:
                step = self.body(key, node)
                steps = [] if step is None else [step]
        else:
            self.problem("'try' must be a map with 'steps' or one action", node)
        retry, handler = body.get("retry"), body.get("except")
        if retry is None and handler is None:
            self.problem("'try' needs 'retry' or 'except'", node)
        return Try(
            **common,
            steps=steps,
            retry=None if retry is None else self._retry(retry, body.key("retry")),
            handler=None if handler is None else self._handler(handler, body.key("except")),
        )

    def _retry(self, node: Node, key: Scalar | None) -> Retry:
        where = place(key or node)
        if isinstance(node, Scalar) and node.expression is not None:
            return Retry(self.value(node), None, None, None, where)
        if not isinstance(node, Mapping):
            self.problem("'retry' must be a policy such as ${http.default_retry}, or a map", node)
            return Retry(None, None, None, None, where)
        self._only(node, {"predicate", "max_retries", "backoff"}, "'retry'")
        backoff = node.get("backoff")
        if isinstance(backoff, Mapping):
            self._only(backoff, {"initial_delay", "max_delay", "multiplier"}, "'backoff'")
        parts = [node.get(name) for name in ("predicate", "max_retries", "backoff")]
        predicate, retries, delays = (None if part is None else self.value(part) for part in parts)
        return Retry(None, predicate, retries, delays, where)

    def _handler(self, node: Node, key: Scalar | None) -> Handler:
        where = place(key or node)
        if not isinstance(node, Mapping):
            self.problem("'except' must be a map with 'as' and 'steps'", node)
            return Handler(None, [], where)
        self._only(node, {"as", "steps"}, "'except'")
        variable, steps = node.get("as"), node.get("steps")
        if steps is None:
            self.problem("'except' has no 'steps'", node)
        return Handler(
            None if variable is None else self._variable(variable),
            [] if steps is None else self.steps(steps),
            where,
        )

    def _raise(self, node: Node, _body: Mapping, common: dict[str, Any]) -> Step:
        value = self.value(node)
        if isinstance(value, Constant) and not isinstance(value.value, str | dict):
            self.problem("'raise' takes a string, a map or an expression", node)
        return Raise(**common, value=value)

    def _return(self, node: Node, _body: Mapping, common: dict[str, Any]) -> Step:
        return Return(**common, value=self.value(node))

    def _group(self, node: Node, _body: Mapping, common: dict[str, Any]) -> Step:
        return Group(**common, steps=self.steps(node))

    # --- values -----------------------------------------------------------------------------------

    def value(self, node: Node) -> Value:
        """A value anywhere in a step."""
        if isinstance(node, Scalar):
            return self._scalar(node)
        if isinstance(node, Sequence):
            items = [self.value(item) for item in node.items]
            constants = [item.value for item in items if isinstance(item, Constant)]
            if len(constants) == len(items):
                return Constant(constants, place(node))
            return ListValue(items, place(node))
        entries: list[tuple[Value, Value]] = []
        for key, item in node.entries:
            message = split_expression(key, item)
            if message is not None:
                self.problem(message, key)
                continue
            entries.append((self._key(key), self.value(item)))
        content = {
            key.value: item.value
            for key, item in entries
            if isinstance(key, Constant) and isinstance(item, Constant)
        }
        if len(content) == len(entries):
            return Constant(content, place(node))
        return MapValue(entries, place(node))

    def _key(self, key: Scalar) -> Value:
        if key.expression is not None:
            return self._expression(key, key.expression)
        return Constant(key.text, place(key))

    def _scalar(self, node: Scalar) -> Value:
        expression = node.expression
        if expression is None:
            return Constant(node.value, place(node))
        return self._expression(node, expression)

    def _expression(self, node: Scalar, text: str) -> Value:
        try:
            return Computed(parse(text), place(node))
        except ExpressionError as error:
            self.problem(_caret(text, error), self._inside(node, error))
            return Constant(None, place(node))

    def _inside(self, node: Scalar, error: ExpressionError) -> Place:
        """The place inside a scalar that stands on one line."""
        start = node.value.index("${") + 2 + (0 if node.plain else 1)
        column = node.column if "\n" in node.value else node.column + start + error.position
        return Place(node.line, column)

    def _variable(self, node: Node) -> str:
        if isinstance(node, Scalar) and NAME.match(node.text) and node.text not in _RESERVED:
            return node.text
        self.problem(
            f"'{node.text if isinstance(node, Scalar) else '…'}' cannot be a variable's name", node
        )
        return node.text if isinstance(node, Scalar) else "_"

    def _only(self, node: Mapping, allowed: set[str], what: str) -> None:
        for key, value in node.entries:
            if key.text in allowed:
                continue
            message = split_expression(key, value)
            self.problem(message or f"unknown key '{key.text}' in {what}", key)


def _caret(text: str, error: ExpressionError) -> str:
    """The message, and the expression with a caret when it is short enough to show."""
    if len(text) > 120 or "\n" in text:
        return f"invalid expression: {error.message}"
    return f"invalid expression: {error.message}\n    {text}\n    {' ' * error.position}^"


def variable_of(target: Target) -> Name:
    """The variable that an assignment's target begins with."""
    node: Any = target
    while not isinstance(node, Name):
        node = node.value
    return node
