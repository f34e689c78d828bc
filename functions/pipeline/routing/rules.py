"""Rules: which model an input goes to by its kind, content type, language, name, metadata and size.

    {"name": "german", "when": {"kind": "text", "language": ["de", "nl"]}, "model": "german-sentiment"}

The first rule that an input matches decides. Within a rule all conditions must hold, and of a list one value.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from pipeline.routing.languages import LANGUAGES

KEYS = ("name", "when", "model")
CONDITIONS = ("kind", "content_type", "language", "prefix", "metadata", "max_bytes")
KINDS = ("text", "image", "table", "records", "manifest")
BATCHED = ("table", "records", "manifest")  # which may hold texts and images
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+*-]+/[a-z0-9!#$&^_.+*-]+")

Known = tuple[str, str, str | None]
"""A model that is served: its name, its source, and what it reads, `text` or `image`."""


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


# --- mistakes: gpu_service/checkpoints/routes.py finds the same ------------------------------------


def mistakes(routes: object, models: Sequence[Known]) -> Iterator[str]:
    """What is wrong with the rules, each with its place and what is allowed."""
    if not isinstance(routes, list):
        yield f"routes must be a list of rules, not {_shown(routes)}"
        return
    names: set[str] = set()
    for number, rule in enumerate(routes, 1):
        name = rule.get("name") if isinstance(rule, dict) else None
        place = f"rule {number} ({name:.64})" if isinstance(name, str) else f"rule {number}"
        yield from (f"{place}: {mistake}" for mistake in _of_rule(rule, models))
        if isinstance(name, str):
            if name in names:
                yield f"{place}: an earlier rule has the same name"
            names.add(name)


def _of_rule(rule: object, models: Sequence[Known]) -> Iterator[str]:
    if not isinstance(rule, dict):
        yield f"must be an object with the keys {', '.join(KEYS)}"
        return
    yield from _unknown(rule, KEYS, "key")
    if not isinstance(rule.get("name"), str) or not NAME.fullmatch(rule["name"]):
        yield "'name' must be up to 64 letters, digits, '.', '_' and '-', and begin with a letter or digit"
    model = rule.get("model")
    reads = next((reads for name, source, reads in models if model in (name, source)), None)
    known = list(dict.fromkeys(name for name, _, _ in models))
    if not isinstance(model, str) or all(model not in (name, source) for name, source, _ in models):
        yield f"'model' is {_shown(model)}{_meant(model, known)}; it must be one of {', '.join(known)}"
    when = rule.get("when", {})
    if not isinstance(when, dict):
        yield f"'when' must be an object with conditions: {', '.join(CONDITIONS)}"
        return
    yield from _unknown(when, CONDITIONS, "condition")
    yield from _of_choices("kind", when, KINDS)
    yield from _of_choices("language", when, LANGUAGES)
    if reads is not None:
        yield from _of_task(when, reads)
    content_types = _strings(when.get("content_type", "*/*"))
    if content_types is None or not all(MEDIA_TYPE.fullmatch(value.lower()) for value in content_types):
        yield "'content_type' must be a media type such as image/png or text/*, or a list of them"
    if _strings(when.get("prefix", "*")) is None:
        yield "'prefix' must be the beginning of object names, such as invoices/ or */urgent/, or a list of them"
    metadata = when.get("metadata", {})
    if not isinstance(metadata, dict) or any(_strings(value) is None for value in metadata.values()):
        yield "'metadata' must map keys to values such as legal or l*, or to lists of them"
    max_bytes = when.get("max_bytes", 1)
    if isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or max_bytes < 1:
        yield f"'max_bytes' must be a whole number from 1, not {_shown(max_bytes)}"


def _of_task(when: Mapping[str, Any], reads: str) -> Iterator[str]:
    """Conditions that an input which the model reads cannot meet."""
    kinds = (reads, *BATCHED)
    for kind in _strings(when.get("kind")) or ():
        if kind in KINDS and kind not in kinds:
            yield f"'kind' is {_shown(kind)}, but the model reads {reads}s; it must be one of {', '.join(kinds)}"
    if "language" in when and reads != "text":
        yield "'language' is for texts, but the model reads images"


def _of_choices(key: str, when: Mapping[str, Any], allowed: Sequence[str]) -> Iterator[str]:
    if key not in when:
        return
    values = when[key] if isinstance(when[key], list) and when[key] else [when[key]]
    for value in values:
        if value not in allowed:
            yield f"{key!r} is {_shown(value)}{_meant(value, allowed)}; it must be one of {', '.join(allowed)}"


def _unknown(value: Mapping[str, Any], known: Sequence[str], word: str) -> Iterator[str]:
    for key in value:
        if key not in known:
            yield f"unknown {word} {key!r:.100}{_meant(key, known)}; use {', '.join(known)}"


def _strings(value: object) -> list[str] | None:
    """The strings of a list, or one string; None for anything else, an empty list included."""
    values: list[Any] = value if isinstance(value, list) else [value]
    return values if values and all(isinstance(item, str) and item for item in values) else None


def _meant(wrong: object, known: Sequence[str]) -> str:
    nearest = get_close_matches(str(wrong), known, 1)
    return f" (did you mean {nearest[0]!r}?)" if nearest else ""


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)[:100]


# --- matching ---------------------------------------------------------------------------------------


def _values(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _matches(value: str, patterns: Sequence[str], *, beginning: bool = False) -> bool:
    """Whether a value is one of the patterns, in which `*` stands for any characters, or begins with one."""
    for pattern in patterns:
        compiled = re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
        if compiled.match(value) if beginning else compiled.fullmatch(value):
            return True
    return False
