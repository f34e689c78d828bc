import pytest

from emulator.googleapi.errors import InvalidArgumentError
from emulator.googleapi.filters import Field, compile_filter
from emulator.googleapi.timestamps import parse_duration, parse_time

FIELDS = (
    Field("executionId", "string"),
    Field("state", "enum", frozenset({"ACTIVE", "SUCCEEDED", "FAILED"})),
    Field("startTime", "time"),
    Field("endTime", "time"),
    Field("duration", "duration"),
    Field("stepName", "list"),
    Field("labels", "map"),
    Field("flag", "bool"),
)
RECORD = {
    "executionId": "0b2d-77",
    "state": "FAILED",
    "startTime": parse_time("2026-03-04T05:06:07.5Z"),
    "endTime": None,
    "duration": parse_duration("3.5s"),
    "stepName": ["fetch", "store"],
    "labels": {"job": "abc", "team-x": "ml"},
    "flag": True,
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ('state="FAILED"', True),
        ("state=ACTIVE", False),
        ("state!=ACTIVE", True),
        ('startTime>"2026-03-01" AND state="FAILED"', True),
        ('startTime>"2026-03-05"', False),
        ('startTime<="2026-03-04T05:06:07.500Z"', True),
        ('startTime<"2026-03-04T06:06:07+01:00"', False),
        ('endTime>"2020-01-01"', False),
        ('endTime!="2020-01-01"', True),
        ("duration>3s", True),
        ("duration>3.6s", False),
        ("duration = 3.5", True),
        ("labels.job=abc", True),
        ('labels."team-x"=ml', True),
        ("labels.team-x=ml", True),
        ("labels:job", True),
        ("labels:owner", False),
        ("labels.job:*", True),
        ("labels.owner!=x", True),
        ("labels.owner=x", False),
        ("stepName=fetch", True),
        ("stepName!=fetch", False),
        ("executionId=0b2d*", True),
        ("execution_id=0b2d-77", True),
        ("executionID:77", True),
        ("flag=true", True),
        ("NOT state=FAILED", False),
        ("-state=ACTIVE", True),
        ("state=ACTIVE OR state=FAILED", True),
        ("state=FAILED labels.job=abc", True),
        # OR binds tighter than AND: FAILED AND (ACTIVE OR SUCCEEDED)
        ("state=FAILED AND state=ACTIVE OR state=SUCCEEDED", False),
        ("(state=FAILED AND labels.job=x) OR duration>1s", True),
        ("NOT (state=ACTIVE OR labels.job=x)", True),
        ("(" * 50 + "state=FAILED" + ")" * 50, True),
        ("state=FAILED" + " AND state=FAILED" * 5000, True),
    ],
)
def test_filter(text, expected):
    assert compile_filter(text, FIELDS)(RECORD) is expected


@pytest.mark.parametrize(
    "text",
    [
        "state",
        "state=",
        "=FAILED",
        "state=NOWHERE",
        "colour=red",
        "state=FAILED AND",
        "(state=FAILED",
        "state=FAILED)",
        "startTime>yesterday",
        "duration>long",
        "flag=yes",
        "labels=abc",
        "state.x=FAILED",
        '"state"=FAILED',
        "state=FAILED ;",
        'state="FAILED',
        "OR state=FAILED",
        "(" * 5000 + "state=FAILED" + ")" * 5000,
        "(" * 5000,
        "NOT " * 5000 + "state=FAILED",
        "-(" * 5000 + "state=FAILED" + ")" * 5000,
        "duration=" + "9" * 5000,
    ],
    ids=lambda text: text[:40],
)
def test_invalid_filters_are_refused(text):
    with pytest.raises(InvalidArgumentError, match="Invalid filter") as refusal:
        compile_filter(text, FIELDS)
    assert refusal.value.field == "filter"
