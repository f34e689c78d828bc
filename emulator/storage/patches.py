"""The fields that clients may set on buckets and objects: their checks, and how a patch is merged."""

import re
from collections.abc import Callable
from datetime import date
from typing import Any

from emulator.storage.errors import InvalidError
from emulator.storage.resources import Fields, moment, timestamp

_MAX_CUSTOM_METADATA = 8 * 1024
_STORAGE_CLASSES = {
    "STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE", "MULTI_REGIONAL", "REGIONAL", "DURABLE_REDUCED_AVAILABILITY",
}  # fmt: skip

_DURATION = re.compile(r"\d+")


def merge(fields: Fields, changes: Fields) -> Fields:
    """A JSON merge patch: null removes a key, a map is merged into the existing map."""
    merged = dict(fields)
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            current = merged.get(key)
            merged[key] = merge(current if isinstance(current, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def without_empty(fields: Fields) -> Fields:
    """The resource without the lists and maps that a patch has emptied, which the service omits."""
    return {key: value for key, value in fields.items() if value not in ({}, [])}


def object_fields(resource: Fields) -> Fields:
    """The fields of an object resource that a client may set; all others are ignored."""
    return _settable(resource, _OBJECT)


def bucket_fields(resource: Fields) -> Fields:
    """The fields of a bucket resource that a client may set; all others are ignored."""
    fields = _settable(resource, _BUCKET)
    configuration = fields.get("iamConfiguration") or {}
    access = configuration.get("uniformBucketLevelAccess")
    if access is not None and "enabled" in _map("uniformBucketLevelAccess", access):
        # The former name of the same setting, which clients still read.
        fields["iamConfiguration"] = {**configuration, "bucketPolicyOnly": {"enabled": access["enabled"]}}
    return fields


def _settable(resource: Fields, checks: dict[str, Callable[[str, Any], Any]]) -> Fields:
    return {key: None if value is None else checks[key](key, value) for key, value in resource.items() if key in checks}


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidError(f"Invalid value for: {key}: expected a string.")
    return value


def _header(key: str, value: Any) -> str:
    text = _text(key, value)
    if not text.isprintable():
        raise InvalidError(f"Invalid value for: {key}: control characters are not allowed.")
    return text


def _flag(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidError(f"Invalid value for: {key}: expected a boolean.")
    return value


def _map(key: str, value: Any) -> Fields:
    if not isinstance(value, dict):
        raise InvalidError(f"Invalid value for: {key}: expected an object.")
    return value


def _list(key: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidError(f"Invalid value for: {key}: expected a list.")
    return value


def _metadata(key: str, value: Any) -> Fields:
    entries = _map(key, value)
    for name, text in entries.items():
        if text is not None and not isinstance(text, str):
            raise InvalidError(f"Invalid value for: {key}.{name}: expected a string.")
    try:
        size = sum(len(name.encode()) + len((text or "").encode()) for name, text in entries.items())
    except UnicodeEncodeError as error:
        raise InvalidError(f"Invalid value for: {key}: not valid Unicode.") from error
    if size > _MAX_CUSTOM_METADATA:
        raise InvalidError(
            f"Your custom metadata is too large ({size} bytes); the limit is {_MAX_CUSTOM_METADATA} bytes."
        )
    return entries


def _storage_class(key: str, value: Any) -> str:
    name = _text(key, value).upper()
    if name not in _STORAGE_CLASSES:
        raise InvalidError("The storage class you specified is not valid.", code="InvalidStorageClass")
    return name


def _time(key: str, value: Any) -> str:
    try:
        return timestamp(moment(_text(key, value)))
    except ValueError as error:
        raise InvalidError(f"Invalid value for: {key}: {value!r} is not an RFC 3339 time.") from error


def _retention_policy(key: str, value: Any) -> Fields | None:
    """The period alone: the service sets the other fields, and no period means no policy."""
    period = _map(key, value).get("retentionPeriod")
    if period is None:
        return None
    if not _DURATION.fullmatch(str(period)):
        raise InvalidError(f"Invalid value for: {key}.retentionPeriod: expected seconds.")
    return {"retentionPeriod": str(period)} if int(period) else None


def _retention(key: str, value: Any) -> Fields | None:
    retention = _map(key, value)
    if not retention:
        return None
    if retention.get("mode") not in {"Locked", "Unlocked"}:
        raise InvalidError(f"Invalid value for: {key}.mode: expected Locked or Unlocked.")
    return {
        "mode": retention["mode"],
        "retainUntilTime": _time(f"{key}.retainUntilTime", retention.get("retainUntilTime")),
    }


def _lifecycle(key: str, value: Any) -> Fields | None:
    rules = _list(f"{key}.rule", _map(key, value).get("rule") or [])
    for rule in rules:
        action = _map(f"{key}.rule.action", _map(f"{key}.rule", rule).get("action"))
        if action.get("type") not in {"Delete", "SetStorageClass", "AbortIncompleteMultipartUpload"}:
            raise InvalidError(f"Invalid lifecycle action: {action.get('type')!r}")
        condition = _map(f"{key}.rule.condition", rule.get("condition"))
        if not condition:
            raise InvalidError("A lifecycle rule must have at least one condition.")
        for name, limit in condition.items():
            if name not in _LIFECYCLE_CONDITIONS or not _LIFECYCLE_CONDITIONS[name](limit):
                raise InvalidError(f"Invalid lifecycle condition: {name}: {limit!r}")
        if action["type"] == "SetStorageClass":
            _storage_class(f"{key}.rule.action.storageClass", action.get("storageClass"))
    return {"rule": rules} if rules else None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31


def _is_date(value: Any) -> bool:
    try:
        date.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return True


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


_LIFECYCLE_CONDITIONS: dict[str, Callable[[Any], bool]] = {
    "age": _is_count,
    "createdBefore": _is_date,
    "customTimeBefore": _is_date,
    "daysSinceCustomTime": _is_count,
    "daysSinceNoncurrentTime": _is_count,
    "isLive": lambda value: isinstance(value, bool),
    "matchesPrefix": _are_texts,
    "matchesStorageClass": _are_texts,
    "matchesSuffix": _are_texts,
    "noncurrentTimeBefore": _is_date,
    "numNewerVersions": _is_count,
}

_OBJECT: dict[str, Callable[[str, Any], Any]] = {
    "cacheControl": _header,
    "contentDisposition": _header,
    "contentEncoding": _header,
    "contentLanguage": _header,
    "contentType": _header,
    "customTime": _time,
    "eventBasedHold": _flag,
    "metadata": _metadata,
    "retention": _retention,
    "storageClass": _storage_class,
    "temporaryHold": _flag,
}

_BUCKET: dict[str, Callable[[str, Any], Any]] = {
    "autoclass": _map,
    "billing": _map,
    "cors": _list,
    "customPlacementConfig": _map,
    "defaultEventBasedHold": _flag,
    "encryption": _map,
    "hierarchicalNamespace": _map,
    "iamConfiguration": _map,
    "labels": _metadata,
    "lifecycle": _lifecycle,
    "location": _text,
    "logging": _map,
    "retentionPolicy": _retention_policy,
    "rpo": _text,
    "softDeletePolicy": _map,
    "storageClass": _storage_class,
    "versioning": _map,
    "website": _map,
}
