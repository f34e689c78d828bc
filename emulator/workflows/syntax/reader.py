"""Source tree to typed steps, with every structural problem on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from emulator.workflows import limits
from emulator.workflows.errors import Problem
from emulator.workflows.syntax.blocks import ACTIONS, BlockReader
from emulator.workflows.syntax.lexer import ExpressionError
from emulator.workflows.syntax.literals import NAME, RESERVED, place
from emulator.workflows.syntax.nodes import Name
from emulator.workflows.syntax.parser import parse_target
from emulator.workflows.syntax.program import (
    Assign,
    CallStep,
    Goto,
    Group,
    Parameter,
    Place,
    Program,
    Raise,
    Return,
    Routine,
    Step,
    Target,
    Value,
)
from emulator.workflows.syntax.source import Mapping, Node, Scalar, Sequence, split_expression

_COMPANIONS = {"call": {"args", "result"}, "try": {"retry", "except"}}


def read(root: Node, file: str) -> tuple[Program, list[Problem]]:
    """The program that a tree describes, as far as it can be read, and every problem."""
    reader = _Reader(file)
    return reader.program(root), reader.problems


class _Reader(BlockReader):
    def __init__(self, file: str) -> None:
        super().__init__(file)
        self.seen: set[str] = set()
        self._actions: dict[str, Callable[..., Step]] = {
            "assign": self._assign,
            "call": self._call,
            "switch": self.read_switch,
            "for": self.read_for,
            "parallel": self.read_parallel,
            "raise": self._raise,
            "try": self.read_try,
            "return": self._return,
            "steps": self._group,
        }

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
        if not NAME.match(key.text) or key.text in RESERVED:
            self.problem(f"'{key.text}' cannot be a workflow's name", key)
        if isinstance(body, Sequence):
            return Routine(key.text, [], self.steps(body), place(key))
        if not isinstance(body, Mapping):
            self.problem(f"workflow '{key.text}' must be a map with 'steps'", body)
            return Routine(key.text, [], [], place(key))
        self.only(body, {"params", "steps"}, f"workflow '{key.text}'")
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
            return Parameter(self.variable(key), self.value(default), place(key))
        if isinstance(node, Scalar):
            return Parameter(self.variable(node), None, place(node))
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
                f"step '{key.text}' has more than one name; check the indentation of '{node.entries[1][0].text}'",
                node.entries[1][0],
            )
            self.step_name = outer
            return None
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
        self.only(node, allowed, f"step '{key.text}'")
        if len(found) > 1:
            names = ", ".join(f"'{name.text}'" for name, _ in found)
            self.problem(f"step '{key.text}' has more than one action: {names}", found[1][0])
        following, next_place = self.next_of(node)
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

    def _assign(self, node: Node, _body: Mapping, common: dict[str, Any]) -> Step:
        assignments: list[tuple[Target, Value, Place]] = []
        if not isinstance(node, Sequence):
            self.problem("'assign' must be a list of one-key maps", node)
            return Assign(**common, assignments=[])
        if not 1 <= len(node.items) <= limits.ASSIGNMENTS_PER_STEP:
            self.problem(f"'assign' takes 1 to {limits.ASSIGNMENTS_PER_STEP} assignments, has {len(node.items)}", node)
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
            result=None if result is None else self.variable(result),
            result_place=None if result is None else place(result),
        )

    def _raise(self, node: Node, _body: Mapping, common: dict[str, Any]) -> Step:
        return Raise(**common, value=self.value(node))

    def _return(self, node: Node, _body: Mapping, common: dict[str, Any]) -> Step:
        return Return(**common, value=self.value(node))

    def _group(self, node: Node, _body: Mapping, common: dict[str, Any]) -> Step:
        return Group(**common, steps=self.steps(node))


def variable_of(target: Target) -> Name:
    """The variable that an assignment's target begins with."""
    node: Any = target
    while not isinstance(node, Name):
        node = node.value
    return node
