import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.workflows.syntax.ast import (
    PRECEDENCE,
    Binary,
    Call,
    Expression,
    Index,
    ListLiteral,
    Literal,
    Member,
    Name,
    Unary,
    text,
)
from emulator.workflows.syntax.lexer import ExpressionError
from emulator.workflows.syntax.parser import parse, parse_target

WORDS = {"and", "or", "not", "in", "AND", "OR", "NOT"} | {
    form for word in ("true", "false", "null") for form in (word, word.title(), word.upper())
}
names = st.text(string.ascii_letters + "_", min_size=1, max_size=5).filter(lambda name: name not in WORDS)
literals = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(0, 2**63 - 1),
    st.floats(0, 1e300, allow_nan=False),
    st.text(st.characters(codec="utf-8"), max_size=6),
).map(Literal)


def compound(children: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    lists = st.lists(children, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Binary, st.sampled_from(sorted(PRECEDENCE)), children, children),
        st.builds(Unary, st.sampled_from(["not", "-"]), children),
        st.builds(Member, children, names),
        st.builds(Index, children, children),
        st.builds(Call, st.sampled_from(["len", "text.split", "map.get"]), lists),
        st.builds(ListLiteral, lists),
    )


expressions = st.recursive(st.one_of(literals, names.map(Name)), compound, max_leaves=8)


@given(expressions)
def test_the_text_of_a_tree_parses_to_the_same_tree(node: Expression) -> None:
    written = text(node)
    if len(written) <= 400:
        assert parse(written) == node


@given(
    st.one_of(st.text(max_size=60), st.text(string.printable[:90], max_size=40), st.text('([{-not. 1a"', max_size=400))
)
def test_any_text_is_an_expression_or_an_expression_error(garbage: str) -> None:
    try:
        node = parse(garbage)
    except ExpressionError as error:
        place = error.position
    else:
        assert parse(text(node)) == node
        place = 0
    assert 0 <= place <= len(garbage)


@pytest.mark.parametrize(
    ("source", "grouped"),
    [
        ("1 + 2 * 3", "1 + (2 * 3)"),
        ("1 - 2 - 3", "(1 - 2) - 3"),
        ("not a in b", "(not a) in b"),
        ("not a == b", "(not a) == b"),
        ("-a.b * c", "(-(a.b)) * c"),
        ("a or b and c", "a or (b and c)"),
        ("a + 1 < b * 2", "(a + 1) < (b * 2)"),
        ("a not in b and c", "(a not in b) and c"),
        ("a < b == c", "(a < b) == c"),
        ("a // b % c / d", "((a // b) % c) / d"),
    ],
)
def test_precedence(source: str, grouped: str) -> None:
    assert parse(source) == parse(grouped)


def test_member_may_be_a_keyword() -> None:
    assert parse("a.in.not") == Member(Member(Name("a"), "in"), "not")


@pytest.mark.parametrize(
    "source", ["", "a +", "(a", "a)", "[1,]", "f(,)", "a b", "1.2.3", "a..b", "f(a)(b)", "a[", "a[]", "not", "1 +* 2"]
)
def test_syntax_errors(source: str) -> None:
    with pytest.raises(ExpressionError):
        parse(source)


def test_four_hundred_characters_are_the_limit() -> None:
    parse("a" * 400)
    with pytest.raises(ExpressionError, match="401 characters"):
        parse("a" * 401)


@pytest.mark.parametrize("source", ["(" * 150 + "1" + ")" * 150, "-" * 200 + "1", "-" * 399 + "1"])
def test_deep_nesting_is_an_expression_error(source: str) -> None:
    try:
        parse(source)
    except ExpressionError as error:
        assert "nested too deeply" in error.message  # noqa: PT017


@pytest.mark.parametrize("target", ["x", "m.k", 'm["k"]', "l[0][i + 1].x"])
def test_targets(target: str) -> None:
    assert text(parse_target(target)) == target


@pytest.mark.parametrize("target", ["1", "f(x)", "f(x).y", "a + b", "[a]", "-a", '"a"', "m[special!key]"])
def test_invalid_targets(target: str) -> None:
    with pytest.raises(ExpressionError):
        parse_target(target)
