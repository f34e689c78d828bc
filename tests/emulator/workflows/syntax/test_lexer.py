import pytest

from emulator.workflows.syntax.lexer import ExpressionError, tokenize


def kinds(text: str) -> list[str]:
    return [token.kind for token in tokenize(text)][:-1]


def values(text: str) -> list[object]:
    return [token.value for token in tokenize(text)][:-1]


def test_operators_are_read_longest_first() -> None:
    assert kinds("a//b<=c!=d") == ["name", "//", "name", "<=", "name", "!=", "name"]


def test_numbers() -> None:
    assert values("1 2.5 .5 1e3 2.5E-1") == [1, 2.5, 0.5, 1000.0, 0.25]


def test_largest_integer() -> None:
    assert values(str(2**63 - 1)) == [2**63 - 1]
    with pytest.raises(ExpressionError, match="64 bits"):
        tokenize(str(2**63))


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        (r'"a\"b"', 'a"b'),
        (r'"tab\tnewline\n"', "tab\tnewline\n"),
        (r'"\u00e9\ud83d\ude00"', "é😀"),
        ('"two\nlines"', "two\nlines"),
        (r'"\\"', "\\"),
    ],
)
def test_strings(literal: str, value: str) -> None:
    assert values(literal) == [value]


@pytest.mark.parametrize("word", ["and", "AND", "or", "OR", "not", "NOT"])
def test_logical_words_are_lower_or_upper_case(word: str) -> None:
    assert kinds(word) == [word.lower()]


def test_mixed_case_is_a_name() -> None:
    assert kinds("And") == ["name"]


@pytest.mark.parametrize(
    ("text", "message", "position"),
    [
        ('a + "open', "not closed", 4),
        ("'single'", "double quotes", 0),
        ("a = b", "'=='", 2),
        ("{}", "map literals", 0),
        ("a ? b", "unexpected character", 2),
        (r'"\q"', "unknown escape", 1),
        (r'"\ud83d"', "surrogate", 0),
    ],
)
def test_errors_name_the_place(text: str, message: str, position: int) -> None:
    with pytest.raises(ExpressionError, match=message) as caught:
        tokenize(text)
    assert caught.value.position == position
