"""Conditions of grants: what they cover, and what is refused as unsupported."""

import pytest

from emulator.iam.conditions import ConditionError, parse

OBJECT = "projects/_/buckets/b/objects/claims/it's.json"


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("resource.name.startsWith('projects/_/buckets/b/objects/claims/')", True),
        ("resource.name.startsWith('projects/_/buckets/b/objects/other/')", False),
        ('resource.name.endsWith(".json")', True),
        (r"resource.name.endsWith('it\'s.json')", True),
        ("resource.name == 'projects/_/buckets/b'", False),
        ("resource.name != 'projects/_/buckets/b'", True),
        ("resource.type == 'storage.googleapis.com/Object'", True),
        ("resource.service == 'pubsub.googleapis.com'", False),
        ("resource.service == 'storage.googleapis.com' && !resource.name.endsWith('.csv')", True),
        ("resource.name.endsWith('.csv') || resource.name.endsWith('.json')", True),
        ("resource.name.endsWith('.json') && (resource.type == 'x' || resource.service == 'y')", False),
        ("resource.name.endsWith('.csv') && resource.type == 'x' || resource.name.endsWith('.json')", True),
        ("!(resource.name.endsWith('.csv') || resource.name.endsWith('.json'))", False),
    ],
)
def test_conditions_on_an_object(expression: str, holds: bool) -> None:
    assert parse(expression)(OBJECT) is holds


@pytest.mark.parametrize(
    ("resource", "kind"),
    [
        ("projects/p", "cloudresourcemanager.googleapis.com/Project"),
        ("projects/_/buckets/topics", "storage.googleapis.com/Bucket"),
        ("projects/p/topics/t", "pubsub.googleapis.com/Topic"),
        ("projects/p/locations/l/jobs/j", "run.googleapis.com/Job"),
        ("", ""),
    ],
)
def test_the_type_of_a_resource(resource: str, kind: str) -> None:
    assert parse(f"resource.type == '{kind}'")(resource)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "true",
        "resource.name",
        "resource.name.matches('x')",
        "resource.name.startsWith('x'",
        "resource.name.startsWith(x)",
        "resource.name == 'a' resource.name == 'b'",
        "resource.name == 'a' &&",
        "request.time < timestamp('2030-01-01T00:00:00Z')",
        "resource.name == 'unclosed",
    ],
)
def test_everything_else_is_refused_with_the_expression(expression: str) -> None:
    with pytest.raises(ConditionError, match="is not supported"):
        parse(expression)
