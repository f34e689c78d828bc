"""Rules: which model an input goes to by its kind, content type, language, name, metadata and size.

    {"name": "german", "when": {"kind": "text", "language": ["de", "nl"]}, "model": "german-sentiment"}

The first rule that an input matches decides. Within a rule all conditions must hold, and of a list one value.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.routing.routes import BATCHED, KINDS


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules can ask about an input.

    Args:
        name: of the object; None for a message.
        content_type: by the content if that shows it, else as declared; without parameters.
        language: recognises the language of a text; None where that cannot be said.
    """

    kind: str
    size: int
    name: str | None = None
    content_type: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    language: Callable[[], str | None] = lambda: None


@dataclass(frozen=True, slots=True)
class Rule:
    """A checked rule; a condition without values always holds."""

    name: str
    model: str
    kinds: tuple[str, ...] = KINDS
    content_types: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    metadata: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    max_bytes: int | None = None

    def mismatch(self, facts: Facts) -> str | None:
        """The condition that does not hold, with what the input is instead; None for a match.

        The language comes last, since it takes longest to find out.
        """
        if facts.kind not in self.kinds:
            return f"the kind is {facts.kind}"
        if self.max_bytes is not None and facts.size > self.max_bytes:
            return f"it has {facts.size:,} bytes"
        if self.content_types and not _matches(facts.content_type or "", self.content_types):
            return f"the content type is {facts.content_type or 'unknown'}"
        if self.prefixes and (facts.name is None or not _matches(facts.name, self.prefixes, beginning=True)):
            return "it is a message and has no name" if facts.name is None else f"the name is {facts.name}"
        values = {key.lower(): value for key, value in facts.metadata.items()}
        for key, patterns in self.metadata.items():
            value = values.get(key.lower())
            if value is None or not _matches(value, patterns):
                return f"the metadata have {f'{key}={value}' if value is not None else f'no {key}'}"
        if self.languages and (language := facts.language()) not in self.languages:
            return f"the language is {language or 'unknown'}"
        return None


def parse(rule: Mapping[str, Any], reads: str | None) -> Rule:
    """A rule that has no mistakes; without a kind, it applies to those that its model reads."""
    when = rule.get("when", {})
    readable = KINDS if reads is None else (reads, *BATCHED)
    return Rule(
        name=rule["name"],
        model=rule["model"],
        kinds=_values(when.get("kind", readable)),
        content_types=tuple(value.lower() for value in _values(when.get("content_type", ()))),
        languages=_values(when.get("language", ())),
        prefixes=_values(when.get("prefix", ())),
        metadata={key: _values(value) for key, value in when.get("metadata", {}).items()},
        max_bytes=when.get("max_bytes"),
    )


def _values(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _matches(value: str, patterns: Sequence[str], *, beginning: bool = False) -> bool:
    """Whether a value is one of the patterns, in which `*` stands for any characters, or begins with one."""
    for pattern in patterns:
        compiled = re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
        if compiled.match(value) if beginning else compiled.fullmatch(value):
            return True
    return False
