"""Reads the steps that contain other steps: `switch`, `for`, `parallel`, `try`."""

from dataclasses import replace
from typing import Any

from emulator.workflows import limits
from emulator.workflows.syntax.source import Mapping, Node, Scalar, Sequence
from emulator.workflows.syntax.steps import (
    Branch,
    Case,
    Constant,
    For,
    Goto,
    Handler,
    Loop,
    Parallel,
    Place,
    Retry,
    Step,
    Switch,
    Try,
    Value,
)
from emulator.workflows.syntax.value_reader import ValueReader, place

ACTIONS = ("assign", "call", "switch", "for", "parallel", "raise", "try", "return", "steps")
_CASE_ACTIONS = tuple(action for action in ACTIONS if action != "steps")


class BlockReader(ValueReader):
    """Reads steps that contain others, for a subclass that reads the others with `steps` and `body`."""

    def steps(self, node: Node) -> list[Step]:
        """A list of steps."""
        raise NotImplementedError

    def body(self, key: Scalar, node: Node, extra: frozenset[str] = frozenset()) -> Step | None:
        """The body of one step; `extra` are the keys in it that belong to the enclosing step."""
        raise NotImplementedError

    def inline(self, name: str, node: Node, extra: frozenset[str] = frozenset()) -> list[Step]:
        """An action inside another step, as the only step there; it has the name of the other step."""
        key = Scalar(name, name, True, node.line, node.column)
        step = self.body(key, node, extra)
        return [] if step is None else [replace(step, anonymous=True)]

    def next_of(self, node: Mapping) -> tuple[str | None, Place | None]:
        target = node.get("next")
        if target is None:
            return None, None
        if not isinstance(target, Scalar) or target.value is None or target.expression is not None:
            self.problem("'next' must be a step's name", target)
            return None, None
        return target.text, place(target)

    def read_switch(self, node: Node, _body: Mapping, common: dict[str, Any]) -> Step:
        if not isinstance(node, Sequence):
            self.problem("'switch' must be a list of conditions", node)
            return Switch(**common, cases=[])
        if not 1 <= len(node.items) <= limits.CONDITIONS_PER_SWITCH:
            self.problem(f"'switch' takes 1 to {limits.CONDITIONS_PER_SWITCH} conditions, has {len(node.items)}", node)
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
        following, next_place = self.next_of(node)
        steps_node = node.get("steps")
        if steps_node is None and any(name.text in _CASE_ACTIONS for name, _ in node.entries):
            steps = self.inline(common["name"], node, frozenset({"condition"}))
            return Case(value, steps, None, None, place(node))
        self.check_keys(node, {"condition", "steps", "next"}, "entry of 'switch'")
        if steps_node is None and following is None:
            self.problem("an entry of 'switch' needs 'next', 'steps' or another action", node)
        steps = [] if steps_node is None else self.steps(steps_node)
        return Case(value, steps, following, next_place, place(node))

    def read_for(self, node: Node, _body: Mapping, common: dict[str, Any]) -> Step:
        loop = self._loop(node)
        return Goto(**common) if loop is None else For(**common, loop=loop)

    def _loop(self, node: Node) -> Loop | None:
        if not isinstance(node, Mapping):
            self.problem("'for' must be a map with 'value', 'in' or 'range', and 'steps'", node)
            return None
        self.check_keys(node, {"value", "index", "in", "range", "steps"}, "'for'")
        variable, index, items, bounds = (node.get(key) for key in ("value", "index", "in", "range"))
        if variable is None:
            self.problem("'for' has no 'value'", node)
        if (items is None) == (bounds is None):
            self.problem("'for' needs exactly one of 'in' and 'range'", node)
        start, end = self._range(bounds)
        over = self.optional(items)
        if isinstance(over, Constant) and not isinstance(over.value, list):
            self.problem("'in' must be a list or an expression", items or node)
        return Loop(
            value="" if variable is None else self.variable(variable),
            index=None if index is None else self.variable(index),
            items=over,
            start=start,
            end=end,
            steps=self._required_steps(node, "'for'"),
            place=place(node),
        )

    def _required_steps(self, node: Mapping, what: str) -> list[Step]:
        steps = node.get("steps")
        if steps is None:
            self.problem(f"{what} has no 'steps'", node)
        return [] if steps is None else self.steps(steps)

    def _range(self, node: Node | None) -> tuple[Value | None, Value | None]:
        if node is None:
            return None, None
        if isinstance(node, Scalar) and node.expression is not None:
            return self.value(node), None
        if not isinstance(node, Sequence) or len(node.items) != 2:
            self.problem("'range' must be a list of two numbers", node)
            return None, None
        for item in node.items:
            if not isinstance(item, Scalar) or (item.expression is None and type(item.value) not in (int, float)):
                self.problem("'range' takes numbers or expressions", item)
        return self.value(node.items[0]), self.value(node.items[1])

    def read_parallel(self, node: Node, _body: Mapping, common: dict[str, Any]) -> Step:
        if not isinstance(node, Mapping):
            self.problem("'parallel' must be a map with 'branches' or 'for'", node)
            return Goto(**common)
        self.check_keys(node, {"exception_policy", "shared", "concurrency_limit", "branches", "for"}, "'parallel'")
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
        return [(self.variable(item), place(item)) for item in node.items]

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
                f"'branches' takes {limits.BRANCHES_MIN} to {limits.BRANCHES_MAX} branches, has {len(node.items)}",
                node,
            )
        branches = [branch for item in node.items if (branch := self._branch(item))]
        self.check_unique(((branch.name, branch.place) for branch in branches), "branch name")
        return branches

    def _branch(self, node: Node) -> Branch | None:
        if not isinstance(node, Mapping) or len(node.entries) != 1:
            self.problem("a branch is a map of one name to its steps", node)
            return None
        key, body = node.entries[0]
        if not isinstance(body, Mapping):
            self.problem(f"branch '{key.text}' must be a map with 'steps'", body)
            return None
        return Branch(key.text, self._steps_or_action(key.text, body), place(key))

    def _steps_or_action(self, name: str, node: Mapping) -> list[Step]:
        steps = node.get("steps")
        return self.steps(steps) if steps and len(node.entries) == 1 else self.inline(name, node)

    def read_try(self, node: Node, body: Mapping, common: dict[str, Any]) -> Step:
        steps: list[Step] = []
        if isinstance(node, Mapping):
            steps = self._steps_or_action(common["name"], node)
            if following := node.key("next"):
                self.problem(
                    "'next' must not be inside 'try'; put it beside 'try', or give 'try' its own 'steps'", following
                )
        else:
            self.problem("'try' must be a map with 'steps' or one action", node)
        retry, handler = body.get("retry"), body.get("except")
        if retry is None and handler is None:
            self.problem("'try' needs 'retry' or 'except'", node)
        return Try(
            **common,
            steps=steps,
            retry=None if retry is None else self._retry(retry, body.key("retry")),
            handler=None if handler is None else self._handler(common["name"], handler, body.key("except")),
        )

    def _retry(self, node: Node, key: Scalar | None) -> Retry:
        where = place(key or node)
        if isinstance(node, Scalar) and node.expression is not None:
            return Retry(self.value(node), None, None, None, where)
        if not isinstance(node, Mapping):
            self.problem("'retry' must be a policy such as ${http.default_retry}, or a map", node)
            return Retry(None, None, None, None, where)
        self.check_keys(node, {"predicate", "max_retries", "backoff"}, "'retry'")
        backoff = node.get("backoff")
        if isinstance(backoff, Mapping):
            self.check_keys(backoff, {"initial_delay", "max_delay", "multiplier"}, "'backoff'")
        predicate, retries, delays = (self.optional(node.get(key)) for key in ("predicate", "max_retries", "backoff"))
        return Retry(None, predicate, retries, delays, where)

    def _handler(self, name: str, node: Node, key: Scalar | None) -> Handler:
        where = place(key or node)
        if not isinstance(node, Mapping):
            self.problem("'except' must be a map with 'as', and 'steps' or one action", node)
            return Handler(None, [], where)
        variable = node.get("as")
        steps_node = node.get("steps")
        if steps_node is None and any(key.text in ACTIONS for key, _ in node.entries):
            steps = self.inline(name, node, frozenset({"as"}))
        else:
            self.check_keys(node, {"as", "steps"}, "'except'")
            if steps_node is None:
                self.problem("'except' needs 'steps' or an action", node)
            steps = [] if steps_node is None else self.steps(steps_node)
        return Handler(None if variable is None else self.variable(variable), steps, where)
