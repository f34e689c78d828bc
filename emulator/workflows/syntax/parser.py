"""Parses expressions into syntax trees, by precedence climbing."""

from emulator.workflows import limits
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
    Target,
    Unary,
    dotted,
)
from emulator.workflows.syntax.lexer import ExpressionError, Token, tokenize

_CONSTANTS = {
    "true": True, "True": True, "TRUE": True,
    "false": False, "False": False, "FALSE": False,
    "null": None, "Null": None, "NULL": None,
}  # fmt: skip


def parse(text: str) -> Expression:
    """The tree of the text inside `${…}`.

    Raises:
        ExpressionError: the text is not an expression.
    """
    if len(text) > limits.EXPRESSION_CHARACTERS:
        message = f"expression has {len(text)} characters, at most {limits.EXPRESSION_CHARACTERS} are allowed"
        raise ExpressionError(message, 0)
    parser = _Parser(text)
    node = parser.expression(0)
    parser.expect("end")
    return node


def parse_target(text: str) -> Target:
    """The tree of an assignment's target, such as `m.list[0]["key"]`.

    Raises:
        ExpressionError: the text is not an expression, or cannot be assigned to.
    """
    node = parse(text)
    base: Expression = node
    while isinstance(base, Member | Index):
        base = base.value
    if not isinstance(base, Name) or not isinstance(node, Name | Member | Index):
        raise ExpressionError(f"cannot assign to '{text}'", 0)
    return node


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens = tokenize(text)
        self.at = 0
        self.depth = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def advance(self) -> Token:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def expect(self, kind: str) -> Token:
        if self.token.kind != kind:
            raise self.unexpected(kind)
        return self.advance()

    def unexpected(self, wanted: str | None = None) -> ExpressionError:
        token = self.token
        shown = "end of the expression" if token.kind == "end" else f"'{token.value}'"
        hint = f", expected '{wanted}'" if wanted not in (None, "end") else ""
        return ExpressionError(f"unexpected {shown}{hint}", token.position)

    def expression(self, weakest: int) -> Expression:
        self.depth += 1
        if self.depth > limits.NESTING_DEPTH:
            raise ExpressionError("expression is nested too deeply", self.token.position)
        left = self.unary()
        while (operator := self.operator()) is not None and PRECEDENCE[operator] > weakest:
            position = self.token.position
            self.at += 2 if operator == "not in" else 1
            left = Binary(operator, left, self.expression(PRECEDENCE[operator]), position=position)
        self.depth -= 1
        return left

    def operator(self) -> str | None:
        kind = self.token.kind
        if kind == "not":
            return "not in" if self.tokens[self.at + 1].kind == "in" else None
        return kind if kind in PRECEDENCE else None

    def unary(self) -> Expression:
        prefixes: list[Token] = []
        while self.token.kind in ("not", "-"):
            prefixes.append(self.advance())
        if len(prefixes) > limits.NESTING_DEPTH:
            raise ExpressionError("expression is nested too deeply", prefixes[0].position)
        node = self.postfix()
        for prefix in reversed(prefixes):
            node = Unary(prefix.kind, node, position=prefix.position)
        return node

    def postfix(self) -> Expression:
        node = self.primary()
        while True:
            token = self.token
            if token.kind == ".":
                self.advance()
                node = Member(node, self.member(), position=token.position)
            elif token.kind == "[":
                self.advance()
                node = Index(node, self.expression(0), position=token.position)
                self.expect("]")
            elif token.kind == "(":
                node = self.call(node, token)
            else:
                return node

    def member(self) -> str:
        if self.token.kind not in ("name", "and", "or", "not", "in"):
            raise self.unexpected()
        return str(self.advance().value)

    def call(self, node: Expression, token: Token) -> Expression:
        callee = dotted(node)
        if callee is None:
            raise ExpressionError("only a function's name can be called", token.position)
        self.advance()
        return Call(callee, self.items(")"), position=token.position)

    def items(self, closing: str) -> tuple[Expression, ...]:
        items: list[Expression] = []
        while self.token.kind != closing:
            items.append(self.expression(0))
            if self.token.kind != closing:
                self.expect(",")
                if self.token.kind == closing:
                    raise self.unexpected()
        self.advance()
        return tuple(items)

    def primary(self) -> Expression:
        token = self.token
        if token.kind in ("number", "string"):
            self.advance()
            return Literal(token.value, position=token.position)
        if token.kind == "name":
            self.advance()
            if token.value in _CONSTANTS:
                return Literal(_CONSTANTS[token.value], position=token.position)
            return Name(token.value, position=token.position)
        if token.kind == "[":
            self.advance()
            return ListLiteral(self.items("]"), position=token.position)
        if token.kind == "(":
            self.advance()
            node = self.expression(0)
            self.expect(")")
            return node
        raise self.unexpected()
