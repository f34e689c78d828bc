"""Reads models.json strictly: says of each mistake where it is, what is wrong and what is allowed."""

import json
import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec

from gpu_service import storage
from gpu_service.errors import ObjectNotFound, StartError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")  # as in the pipeline's parameters
RULES = "routes"  # the key of the pipeline's rules, beside the profiles
ROUTES = ("ready", "infer", "versions")  # what follows a model's name in a path
_TYPES: dict[Any, str] = {
    str: "a string",
    bool: "true or false",
    str | None: "a string",
    dict[str, Any]: "an object with names and values",
}
_OTHER_NAMES = {  # of tasks
    "sentiment-analysis": "text-classification",
    "sequence-classification": "text-classification",
    "ner": "token-classification",
    "nli": "zero-shot-classification",
    "sentence-similarity": "feature-extraction",
    "embeddings": "feature-extraction",
}


def names(models: Path | str) -> list[str]:
    """The names of the profiles of a file. Raises StartError, StorageFailed."""
    return list(_profiles(models))


def profile(models: Path | str, name: str | None) -> tuple[str, list[Any]]:
    """The name of a profile and its entries, unchecked; without a name, the only profile of the file.

    Other profiles are not looked at, so their mistakes do not matter.

    Raises:
        StartError: the file is missing or malformed, has no such profile, or a choice is needed.
        StorageFailed
    """
    profiles = _profiles(models)
    names = ", ".join(profiles)
    if name is None and len(profiles) > 1:
        raise StartError(f"{models} has several profiles; set PROFILE to one of {names}.")
    chosen = next(iter(profiles)) if name is None else name
    if chosen not in profiles:
        raise StartError(f"{models} has no profile {chosen!r}{suggestion(chosen, profiles)}; choose one of {names}.")
    entries = profiles[chosen]
    if not isinstance(entries, list) or not entries:
        raise StartError(f"{models}: the profile {chosen!r} must be a list of at least one model.")
    return chosen, entries


def rules(models: Path | str) -> Any:
    """The rules in a file that `profile` has read, unchecked."""
    return json.loads(_content(models)).get(RULES, [])


def _profiles(models: Path | str) -> dict[str, Any]:
    try:
        profiles = json.loads(_content(models), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise StartError(f"{models} is not valid JSON: {error}") from error
    if isinstance(profiles, dict):
        profiles = {name: entries for name, entries in profiles.items() if name != RULES}
    if not isinstance(profiles, dict) or not any(isinstance(entries, list | dict) for entries in profiles.values()):
        raise StartError(f'{models} must map profiles to lists of models: {{"my-profile": [{{"name": …}}]}}.')
    return profiles


def _content(models: Path | str) -> bytes:
    try:
        return storage.read(models) if isinstance(models, str) else models.read_bytes()
    except (FileNotFoundError, ObjectNotFound) as error:
        raise StartError(f"There is no file {models}; MODELS is the path or gs:// URI of a models.json.") from error
    except OSError as error:
        reason = f"{error.strerror}; MODELS is the path or gs:// URI of the file that lists the models"
        raise StartError(f"{models} cannot be read as models.json: {reason}.") from error


def state(models: Path | str) -> str:
    """Tells the file's content from an earlier or later one: its generation, or its time and size.

    Raises:
        StartError: there is no such file.
        StorageFailed
    """
    try:
        if isinstance(models, str):
            return storage.generation(models)
        facts = models.stat()
    except (OSError, ObjectNotFound) as error:
        raise StartError(f"There is no file {models}.") from error
    return f"{facts.st_mtime_ns}-{facts.st_size}-{facts.st_ino}"


def _without_duplicates(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if twice := next((key for key in keys if keys.count(key) > 1), None):
        raise ValueError(f"the key {twice!r} occurs twice in one object")
    return dict(pairs)


def problems(entry: Any, struct: type[msgspec.Struct]) -> Iterator[str]:
    """What is wrong with the keys and values of an entry, compared with the fields of a struct."""
    if not isinstance(entry, dict):
        yield f"must be an object with the keys {', '.join(_keys(struct))}"
        return
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    for key in entry:
        if key not in fields:
            yield f"unknown key {key!r}{suggestion(key, fields)}; known keys: {', '.join(fields)}"
    for key, field in fields.items():
        if key in entry:
            yield from _mistake(key, entry[key], field.type)
        elif field.required:
            yield f"the key {key!r} is missing"


def _keys(struct: type[msgspec.Struct]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(struct)]


def _mistake(key: str, value: Any, type_: Any) -> Iterator[str]:
    try:
        msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        shown = json.dumps(value, ensure_ascii=False)[:100]
        if allowed := _choices(type_):
            meant = suggestion(_OTHER_NAMES.get(str(value), str(value)), allowed)
            yield f"{key!r} is {shown}{meant}; it must be one of {', '.join(allowed)}"
        elif type_ in _TYPES:
            yield f"{key!r} must be {_TYPES[type_]}, not {shown}"
        else:
            yield f"{key!r} is not valid: {error}"
    else:
        if key in ("name", "version"):
            yield from _name_problems(key, str(value))


def _choices(type_: Any) -> list[str]:
    """The values of a Literal, which may be optional; empty for other types."""
    literal = next((each for each in (type_, *get_args(type_)) if get_origin(each) is Literal), None)
    return [str(choice) for choice in get_args(literal)]


def _name_problems(key: str, value: str) -> Iterator[str]:
    """Of a name or version, which stands in URLs: /v2/models/NAME/versions/VERSION/infer."""
    if not NAME.fullmatch(value):
        form = "up to 128 letters, digits, '.', '_', '/' and '-', and begin with a letter or digit"
        yield f"{key!r} must consist of {form}, not {value!r:.100}"
        return
    first, *others = value.split("/")
    parts = others if key == "name" else [first, *others]
    if taken := next((part for part in parts if part in ROUTES), None):
        yield f"{key!r} is {value!r}, whose part {taken!r} names a route: in a URL it would be read as that"
    elif any(part.strip(".") == "" for part in others):
        yield f"{key!r} is {value!r}: between and after slashes there must be more than dots, which clients resolve"


def suggestion(wrong: str, known: Iterator[str] | Sequence[str] | dict[str, Any]) -> str:
    """A question that names what was probably meant; empty if nothing is similar."""
    nearest = get_close_matches(wrong, list(known), 1)
    return f" (did you mean {nearest[0]!r}?)" if nearest else ""
