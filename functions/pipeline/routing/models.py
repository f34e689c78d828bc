"""models.json as far as inputs are routed by it: the models of the served profile, and the rules that choose them.

The GPU service reads the same file (gpu_service/checkpoints/) and checks the entries of its models.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from pipeline.routing import routes, rules
from pipeline.routing.rules import Rule

FILE = "models.json"
ROUTES = "routes"
Content = Literal["text", "image"]

OF_KIND: dict[str, Content] = {"text": "text", "image": "image"}
"""What an input of a kind holds, if the kind says it."""

ENGINES = ("gpu_service", "vertex")
_ENDPOINT = re.compile(r"projects/[^/]+/locations/[a-z0-9-]+/endpoints/[^/]+")

READS: dict[str, Content] = {  # by task, in the order in which an input that names no model prefers them
    "text-classification": "text",
    "token-classification": "text",
    "zero-shot-classification": "text",
    "feature-extraction": "text",
    "image-classification": "image",
    "object-detection": "image",
}


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    version: str
    task: str
    source: str
    default: bool
    endpoint: str | None = None  # of Vertex AI, which then predicts in place of the GPU service

    @property
    def reads(self) -> Content | None:
        return READS.get(self.task)


@dataclass(frozen=True, slots=True)
class Models:
    """The models of the served profile, in order, and the rules; both empty if there is no models.json."""

    entries: tuple[Entry, ...] = ()
    rules: tuple[Rule, ...] = ()

    def named(self, name: str) -> list[Entry]:
        """The versions of a model, by its name or source."""
        return [entry for entry in self.entries if name in (entry.name, entry.source)]

    def reads(self, name: str) -> Content | None:
        """What a model reads; None if the model or its task is unknown."""
        return next((entry.reads for entry in self.named(name)), None)

    def answering(self, name: str, version: str | None) -> Entry | None:
        """The entry that answers for a model, by its name or source, and a version; None if there is none."""
        entries = self.named(name)
        if version is not None:
            return next((entry for entry in entries if entry.version == version), None)
        return next((entry for entry in entries if entry.default), entries[-1] if entries else None)

    def default(self, content: Content, *, batched: bool = False) -> Entry | None:
        """The model of instances that name none; of `batched` ones, that of the GPU service, which alone takes them."""
        for task in (task for task, read in READS.items() if read == content):
            of_task = [entry for entry in self.entries if entry.task == task and not (batched and entry.endpoint)]
            if of_task:
                return next((entry for entry in of_task if entry.default), of_task[0])
        return None


def parse(content: bytes, profile: str) -> Models:
    """The models and rules of a profile; without a name, of the only one.

    Raises:
        ValueError: with all that is wrong.
    """
    document = json.loads(content)
    if not isinstance(document, dict):
        raise ValueError("It must map profiles to lists of models.")  # noqa: TRY004
    profiles = {name: value for name, value in document.items() if name != ROUTES}
    if not profile and len(profiles) != 1:
        raise ValueError(f"It has several profiles; set PROFILE to one of {', '.join(profiles)}.")
    listed = profiles.get(profile or next(iter(profiles)))
    if not isinstance(listed, list) or not all(map(_is_entry, listed)):
        raise ValueError(f"The profile {profile!r:.100} must be a list of models with a name and a task each.")
    if mistakes := [mistake for value in listed for mistake in _engine_mistakes(value)]:
        raise ValueError("; ".join(mistakes))
    entries = tuple(map(_entry, listed))
    listed_rules = document.get(ROUTES, [])
    known = [(entry.name, entry.source, entry.reads) for entry in entries]
    if mistakes := list(routes.mistakes(listed_rules, known)):
        raise ValueError("; ".join(mistakes))
    models = Models(entries)
    return replace(models, rules=tuple(rules.parse(rule, models.reads(rule["model"])) for rule in listed_rules))


def _is_entry(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(key), str) for key in ("name", "task"))


def _engine_mistakes(value: dict[str, Any]) -> Iterator[str]:
    engine, endpoint = value.get("engine", ENGINES[0]), value.get("endpoint")
    if engine not in ENGINES:
        yield f"The engine of {value['name']:.100} must be one of {', '.join(ENGINES)}."
    elif (engine == "vertex") != (endpoint is not None):
        yield f"{value['name']:.100} needs both the engine vertex and an endpoint, or neither."
    elif endpoint is not None and not (isinstance(endpoint, str) and _ENDPOINT.fullmatch(endpoint)):
        yield f"The endpoint of {value['name']:.100} must be projects/P/locations/REGION/endpoints/ID."


def _entry(value: dict[str, Any]) -> Entry:
    return Entry(
        value["name"],
        str(value.get("version", "1")),
        value["task"],
        str(value.get("source")),
        value.get("default") is True,
        value.get("endpoint"),
    )
