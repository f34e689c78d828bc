"""Changes models.json in the models bucket without losing what others change meanwhile."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from event_inference.errors import InputError, UnreachableError

if TYPE_CHECKING:
    from google.cloud.storage import Bucket

FILE = "models.json"
NEW_PROFILE = "models"
_ROUTES = "routes"  # beside the profiles: rules that choose models
_ATTEMPTS = 20
_ENGINE = ("engine", "endpoint")
_KEPT = ("default", "parameters", "thresholds", "load")  # of an entry that is updated

Entry = dict[str, Any]


def add(bucket: "Bucket", entry: Mapping[str, Any], profile: str | None) -> str:
    """Add an entry to a profile, or update the one of its name and version; returns the profile.

    A version that is added answers only requests that name it, unless it is the `default`.

    Args:
        profile: by default the only one of the file; a new file gets `models`.

    Raises:
        InputError: the file is not valid, or a profile has to be named.
        UnreachableError: others change the file all the time.
    """
    from google.api_core.exceptions import NotFound, PreconditionFailed

    for _ in range(_ATTEMPTS):
        blob = bucket.blob(FILE)
        try:
            content, generation = blob.download_as_bytes(), blob.generation
        except NotFound:
            content, generation = b"{}", 0
        document = _parsed(content, f"gs://{bucket.name}/{FILE}")
        name = _chosen(document, profile)
        document[name] = with_entry(document.get(name, []), dict(entry))
        changed = (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
        if json.loads(content) == document:
            return name
        try:
            blob.upload_from_string(changed, "application/json", if_generation_match=generation or 0)
        except PreconditionFailed:
            continue
        return name
    raise UnreachableError(f"gs://{bucket.name}/{FILE} changes all the time; try again.")


def with_entry(entries: list[Entry], entry: Entry) -> list[Entry]:
    """The entries with one more, or with one updated; which one answers requests that name no version stays.

    Without `default`, the last entry of a name answers for it, and the first one of a task for the task. An endpoint
    serves one version: others that had it go back to the GPU service.
    """
    if endpoint := entry.get("endpoint"):
        entries = [
            {key: value for key, value in each.items() if key not in _ENGINE}
            if each.get("endpoint") == endpoint
            else each
            for each in entries
        ]
    if entry.get("default"):
        entries = [
            {key: value for key, value in each.items() if key != "default"} if each["task"] == entry["task"] else each
            for each in entries
        ]
    same = [number for number, each in enumerate(entries) if each["name"] == entry["name"]]
    for number in same:
        if str(entries[number].get("version", "1")) == entry["version"]:
            kept = {key: entries[number][key] for key in _KEPT if key in entries[number] and key not in entry}
            return [*entries[:number], {**entry, **kept}, *entries[number + 1 :]]
    if not same or entry.get("default"):
        return [*entries, entry]
    answering = next((number for number in same if entries[number].get("default")), None)
    if answering is None and _leads(entries, same[-1]):
        entries = [*entries[: same[-1]], {**entries[same[-1]], "default": True}, *entries[same[-1] + 1 :]]
        answering = same[-1]
    place = same[-1] if answering is None else same[-1] + 1
    return [*entries[:place], entry, *entries[place:]]


def _leads(entries: list[Entry], number: int) -> bool:
    """Whether an entry is the default of its task because it is the first."""
    of_task = [each for each in entries if each["task"] == entries[number]["task"]]
    return of_task[0] is entries[number] and not any(each.get("default") for each in of_task)


def _parsed(content: bytes, place: str) -> dict[str, Any]:
    try:
        document: Any = json.loads(content)
    except ValueError as error:
        raise InputError(f"{place} is not valid JSON: {error}. Mend it first.") from error
    profiles: dict[str, Any] = document if isinstance(document, dict) else {"": None}
    profiles = {key: value for key, value in profiles.items() if key != _ROUTES}
    if not all(isinstance(entries, list) for entries in profiles.values()):
        raise InputError(f"{place} does not map profiles to lists of models. Mend it first.")
    for entries in profiles.values():
        if not all(isinstance(entry, dict) and {"name", "task"} <= set(entry) for entry in entries):
            raise InputError(f"{place} has a model without a name or a task. Mend it first.")
    return dict(document)


def _chosen(document: Mapping[str, Any], profile: str | None) -> str:
    profiles = [name for name in document if name != _ROUTES]
    if profile == _ROUTES:
        raise InputError(f"{_ROUTES!r} is the key of the rules, not a profile.")
    if profile or len(profiles) < 2:
        return profile or next(iter(profiles), NEW_PROFILE)
    raise InputError(f"{FILE} has several profiles; choose one of {', '.join(profiles)} with --profile.")


def names(bucket: "Bucket") -> list[str]:
    """The names of all models in the file, in order; none if there is no file."""
    from google.api_core.exceptions import NotFound

    try:
        document = _parsed(bucket.blob(FILE).download_as_bytes(), f"gs://{bucket.name}/{FILE}")
    except NotFound:
        return []
    profiles = [entries for profile, entries in document.items() if profile != _ROUTES]
    return list(dict.fromkeys(str(entry["name"]) for entries in profiles for entry in entries))
