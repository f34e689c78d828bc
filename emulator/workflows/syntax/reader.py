"""Reads a source into the syntax tree of a workflow, and reports every structural problem."""

from collections.abc import Callable
from typing import Any

from emulator.workflows import limits
from emulator.workflows.errors import Problem
from emulator.workflows.syntax.ast import Target
from emulator.workflows.syntax.block_reader import ACTIONS, BlockReader
from emulator.workflows.syntax.lexer import ExpressionError
from emulator.workflows.syntax.parser import parse_target
from emulator.workflows.syntax.source import Mapping, Node, Scalar, Sequence
from emulator.workflows.syntax.steps import (
    Assign,
    CallStep,
    Goto,
    Group,
    Parameter,
    Place,
    Raise,
    Return,
    Routine,
    Step,
    Value,
)
from emulator.workflows.syntax.value_reader import is_name, place

_COMPANIONS = {"call": {"args", "result"}, "try": {"retry", "except"}}


def read(root: Node, file: str) -> tuple[dict[str, Routine], list[Problem]]:
    """The routines of a source by name, as far as they can be read, and every problem."""
    reader = _Reader(file)
    return reader.routines(root), reader.problems


class _Reader(BlockReader):
    def __init__(self, file: str) -> None:
        super().__init__(file)
        self.step_names: set[str] = set()
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

    def routines(self, root: Node) -> dict[str, Routine]:
        routines: dict[str, Routine] = {}
        if isinstance(root, Sequence):
            return {"main": Routine("main", [], self.steps(root), place(root))}
        if not isinstance(root, Mapping):
            self.problem("a workflow is a map with 'main', or a list of steps", root)
            return {}
        for key, body in root.entries:
            if self.is_key(key, body):
                routines.setdefault(key.text, self.routine(key, body))
        if "main" not in routines:
            self.problem("the workflow has no 'main'", root)
        return routines

    def routine(self, key: Scalar, body: Node) -> Routine:
        self.step_name = None
        self.step_names = set()
        if not is_name(key.text):
            self.problem(f"'{key.text}' cannot be a workflow's name", key)
        if isinstance(body, Sequence):
            return Routine(key.text, [], self.steps(body), place(key))
        if not isinstance(body, Mapping):
            self.problem(f"workflow '{key.text}' must be a map with 'steps'", body)
            return Routine(key.text, [], [], place(key))
        self.check_keys(body, {"params", "steps"}, f"workflow '{key.text}'")
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
        self.check_unique(((parameter.name, parameter.place) for parameter in parameters), "param")
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
        return [step for item in node.items if (step := self._named_step(item))]

    def _named_step(self, node: Node) -> Step | None:
        if not isinstance(node, Mapping) or not node.entries:
            self.problem("a step is a map of one name to its body", node)
            return None
        key, body = node.entries[0]
        if not self.is_key(key, body):
            return None
        outer, self.step_name = self.step_name, key.text
        if key.text in self.step_names:
            self.problem(f"duplicate step name '{key.text}'", key)
        self.step_names.add(key.text)
        step = None
        if len(node.entries) > 1:
            second = node.entries[1][0]
            self.problem(f"step '{key.text}' has more than one name; check the indentation of '{second.text}'", second)
        else:
            step = self.body(key, body)
        self.step_name = outer
        return step

    def body(self, key: Scalar, node: Node, extra: frozenset[str] = frozenset()) -> Step | None:
        if not isinstance(node, Mapping):
            self.problem(f"step '{key.text}' must be a map", node)
            return None
        actions = [(name, body) for name, body in node.entries if name.text in ACTIONS]
        allowed = {"next", *extra, *(name.text for name, _ in actions)}
        for name, _ in actions:
            allowed |= _COMPANIONS.get(name.text, set())
        self.check_keys(node, allowed, f"step '{key.text}'")
        if len(actions) > 1:
            names = ", ".join(f"'{name.text}'" for name, _ in actions)
            self.problem(f"step '{key.text}' has more than one action: {names}", actions[1][0])
        following, next_place = self.next_of(node)
        if actions:
            action, content = actions[0]
            common = {"name": key.text, "place": place(action), "next": following, "next_place": next_place}
            return self._actions[action.text](content, node, common)
        if following is not None:
            return Goto(name=key.text, place=next_place or place(key), next=following, next_place=next_place)
        if all(name.text in allowed for name, _ in node.entries):
            self.problem(f"step '{key.text}' has no action", key)
        return None

    def _assign(self, node: Node, _body: Mapping, common: dict[str, Any]) -> Step:
        if not isinstance(node, Sequence):
            self.problem("'assign' must be a list of one-key maps", node)
            return Assign(**common, assignments=[])
        if not 1 <= len(node.items) <= limits.ASSIGNMENTS_PER_STEP:
            self.problem(f"'assign' takes 1 to {limits.ASSIGNMENTS_PER_STEP} assignments, has {len(node.items)}", node)
        assignments = [assignment for item in node.items if (assignment := self._assignment(item))]
        return Assign(**common, assignments=assignments)

    def _assignment(self, item: Node) -> tuple[Target, Value, Place] | None:
        if not isinstance(item, Mapping) or len(item.entries) != 1:
            self.problem("an assignment is a map of one variable to its value", item)
            return None
        key, node = item.entries[0]
        if not self.is_key(key, node):
            return None
        target, value = self._target(key), self.value(node)
        return None if target is None else (target, value, place(key))

    def _target(self, key: Scalar) -> Target | None:
        try:
            return parse_target(key.text)
        except ExpressionError as error:
            self.problem(f"invalid assignment target '{key.text}': {error.message}", key)
            return None

    def _call(self, node: Node, body: Mapping, common: dict[str, Any]) -> Step:
        if not isinstance(node, Scalar) or not isinstance(node.value, str) or node.expression is not None:
            self.problem("'call' must be a function's name", node)
        result = body.get("result")
        return CallStep(
            **common,
            **self._arguments(body.get("args")),
            function=node.text if isinstance(node, Scalar) else "",
            result=None if result is None else self.variable(result),
            result_place=None if result is None else place(result),
        )

    def _arguments(self, node: Node | None) -> dict[str, Any]:
        """The fields of a `CallStep` that hold its arguments."""
        fields: dict[str, Any] = {"arguments": {}, "argument_places": {}}
        if isinstance(node, Mapping):
            for key, value in node.entries:
                self.is_key(key, value)
                fields["arguments"][key.text] = self.value(value)
                fields["argument_places"][key.text] = place(key)
        elif isinstance(node, Scalar) and node.expression is not None:
            fields["argument_map"] = self.value(node)
        elif isinstance(node, Sequence):
            fields["positional"] = [self.value(item) for item in node.items]
        elif node is not None and node.value is not None:
            self.problem("'args' must be a map or a list", node)
        return fields

    def _raise(self, node: Node, _body: Mapping, common: dict[str, Any]) -> Step:
        return Raise(**common, value=self.value(node))

    def _return(self, node: Node, _body: Mapping, common: dict[str, Any]) -> Step:
        return Return(**common, value=self.value(node))

    def _group(self, node: Node, _body: Mapping, common: dict[str, Any]) -> Step:
        return Group(**common, steps=self.steps(node))
