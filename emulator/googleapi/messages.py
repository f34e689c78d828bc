"""Conversion between JSON and the protobuf messages of Google's client libraries."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from google.protobuf import json_format

from emulator.googleapi.errors import InvalidArgumentError

Json = dict[str, Any]
Message = Any  # the classes are built at run time, so no static type is closer


def read(kind: type[Message], fields: object, path: str = "") -> Message:
    """A message of that class from JSON, as strict as Google's own parser.

    Args:
        path: where `fields` lies in the request, for error messages.

    Raises:
        InvalidArgumentError: a field is unknown or its value has the wrong type.
    """
    message = kind()
    _merge(fields, message, path)
    return message


def as_json(message: Message) -> Json:
    """The JSON form: camelCase, int64 as strings, enums by name, fields with their default left out."""
    rendered: Json = json_format.MessageToDict(message)
    return rendered


def write(kind: type[Message], resource: Mapping[str, Any]) -> Message:
    """A message of that class from the JSON of a response; fields that only the REST API has are left out."""
    return json_format.ParseDict(dict(resource), kind(), ignore_unknown_fields=True)


def _merge(fields: object, message: Message, path: str) -> None:
    """`json_format.ParseDict` one field at a time, so that an error can tell the path of the field."""
    if not isinstance(fields, dict):
        raise _invalid(path, message.DESCRIPTOR.full_name, fields)
    known = _fields(message.DESCRIPTOR)
    for name, value in fields.items():
        field = known.get(name)
        if field is None:
            place = f" at '{path}'" if path else ""
            problem = f'Invalid JSON payload received. Unknown name "{name}"{place}: Cannot find field.'
            raise InvalidArgumentError(problem, field=path)
        if value is not None:
            _set(message, field, value, f"{path}.{field.name}" if path else field.name)


def _set(message: Message, field: Any, value: object, path: str) -> None:
    if not _has_fields(field):
        try:
            json_format.ParseDict({field.json_name: value}, message)
        except (json_format.ParseError, TypeError, AttributeError, ValueError, RecursionError):
            raise _invalid(path, _type(field), value) from None
    elif not field.is_repeated:
        target = getattr(message, field.name)
        target.SetInParent()
        _merge(value, target, path)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _merge(item, getattr(message, field.name).add(), f"{path}[{index}]")
    else:
        raise _invalid(path, _type(field), value)


@cache
def _fields(descriptor: Any) -> dict[str, Any]:
    """The fields by their JSON names and by the names of the .proto file, which JSON may use as well."""
    return {name: field for field in descriptor.fields for name in (field.name, field.json_name)}


def _has_fields(field: Any) -> bool:
    """Whether JSON writes the value as an object of fields, unlike maps, timestamps and other well-known types."""
    kind = field.message_type
    return kind is not None and not kind.GetOptions().map_entry and kind.file.package != "google.protobuf"


def _type(field: Any) -> str:
    kinds = {field.CPPTYPE_STRING: "TYPE_STRING", field.CPPTYPE_BOOL: "TYPE_BOOL", field.CPPTYPE_INT32: "TYPE_INT32"}
    kind = field.message_type or field.enum_type
    return kind.full_name if kind else kinds.get(field.cpp_type, "TYPE_INT64")


def _invalid(path: str, kind: str, value: object) -> InvalidArgumentError:
    shown = json.dumps(value, default=str)[:100]
    return InvalidArgumentError(f"Invalid value at '{path}' ({kind}), {shown}", field=path)
