"""IAM conditions: the part of the Common Expression Language that is about a resource's name, type and service.

A condition joins comparisons by `&&`, `||`, `!` and parentheses: `resource.name.startsWith('…')`, `.endsWith('…')`,
and `==` or `!=` with `resource.name`, `resource.type` or `resource.service`.
"""

import re
from collections.abc import Callable, Iterator

Condition = Callable[[str], bool]  # of the resource's full name

_TOKEN = re.compile(
    r"""\s*(?:(?P<operator>&&|\|\||==|!=|!|\(|\)|\.)|(?P<word>[A-Za-z]+)"""
    r"""|(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"))"""
)
_METHODS: dict[str, Callable[[str, str], bool]] = {"startsWith": str.startswith, "endsWith": str.endswith}
_FIELDS = ("name", "type", "service")
# What Google calls the type of a resource, by the last collection in its name.
_TYPES = {
    "objects": "storage.googleapis.com/Object",
    "buckets": "storage.googleapis.com/Bucket",
    "topics": "pubsub.googleapis.com/Topic",
    "subscriptions": "pubsub.googleapis.com/Subscription",
    "workflows": "workflows.googleapis.com/Workflow",
    "jobs": "run.googleapis.com/Job",
    "services": "run.googleapis.com/Service",
    "projects": "cloudresourcemanager.googleapis.com/Project",
}


class ConditionError(ValueError):
    """The expression is not in the part of the language that is supported; the message quotes it."""


def parse(expression: str) -> Condition:
    """The condition that an expression states.

    Raises:
        ConditionError: it is malformed or uses anything else of the language.
    """
    reader = _Reader(expression)
    condition = reader.disjunction()
    reader.end()
    return condition


class _Reader:
    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._tokens = list(self._split())
        self._next = 0

    def disjunction(self) -> Condition:
        either = [self._conjunction()]
        while self._take("||"):
            either.append(self._conjunction())
        return lambda name: any(condition(name) for condition in either)

    def end(self) -> None:
        if self._next < len(self._tokens):
            raise self._unsupported()

    def _conjunction(self) -> Condition:
        every = [self._negation()]
        while self._take("&&"):
            every.append(self._negation())
        return lambda name: all(condition(name) for condition in every)

    def _negation(self) -> Condition:
        if self._take("!"):
            negated = self._negation()
            return lambda name: not negated(name)
        if self._take("("):
            inner = self.disjunction()
            self._expect(")")
            return inner
        return self._comparison()

    def _comparison(self) -> Condition:
        self._expect("resource")
        self._expect(".")
        field = self._word(_FIELDS)
        if self._take("."):
            method = _METHODS[self._word(_METHODS)]
            self._expect("(")
            text = self._text()
            self._expect(")")
            return lambda name: method(_value(field, name), text)
        equal = self._take("==")
        if not equal:
            self._expect("!=")
        text = self._text()
        return lambda name: (_value(field, name) == text) is equal

    def _split(self) -> Iterator[str]:
        position = 0
        while self._expression[position:].strip():
            match = _TOKEN.match(self._expression, position)
            if match is None:
                raise self._unsupported()
            yield match[0].strip()
            position = match.end()

    def _take(self, token: str) -> bool:
        found = self._next < len(self._tokens) and self._tokens[self._next] == token
        self._next += found
        return found

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise self._unsupported()

    def _word(self, words: tuple[str, ...] | dict[str, Callable[[str, str], bool]]) -> str:
        for word in words:
            if self._take(word):
                return word
        raise self._unsupported()

    def _text(self) -> str:
        token = self._tokens[self._next] if self._next < len(self._tokens) else ""
        if token[:1] not in ("'", '"'):
            raise self._unsupported()
        self._next += 1
        return re.sub(r"\\(.)", r"\1", token[1:-1])

    def _unsupported(self) -> ConditionError:
        return ConditionError(
            f"the condition {self._expression!r} is not supported; write comparisons such as "
            "resource.name.startsWith('projects/_/buckets/B/objects/prefix'), joined by && and ||"
        )


def _value(field: str, name: str) -> str:
    if field == "name":
        return name
    collection = "objects" if "/objects/" in name else name.rpartition("/")[0].rpartition("/")[2]
    type_name = _TYPES.get(collection, "")
    return type_name if field == "type" else type_name.partition("/")[0]
