"""Which field of JSON records is read, and what is said where none can be."""

import json
from typing import Any

import pytest

from pipeline.errors import RejectedError
from pipeline.inputs import fields, recognition

LONG = ("The parcel came a week late.", "Works as described, and well.", "I sent it back after all.")
Record = dict[str, Any]


def name(records: list[Record], requested: str | None = None) -> str | None:
    payload = fields.chosen(records, requested).payload
    return payload and payload.name


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"text": "a", "review": "b"}, None),
        ({"uri": "gs://b/a.txt"}, None),
        ({"review": "fine", "stars": 4}, "review"),
        ({"id": "R1", "date": "2024-01-01", "stars": 4, "what_happened": LONG[0]}, "what_happened"),
        ({"title": "A title of it", "body": LONG[0]}, "body"),
        ({"photo": "gs://b/a.png", "id": 1}, "photo"),
    ],
)
def test_the_field_of_texts_is_chosen_as_a_column_is(record: Record, expected: str | None) -> None:
    other = {**record, **({expected: f"{record[expected]} Or so."} if expected else {})}
    assert name([record, other]) == expected
    if expected:
        assert fields.description(fields.chosen([record], None))["text_column"] == expected


@pytest.mark.parametrize(
    ("record", "requested", "message"),
    [
        (
            {"a": 1, "b": None},
            None,
            "nor another one with texts. Their fields are a, b. The parameter",
        ),
        ({"a": {"text": LONG[0]}}, None, "Their fields are a."),
        ({"date": "2024-01-01", "sales": 4}, None, "Their fields are date, sales."),
        ({}, None, "Their fields are none."),
        ({"text": "a"}, "body", "The records have no field 'body'. Their fields are text."),
    ],
)
def test_records_without_texts_are_refused_with_their_fields(
    record: Record, requested: str | None, message: str
) -> None:
    with pytest.raises(RejectedError) as caught:
        fields.chosen([record, record], requested)
    assert caught.value.code == "no_usable_column"
    assert message in caught.value.message


def lines(*values: object) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("a.jsonl", lines(*LONG), "records"),
        ("a.ndjson", lines(*LONG * 2000), "records"),
        ("a.json", lines(*LONG), "records"),
        ("a.txt", lines(*LONG), "text"),
        ("a.jsonl", lines(LONG[0], 5, {"text": LONG[1]}), "records"),
        ("a.json", json.dumps(LONG), "records"),
        ("a.json", json.dumps([{"text": LONG[0]}]), "records"),
        ("a.json", json.dumps([{"review": LONG[0]}] * 3), "records"),
        ("a.json", json.dumps([{"text": LONG[0]}] * 9000), "records"),
        ("a.json", json.dumps([{"text": LONG[0]}] * 9000, indent=1), "records"),
        ("a.json", json.dumps([[1, 2], [3, 4]]), "unknown_kind"),
        ("a.json", "[]", "unknown_kind"),
        ("a.jsonl", lines([1, 2], [3, 4]), "unknown_kind"),
        ("a.jsonl", lines(5, 6, 7), "unknown_kind"),
        ("a.jsonl", lines({"a": 1}, {"a": 2}), "no_usable_column"),
        ("a.json", json.dumps({"instances": [{"a": 1}]}), "no_usable_column"),
    ],
)
def test_records_are_objects_and_strings(file: str, content: str, expected: str) -> None:
    data = content.encode()
    try:
        kind = recognition.sniff(data[: 64 * 1024], whole=len(data) <= 64 * 1024, name=file, content_type=None)
    except RejectedError as refusal:
        kind = refusal.code
    assert kind == expected
