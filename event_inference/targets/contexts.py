"""Named contexts in the user's configuration, `~/.config/event-inference/config.toml`."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from event_inference.errors import TargetError
from event_inference.targets.request import RESOURCES

FILE = Path("event-inference", "config.toml")
ENDPOINTS = ("storage", "pubsub", "workflows", "executions", "vertex_ai", "run")
_KEYS = ("local", "project", "region", "service_prefix", *RESOURCES, "endpoints")


@dataclass(frozen=True, slots=True)
class Contexts:
    """The configuration: contexts by name, and the one that is used unless another is named."""

    file: Path
    current: str | None = None
    by_name: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def context(self, name: str) -> Mapping[str, Any]:
        """The context's keys.

        Raises:
            TargetError: there is none of this name.
        """
        if name in self.by_name:
            return self.by_name[name]
        near = get_close_matches(name, self.by_name, 1)
        advice = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(self.by_name) or 'none'}."
        raise TargetError(f"{self.file} has no context {name!r}. {advice}")


def configuration_file(environ: Mapping[str, str], home: Path) -> Path:
    """`EINF_CONFIG`, or the file in the user's configuration folder."""
    if path := environ.get("EINF_CONFIG"):
        return Path(path)
    return Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / FILE


def read(file: Path) -> Contexts:
    """The contexts in a file, none if there is no file.

    Raises:
        TargetError: the file cannot be read, or has a key or value that is not known.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Contexts(file)
    except (OSError, ValueError) as error:
        raise TargetError(f"{file} cannot be read: {error}") from error
    contexts = content.get("contexts", {})
    _check_keys(file, content, ("current", "contexts"))
    if not isinstance(contexts, dict) or not all(isinstance(keys, dict) for keys in contexts.values()):
        raise TargetError(f"{file}: contexts must be tables, such as [contexts.production]")
    for name, keys in contexts.items():
        _check(file, name, keys)
    current = content.get("current")
    if current is not None and current not in contexts:
        raise TargetError(f"{file}: current names no context: {current!r}. There are: {', '.join(contexts) or 'none'}.")
    return Contexts(file, current, contexts)


def _check(file: Path, name: str, keys: Mapping[str, Any]) -> None:
    place = f"{file}: context {name}"
    _check_keys(place, keys, _KEYS)
    endpoints = keys.get("endpoints", {})
    if not isinstance(endpoints, dict):
        raise TargetError(f"{place}: endpoints must be a table")
    _check_keys(f"{place}: endpoints", endpoints, ENDPOINTS)
    values = {key: value for key, value in keys.items() if key != "endpoints"} | endpoints
    for key, value in values.items():
        if not isinstance(value, str) or not value:
            raise TargetError(f"{place}: {key} must be a text that is not empty")
    if ("local" in keys) == ("project" in keys):
        raise TargetError(f"{place} needs either project, for a cloud, or local, the folder of a local stack")


def _check_keys(place: object, keys: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in keys:
        if key not in known:
            near = get_close_matches(key, known, 1)
            advice = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(known)}"
            raise TargetError(f"{place}: unknown key {key!r}; {advice}")
