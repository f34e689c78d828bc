"""Finds mistakes in the rules of models.json, each with its place and what is allowed.

The GPU service checks them when models are deployed, the functions when they read them. Neither may import the other,
so both have this file, and a test compares the two.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

KEYS = ("name", "when", "model")
CONDITIONS = ("kind", "content_type", "language", "prefix", "metadata", "max_bytes")
KINDS = ("text", "image", "table", "records", "manifest")
BATCHED = ("table", "records", "manifest")  # which may hold texts and images
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+*-]+/[a-z0-9!#$&^_.+*-]+")
CODES = (
    "ace af am an ar ary arz as az ba bcl be bg bn br bs ca crh cs cy da de dz el en eo es et eu ext fa fi fo fr fuv "
    "fy ga gcf gcr gd gl gom grc gu gug guw ha hbo he hi hr ht hu hy id ig is it ja jv ka kab kik kk km kn ko ku ky la "
    "lb lg lij ln lo lt ltg lv mg mk ml mn mr ms mt my ne nl nn no nso oc om or pa pcm pl ps pt qu ro ru rw sa sdh se "
    "si sk sl sn so sq sr st sv sw ta te tg th tk tl tr tt ug uk ur uz uzs vec vi vo wa wuu xh yo yue zh zu"
)
LANGUAGES = CODES.split()
"""Those that are recognised, by ISO 639 code."""

Known = tuple[str, str, str | None]
"""A model that is served: its name, its source, and what it reads, `text` or `image`; None if that is not known."""


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
