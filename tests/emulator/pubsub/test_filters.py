import pytest

from emulator.googleapi.errors import InvalidArgumentError
from emulator.pubsub import filters

ATTRIBUTES = {"type": "order", "region": "eu-west", "empty": "", "my-key": "1", "a.b/c": "x", "quote": 'say "hi"'}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("   ", True),
        ("attributes:type", True),
        ("attributes:missing", False),
        ("attributes:empty", True),
        ('attributes.type = "order"', True),
        ('attributes.type="order"', True),
        ('attributes.type = "Order"', False),
        ('attributes.type != "order"', False),
        ('attributes.type != "refund"', True),
        ('attributes.missing != "x"', True),
        ('attributes.missing = ""', False),
        ('attributes.empty = ""', True),
        ('hasPrefix(attributes.region, "eu")', True),
        ('hasPrefix(attributes.region, "us")', False),
        ('hasPrefix(attributes.missing, "")', False),
        ('NOT hasPrefix(attributes.missing, "x")', True),
        ("NOT attributes:type", False),
        ("-attributes:missing", True),
        ('attributes:type AND attributes.region = "us"', False),
        ('attributes.region = "us" OR attributes:type', True),
        ('attributes:missing AND (attributes:type OR attributes.type = "order")', False),
        ('attributes:type AND NOT (attributes:missing OR attributes.region = "us")', True),
        ("NOT attributes:missing AND attributes:type", True),
        ('attributes:type AND attributes:region AND attributes.my-key = "1"', True),
        ('attributes:"a.b/c"', True),
        ('attributes."a.b/c" = "x"', True),
        (r'attributes.quote = "say \"hi\""', True),
        (r'attributes.type = "\u006frder"', True),
        (r'attributes.type = "\x6frder"', True),
        (r'attributes.type = "\157rder"', True),
        ("(" * 50 + "attributes:type" + ")" * 50, True),
    ],
)
def test_filter(text: str, expected: bool) -> None:
    assert filters.compile_filter(text)(ATTRIBUTES) is expected


@pytest.mark.parametrize(
    "text",
    [
        "attributes",
        "attributes.type",
        "attributes.type = order",
        "attributes.type == 'order'",
        'type = "order"',
        'attributes.a = "b" AND',
        'attributes.a = "b" AND attributes:c OR attributes:d',
        'attributes.a = "b" and attributes:c',
        'attributes.a = "b" attributes:c',
        '(attributes.a = "b"',
        'attributes.a = "unterminated',
        'hasPrefix(attributes.a "b")',
        'hasSuffix(attributes.a, "b")',
        'attributes.a = ("b" OR "c")',
        "attributes:a; drop",
        f'attributes.a = "{"x" * 260}"',
        "(" * 5000 + "attributes:a" + ")" * 5000,
        "(" * 120 + "attributes:a" + ")" * 120,
        "-" * 240 + "attributes:a",
        "(" * 250,
        r'attributes.a = "\UFFFFFFFF"',
        "attributes:-a",
        "attributes:a-",
        "attributes:a.b",
        "attributes:'a'",
        'attributes.a < "b"',
    ],
    ids=lambda text: text[:40],
)
def test_invalid_filters_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="Invalid filter"):
        filters.compile_filter(text)


def test_error_names_the_column() -> None:
    with pytest.raises(InvalidArgumentError, match="column 16: expected = or !="):
        filters.compile_filter("attributes.key AND x")
